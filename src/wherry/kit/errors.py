"""The ten kinds of error Wherry raises.

Raise a subclass near the cause; map to HTTP, gRPC or an exit code only at the edge.
Text: lower-case, no full stop: what, which (`!r`), what was seen, what to do.
"""


class WherryError(Exception):
    """Root of every error a user may see. `str(error)` is the message for the user."""


class NotFound(WherryError):
    """The named thing does not exist."""


class AlreadyExists(WherryError):
    """A thing of that name exists."""


class Conflict(WherryError):
    """The thing changed since it was read; read it again and retry."""


class Invalid(WherryError):
    """The input is wrong; the message names field, value and mend."""


class Expired(WherryError):
    """The revision or token asked for is too old; start again from the newest."""


class Forbidden(WherryError):
    """The caller is known but may not do this."""


class Unavailable(WherryError):
    """A needed part does not answer just now; retrying may help."""


class Unsupported(WherryError):
    """Known and not offered; the message names what is missing."""


class TimedOut(WherryError):
    """It took longer than the named limit."""


class Broken(WherryError):
    """State on disk or from a peer is not what it must be; a human has to look."""


def first_of(group: ExceptionGroup[Exception]) -> Exception:
    """The first plain error in a group of groups."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error

"""What an API server refuses, as exceptions: `metav1.Status` in, a subclass of the ten kinds of `kit.errors` out.

In:    HTTP code, body of a failed answer.
Out:   an `ApiError` subclass; `.status` is the Status object, `.code` the HTTP code, `.reason` upstream's reason.
Spec:  apimachinery metav1.StatusReason; texts are the server's.
"""

from typing import Any

import orjson

from wherry.kit import errors
from wherry.kit.errors import WherryError

MESSAGE_MAX = 1000


class ApiError(WherryError):
    """The API server answered with a failure Status."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.code = int(status.get("code") or 0)
        self.reason = str(status.get("reason") or "")
        super().__init__(str(status.get("message") or self.reason or f"the server answered {self.code}"))

    @property
    def causes(self) -> list[dict[str, Any]]:
        """details.causes."""
        return list((self.status.get("details") or {}).get("causes") or ())


class NotFound(ApiError, errors.NotFound):
    """404."""


class AlreadyExists(ApiError, errors.AlreadyExists):
    """409 AlreadyExists."""


class Conflict(ApiError, errors.Conflict):
    """409 Conflict: read again and retry."""


class Invalid(ApiError, errors.Invalid):
    """400 and 422."""


class Expired(ApiError, errors.Expired):
    """410: list again."""


class Forbidden(ApiError, errors.Forbidden):
    """403."""


class Unauthorized(ApiError, errors.Forbidden):
    """401."""


class Unsupported(ApiError, errors.Unsupported):
    """405, 406, 415, 501."""


class TooManyRequests(ApiError, errors.Unavailable):
    """429: rate limits, and evictions that a disruption budget holds back."""


class Unavailable(ApiError, errors.Unavailable):
    """Any other 5xx."""


class TimedOut(ApiError, errors.TimedOut):
    """504."""


class Unreachable(errors.Unavailable):
    """No answer at all: refused, reset, TLS failure."""


_BY_CODE: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: Unsupported,
    406: Unsupported,
    409: Conflict,
    410: Expired,
    413: Invalid,
    415: Unsupported,
    422: Invalid,
    429: TooManyRequests,
    501: Unsupported,
    504: TimedOut,
}


def from_status(status: dict[str, Any]) -> ApiError:
    """The error for a failure Status object."""
    code = int(status.get("code") or 500)
    if code == 409 and status.get("reason") == "AlreadyExists":
        return AlreadyExists(status)
    return _BY_CODE.get(code, Unavailable if code >= 500 else Invalid)(status)


def from_reply(code: int, body: bytes) -> ApiError:
    """The error for a failed HTTP answer; a body that is no Status becomes its message, cut short."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"kind": "Status", "status": "Failure", "message": body[:MESSAGE_MAX].decode(errors="replace").strip()}
    return from_status({**status, "code": status.get("code") or code})

"""One result of looking at the machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `mend` is a command, or a sentence when no command can help; "" when all is well."""

    check: str
    ok: bool
    detail: str
    mend: str = ""

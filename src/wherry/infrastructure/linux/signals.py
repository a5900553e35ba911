"""Signal names as images and manifests write them: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`."""

import re
import signal

from wherry.kit.errors import Invalid


def number(name: str) -> int:
    """The number of a signal by name or decimal text. Raise `Invalid` for anything else."""
    text = name.strip().upper().removeprefix("SIG")
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    realtime = re.fullmatch(r"RTM(IN|AX)(?:([+-])(\d{1,2}))?", text)
    if realtime:
        start = signal.SIGRTMIN if realtime[1] == "IN" else signal.SIGRTMAX
        found = int(start) + int(f"{realtime[2] or '+'}{realtime[3] or 0}")
        if signal.SIGRTMIN <= found <= signal.SIGRTMAX:
            return found
    elif f"SIG{text}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{text}"])
    raise Invalid(f"signal {name!r} is not known; use a name such as SIGTERM")

"""Durations as Gateway API writes them: `1h2m3s500ms`.

Spec:  GEP-2257: up to four pairs of a number of at most five digits and a unit h, m, s or ms.
"""

import re

from wherry.kit.errors import Invalid

_WHOLE = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_PAIR = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds_of(text: str) -> float:
    """The duration in seconds. Raise `Invalid` when it is not one."""
    if not _WHOLE.fullmatch(text):
        raise Invalid(f"{text[:32]!r} is not a duration such as 10s or 500ms")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PAIR.findall(text))

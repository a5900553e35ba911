"""How long ago, in the few letters `kubectl get` shows.

Spec:  k8s.io/apimachinery/pkg/util/duration, `HumanDuration`.
"""

from datetime import UTC, datetime
from typing import NoReturn

from wherry.kit.clock import parse_rfc3339

UNKNOWN = "<unknown>"


class DependsOnNow(Exception):
    """The text needs the moment it is shown at; it cannot be made beforehand."""


class Unfixed(datetime):
    """A `now` that is not known yet: ages become `Ago`, all other use of it raises `DependsOnNow`."""

    def __sub__(self, other: object) -> NoReturn:
        raise DependsOnNow


NOT_YET = Unfixed(1, 1, 1, tzinfo=UTC)


class Ago(str):
    """An age whose end is not known yet; `at` is its beginning in Unix seconds. Only a whole cell can be one."""

    __slots__ = ("at",)
    at: float

    def __format__(self, spec: str) -> NoReturn:
        raise DependsOnNow

    def __str__(self) -> NoReturn:
        raise DependsOnNow


def ago(moment: datetime) -> Ago:
    """The age of something that began at `moment`."""
    made = Ago()
    made.at = moment.timestamp()
    return made


_DAY_H = 24
_YEAR_D = 365


def human(seconds_total: float) -> str:
    """`5s`, `3m20s`, `45m`, `3h`, `2d4h`, `1y20d`: two units while the first is small."""
    seconds = int(seconds_total)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 60 * 2:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 60 * 3:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < _DAY_H * 2:
        return f"{hours}h"
    days = hours // _DAY_H
    if hours < _DAY_H * 8:
        return _pair(days, "d", hours % _DAY_H, "h")
    if hours < _DAY_H * _YEAR_D * 2:
        return f"{days}d"
    if hours < _DAY_H * _YEAR_D * 8:
        return _pair(days // _YEAR_D, "y", days % _YEAR_D, "d")
    return f"{days // _YEAR_D}y"


def since(timestamp: object, now: datetime) -> str:
    """The age of a metav1.Time or MicroTime; `<unknown>` when there is none."""
    if not timestamp or not isinstance(timestamp, str):
        return UNKNOWN
    try:
        if isinstance(now, Unfixed):
            return ago(parse_rfc3339(timestamp))
        return human((now - parse_rfc3339(timestamp)).total_seconds())
    except (ValueError, TypeError):
        return "<invalid>"


def _pair(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}{second}{second_unit}" if second else f"{first}{first_unit}"

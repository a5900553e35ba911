"""What the date is, as a value passed in; time that passes is the event loop's.

`SystemClock` is the real one; `wherry.testing.virtual_time` has a loop on which a day costs a millisecond, and the clock that goes
by it. Waiting is `asyncio.sleep` and `asyncio.timeout`, how long something took is `loop_time`: nothing else is virtual with them.
"""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

SET_BACK_S = 60.0


class Clock(Protocol):
    """The date. It may jump, either way: never measure a duration with it."""

    def now(self) -> datetime:
        """Wall time in UTC, with microseconds."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def loop_time() -> float:
    """Seconds that only grow, of the running event loop; zero point arbitrary, as fine as a millisecond."""
    return asyncio.get_running_loop().time()


def left_s(since: datetime, delay_s: float, now: datetime) -> float:
    """What is left of a delay that began at `since`, by the dates somebody wrote; 0 once it is over.

    Nothing is left of one that would last longer than it is (by `SET_BACK_S`, for clocks that disagree): the date was set back.
    """
    left = (since - now).total_seconds() + delay_s
    return 0.0 if left > delay_s + SET_BACK_S else max(left, 0.0)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T05:43:00Z`: metav1.Time, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"  # a fifteenth of what strftime takes


def rfc3339_micro(moment: datetime) -> str:
    """`2026-11-23T05:43:00.123456Z`: metav1.MicroTime."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Read metav1.Time or MicroTime (any fraction length). Raise `ValueError` when it is neither."""
    return datetime.fromisoformat(text)

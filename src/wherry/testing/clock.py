"""A clock that moves only when told to: virtual time for tests of loops, retries and leases."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_ROUNDS = 20  # turns of the event loop given to woken tasks before time moves on


class FakeClock:
    """A `kit.clock.Clock`. `await clock.advance(5)` wakes, in order, everything due within the next five seconds."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping at each wake-up so that what it starts can sleep again within the span."""
        until = self._elapsed_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._elapsed_s, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._elapsed_s = until

    @property
    def sleeping(self) -> int:
        """How many sleepers wait: lets a test see that a loop has come to rest."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def settle(rounds: int = SETTLE_ROUNDS) -> None:
    """Let every ready task of the loop run; no time passes."""
    for _ in range(rounds):
        await asyncio.sleep(0)

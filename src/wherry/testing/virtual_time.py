"""An event loop on which nobody waits: when nothing is ready, its time moves on to the next timer. And the clock of that time.

In:    anything that waits by `asyncio.sleep`, `asyncio.timeout`, `call_later`. A day of waiting costs a millisecond.
Out:   `VirtualLoop`, for `asyncio.Runner(loop_factory=VirtualLoop)` and for tests marked `virtual_time`; `VirtualClock`.
Never: lets time pass while a thread works for the loop. Sockets and child processes are real: who waits for them must not set
       himself a time limit here, it would be over at once.
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from wherry.kit.clock import Clock, SystemClock

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_ROUNDS = 20  # turns of the loop given to woken tasks

_T = TypeVar("_T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` begins at 0 and moves only when nothing is ready."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.threads_at_work = 0
        super().__init__(_NoWaiting(self))
        self._clock_resolution = 1e-6  # a year in seconds, as a float, is finer than that and not than asyncio's own

    def time(self) -> float:
        return self.elapsed_s

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> "asyncio.Future[_T]":  # type: ignore[override]
        future: asyncio.Future[_T] = super().run_in_executor(executor, func, *args)
        self.threads_at_work += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self.threads_at_work -= 1


class VirtualClock:
    """A `kit.clock.Clock`: the date goes with the time of the virtual loop; `jump` sets it, as an operator or NTP does.

    Off a virtual loop (in plain functions too) it stands still but for `jump`.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=_virtual_time())

    def jump(self, seconds: float) -> None:
        """Set the date; no time passes."""
        self._start += timedelta(seconds=seconds)


def clock_here() -> Clock:
    """The clock that belongs to the running loop: a virtual one's, or the machine's."""
    return VirtualClock() if isinstance(asyncio.get_running_loop(), VirtualLoop) else SystemClock()


async def settle(rounds: int = SETTLE_ROUNDS) -> None:
    """Let every ready task of the loop run; no time passes."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def _virtual_time() -> float:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return 0.0
    return loop.time() if isinstance(loop, VirtualLoop) else 0.0


class _NoWaiting(selectors.DefaultSelector):
    """Asks what is ready, and moves the loop's time where it would have waited for it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (timeout > 0 and self._loop.threads_at_work):  # a thread that is done wakes the loop by its socket
            return super().select(None)
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout > 0:
            self._loop.elapsed_s += timeout
        return ready

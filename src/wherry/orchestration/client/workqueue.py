"""A queue of keys to work on: repeats coalesce, one key is never worked on twice at a time, failures wait longer.

In:    keys, at once or after a delay.
Out:   keys, one holder at a time, oldest first.
Spec:  client-go util/workqueue (constants of the default controller rate limiter).
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from wherry.kit.backoff import Backoff

RETRY_FIRST_S = 0.005
RETRY_MAX_S = 1000.0

Key = TypeVar("Key", bound=Hashable)


class KeyedQueue(Generic[Key]):
    """A key added while it is being worked on runs once more afterwards. At most one entry per key waits, and one
    timer per key runs, so the bound is the number of live objects and `add` never blocks.
    """

    def __init__(self, *, retry_first_s: float = RETRY_FIRST_S, retry_max_s: float = RETRY_MAX_S) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()  # in _ready
        self._running: set[Key] = set()  # taken, block not yet left
        self._again: set[Key] = set()  # added while running
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._backoff = Backoff(retry_first_s, retry_max_s)

    def __len__(self) -> int:
        """Keys that wait to be taken; neither delayed nor running ones."""
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Work on `key` soon."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: Key, delay_s: float) -> None:
        """Work on `key` in `delay_s`; of several delays for one key the soonest counts."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + delay_s:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay_s, self._due, key)

    def retry(self, key: Key) -> None:
        """Work on `key` again after its next exponential delay (5 ms doubling to 1000 s)."""
        self.add_after(key, self._backoff.next_delay_s(key))

    def forget(self, key: Key) -> None:
        """`key` succeeded: its next failure waits the first delay again."""
        self._backoff.reset(key)

    def failures(self, key: Key) -> int:
        """How often `key` was retried since it was forgotten."""
        return self._backoff.failures(key)

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Key]:
        """Hold the oldest waiting key until the block ends, by return, error or cancellation."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._running.add(key)
        try:
            yield key
        finally:
            # No await here: a cancelled worker must not leave its key marked as running.
            self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

"""Fan-out of committed changes to watchers inside this process. Belongs to one event loop; nothing here is locked.

In:    groups of changes in revision order, each published once.
Out:   for each watcher the changes under its prefix, in order; a watcher that falls too far behind is cut off.
Never: waits for a watcher. Holds at most `BACKLOG_MAX` changes or `BACKLOG_BYTES_MAX` for each.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from wherry.kit.errors import Unavailable
from wherry.orchestration.store.contract import Change, SlowWatcher

BACKLOG_MAX = 10_000  # changes; two seconds of the busiest write load measured in bench/store_rates.py
BACKLOG_BYTES_MAX = 64 << 20  # values are shared between watchers, so this bounds all of them together in practice


class Watcher:
    """One subscription, from the moment it was made by `Watchers.subscribe`."""

    def __init__(self, prefix: str, backlog_max: int) -> None:
        self.prefix = prefix
        self._backlog_max = backlog_max
        self._waiting: deque[Change] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._end: Unavailable | None = None

    def offer(self, changes: Sequence[Change]) -> None:
        """Keep those under the prefix; never blocks."""
        mine = [change for change in changes if change.key.startswith(self.prefix)]
        if not mine or self._end is not None:
            return
        self._waiting.extend(mine)
        self._bytes += sum(map(_size, mine))
        if len(self._waiting) > self._backlog_max or self._bytes > BACKLOG_BYTES_MAX:
            self.stop(SlowWatcher(f"watcher of {self.prefix!r} was {len(self._waiting)} changes behind and was cut off"))
        self._wake.set()

    def stop(self, reason: Unavailable) -> None:
        """End the subscription; what waits is dropped and the reader sees `reason`."""
        self._end = reason
        self._waiting.clear()
        self._wake.set()

    async def changes(self) -> AsyncIterator[Change]:
        """What was offered, for ever; raises the reason given to `stop`."""
        while True:
            while self._waiting:
                change = self._waiting.popleft()
                self._bytes -= _size(change)
                yield change
            if self._end is not None:
                raise self._end
            self._wake.clear()
            await self._wake.wait()


class Watchers:
    """All subscriptions of one store."""

    def __init__(self, backlog_max: int = BACKLOG_MAX) -> None:
        self._backlog_max = backlog_max
        self._all: dict[int, Watcher] = {}

    def subscribe(self, prefix: str) -> Watcher:
        watcher = Watcher(prefix, self._backlog_max)
        self._all[id(watcher)] = watcher
        return watcher

    def unsubscribe(self, watcher: Watcher) -> None:
        self._all.pop(id(watcher), None)

    def publish(self, changes: Sequence[Change]) -> None:
        for watcher in tuple(self._all.values()):
            watcher.offer(changes)

    def stop(self, reason: Unavailable) -> None:
        for watcher in self._all.values():
            watcher.stop(reason)
        self._all.clear()

    def __len__(self) -> int:
        return len(self._all)


def _size(change: Change) -> int:
    return len(change.value or b"") + len(change.previous or b"")

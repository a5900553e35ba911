"""Events that were not written again for a time go: they are the one kind that nobody deletes.

In:    the cache of Events, the time they live.
Out:   deletions, one by one, of the revision that was judged.
Cost:  an event is parsed once for each of its revisions, not at every look; nothing else in an idle server grows with
       what happened in the last hour. Kept here: a moment for each event that exists.
"""

import asyncio
from datetime import datetime, timedelta

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.orchestration.apiserver.registry.cache import TURN, Cached
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.store.contract import RevisionMismatch

PERIOD_S_MAX = 60.0


class EventExpiry:
    """`run` until cancelled."""

    def __init__(self, served: Served, registry: Registry, clock: Clock, ttl_s: float) -> None:
        self._served = served
        self._registry = registry
        self._clock = clock
        self._ttl_s = ttl_s
        self._written: dict[str, tuple[int, datetime]] = {}  # by key: revision, moment of the last write

    async def run(self) -> None:
        """Look every minute, oftener when events live for less than ten."""
        while True:
            await asyncio.sleep(min(PERIOD_S_MAX, self._ttl_s / 10))
            await self.sweep()

    async def sweep(self) -> None:
        """One look at all events."""
        limit = self._clock.now() - timedelta(seconds=self._ttl_s)
        known, self._written = self._written, {}
        parsed = 0
        for cached in list(self._served.cache.select()):
            revision, moment = known.get(cached.key, (0, limit))
            if revision != cached.revision:
                moment = last_write(cached)
                parsed += 1
                if parsed % TURN == 0:
                    await asyncio.sleep(0)
            self._written[cached.key] = cached.revision, moment
            if moment < limit:
                try:
                    await self._registry.delete(self._served.cache, cached.key, expected=cached.revision)
                except RevisionMismatch:
                    continue  # written again just now


def last_write(cached: Cached) -> datetime:
    """When the event was last said."""
    obj = cached.obj()
    return parse_rfc3339(obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"])

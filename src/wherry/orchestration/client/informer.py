"""A local, indexed copy of one resource, kept by list and watch.

In:    a `Client` and a selection.
Out:   the newest known state by key and by index; callbacks `(old, new)` for every change.
Spec:  client-go tools/cache (Reflector, SharedIndexInformer).

Promises: a callback runs after the cache holds the change, in order per key; after a relist, objects that vanished
meanwhile are reported as deleted, and unchanged ones (same resourceVersion) are not reported. The watch resumes from
the last event or bookmark; only `Expired` makes it list again. Objects handed out are shared: never mutate them.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from wherry.kit.clock import loop_time
from wherry.kit.errors import Expired, WherryError
from wherry.orchestration.client.client import Client, WatchEvent
from wherry.orchestration.objects.meta import Object, key_of, namespace_of, revision_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
RETRY_S_MIN = 0.1
RETRY_S_MAX = 30.0
WATCH_S_SHORTEST = 0.5  # a watch that ends sooner and saw nothing counts as a failure, or it would spin

Indexer = Callable[[Object], Iterable[str]]
Subscriber = Callable[[Object | None, Object | None], None]


class Informer:
    """See the module docstring. `namespace` "" means all."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        indexers: Mapping[str, Indexer] | None = None,
        *,
        metadata_only: bool = False,
    ) -> None:
        self.resource = resource
        self.revision = ""  # of the newest thing seen
        self._client = client
        self._selection: dict[str, Any] = {
            "namespace": namespace, "labels": labels, "fields": fields, "metadata_only": metadata_only,
        }  # fmt: skip
        self._objects: dict[str, Object] = {}
        self._indexers: dict[str, Indexer] = {}
        self._indices: dict[str, dict[str, dict[str, Object]]] = {}
        self._subscribers: list[Subscriber] = []
        self._synced = asyncio.Event()
        self._failures = 0
        self.add_index("namespace", lambda obj: (namespace_of(obj),))
        for name, indexer in (indexers or {}).items():
            self.add_index(name, indexer)

    @property
    def synced(self) -> bool:
        """True once the first list is in."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Return once the first list is in."""
        await self._synced.wait()

    def get(self, key: str) -> Object | None:
        """The object of that key (`namespace/name` or `name`)."""
        return self._objects.get(key)

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects for which indexer `name` gave `value`."""
        return [*self._indices[name].get(value, {}).values()]

    def list(self, namespace: str = "") -> list[Object]:
        """All objects, or those of one namespace, in no particular order."""
        return self.by_index("namespace", namespace) if namespace else [*self._objects.values()]

    def add_index(self, name: str, indexer: Indexer) -> None:
        """Index by `indexer` from now on; a name that exists already is left as it is."""
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        self._indices[name] = {}
        for key, obj in self._objects.items():
            self._index(name, key, None, obj)

    def subscribe(self, callback: Subscriber) -> None:
        """Call `callback(old, new)` for every change; what is known already is told at once as `(None, obj)`."""
        self._subscribers.append(callback)
        for obj in [*self._objects.values()]:
            callback(None, obj)

    def unsubscribe(self, callback: Subscriber) -> None:
        """Stop calling `callback`."""
        self._subscribers.remove(callback)

    @contextmanager
    def subscribed(self, callback: Subscriber) -> Iterator[None]:
        """Subscribed until the block ends."""
        self.subscribe(callback)
        try:
            yield
        finally:
            self.unsubscribe(callback)

    async def run(self) -> None:
        """Keep the copy fresh until cancelled."""
        while True:
            try:
                if not self.revision:
                    await self._list()
                await self._watch()
            except Expired:
                log.debug("%s: revision %s expired, listing again", self.resource.qualified_name, self.revision)
                self.revision = ""
                await asyncio.sleep(RETRY_S_MIN * random.uniform(0.0, 1.0))  # many informers expire at once
            except WherryError as error:
                log.log(
                    logging.WARNING if self._failures >= 3 else logging.DEBUG,
                    "%s: list or watch interrupted: %s", self.resource.qualified_name, error,
                )  # fmt: skip
                await self._pause()

    async def _pause(self) -> None:
        delay_s = min(RETRY_S_MIN * 2.0 ** min(self._failures, 16), RETRY_S_MAX)
        self._failures += 1
        await asyncio.sleep(delay_s * random.uniform(0.75, 1.25))

    async def _list(self) -> None:
        found: dict[str, Object] = {}
        page = await self._client.list(self.resource, limit=PAGE_SIZE, **self._selection)
        found.update((key_of(item), item) for item in page.items)
        while page.continue_:
            page = await self._client.list(self.resource, limit=PAGE_SIZE, continue_=page.continue_, **self._selection)
            found.update((key_of(item), item) for item in page.items)
        for key in [key for key in self._objects if key not in found]:
            self._set(key, None)
        for key, obj in found.items():
            self._set(key, obj)
        self.revision = page.revision
        self._failures = 0
        self._synced.set()

    async def _watch(self) -> None:
        began_at, events = loop_time(), 0
        stream = self._client.watch(self.resource, revision=self.revision, **self._selection)
        async with aclosing(stream):
            async for event in stream:
                self._apply(event)
                self._failures = 0
                events += 1
        if not events and loop_time() - began_at < WATCH_S_SHORTEST:
            await self._pause()

    def _apply(self, event: WatchEvent) -> None:
        if event.type in ("ADDED", "MODIFIED"):
            self._set(key_of(event.object), event.object)
        elif event.type == "DELETED":
            self._set(key_of(event.object), None, last=event.object)
        self.revision = revision_of(event.object) or self.revision

    def _set(self, key: str, new: Object | None, *, last: Object | None = None) -> None:
        old = self._objects.get(key)
        if new is not None:
            if old is not None and revision_of(old) == revision_of(new):
                return
            self._objects[key] = new
        elif old is None:
            return
        else:
            del self._objects[key]
        for name in self._indexers:
            self._index(name, key, old, new)
        for callback in self._subscribers:
            # The last state of a deleted object is the one the server sent with the deletion, when it sent one.
            callback(last if new is None and last is not None else old, new)

    def _index(self, name: str, key: str, old: Object | None, new: Object | None) -> None:
        index, indexer = self._indices[name], self._indexers[name]
        if old is not None:
            for value in indexer(old):
                held = index.get(value)
                if held is not None:
                    held.pop(key, None)
                    if not held:
                        del index[value]
        if new is not None:
            for value in indexer(new):
                index.setdefault(value, {})[key] = new

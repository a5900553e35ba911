"""What a quota let in and the caches do not show yet: two creates of one moment do not pass together.

Out:   `InMemory` for the only server of a store; `InStore` where several write: a record a namespace, changed by compare-and-swap.
How:   `InStore` reads the record, waits until the caches are as new as that, counts, and writes the record if it is still the same.
       What another server let in is in the record, or was seen in the caches by whoever took it out.
       What never comes (its server died, its name was taken) is forgotten some seconds after it was first seen, by our own time.
"""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import uuid4

from wherry.kit.clock import Clock, loop_time, rfc3339
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.registry.cache import ResourceCache
from wherry.orchestration.apiserver.registry.feed import INTERNAL_GROUP, Registry
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.objects.meta import Object, name_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.store.contract import RevisionMismatch

PENDING_S = 5.0  # an object let in that has not appeared after this long was not written
TRIES_MAX = 20  # of a record that others change as well

Pending = Sequence[tuple[Resource, Object]]
Check = Callable[[Pending], None]


class OnTheWay(Protocol):
    """Between the moment a create is let in and the moment the caches show it."""

    async def let_in(self, namespace: str, served: Served, obj: Object, check: Check) -> None:
        """`check` is called with what is on its way, and raises to refuse `obj`; else that is on its way from now on."""

    async def now(self, namespace: str) -> Pending:
        """What is on its way."""

    def changed(self, cache: ResourceCache, key: str) -> None:
        """The caches show a change of `key`."""

    async def forget(self, namespace: str) -> None:
        """It has no quota any more."""


class InMemory:
    """Of one server."""

    def __init__(self) -> None:
        self._pending: dict[str, dict[tuple[str, str], tuple[float, Resource, Object]]] = {}

    async def let_in(self, namespace: str, served: Served, obj: Object, check: Check) -> None:
        check(await self.now(namespace))
        place = served.cache.prefix, f"{namespace}/{name_of(obj)}"
        self._pending.setdefault(namespace, {})[place] = (loop_time() + PENDING_S, served.resource, obj)

    async def now(self, namespace: str) -> Pending:
        pending, now = self._pending.get(namespace, {}), loop_time()
        for place in [place for place, (until, _, _) in pending.items() if until < now]:
            del pending[place]
        return [(resource, obj) for _, resource, obj in pending.values()]

    def changed(self, cache: ResourceCache, key: str) -> None:
        self._pending.get(key.partition("/")[0], {}).pop((cache.prefix, key), None)

    async def forget(self, namespace: str) -> None:
        self._pending.pop(namespace, None)


class InStore:
    """Of all servers on one store."""

    def __init__(self, registry: Registry, table: ServedTable, clock: Clock) -> None:
        self._registry, self._table, self._clock = registry, table, clock
        self._records = registry.cache(INTERNAL_GROUP, "quotause")
        self._until: dict[str, dict[str, float]] = {}  # namespace -> uid of an entry -> loop time until which it counts

    async def let_in(self, namespace: str, served: Served, obj: Object, check: Check) -> None:
        entry = {
            "row": [served.resource.group, served.resource.version, served.resource.plural], "key": f"{namespace}/{name_of(obj)}",
            "object": {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}},
        }
        for _ in range(TRIES_MAX):
            revision, left = await self._record(namespace)
            check(self._objects(left))
            record = {
                "kind": "QuotaUse", "apiVersion": "wherry.dev/v1",
                "metadata": {"name": namespace, "uid": str(uuid4()), "creationTimestamp": rfc3339(self._clock.now())},
                "spec": {"entries": {**left, uid_of(obj): entry}},
            }
            try:
                await self._registry.put(self._records, namespace, record, expected=revision)
                return
            except RevisionMismatch:
                continue
        raise errors.conflict(served.resource, name_of(obj))

    async def now(self, namespace: str) -> Pending:
        return self._objects((await self._record(namespace))[1])

    def changed(self, cache: ResourceCache, key: str) -> None:
        namespace = key.partition("/")[0]
        record = self._records.items.get(namespace)
        entries: dict[str, Object] = record.obj()["spec"]["entries"] if record is not None else {}
        until = self._until.get(namespace, {})
        if cache is self._records:  # what is in it no more never comes back
            self._until[namespace] = {uid: moment for uid, moment in until.items() if uid in entries}
            if not self._until[namespace]:
                del self._until[namespace]
            return
        for uid, entry in entries.items():
            row = self._row(entry)
            if entry["key"] == key and row is not None and row.cache is cache:
                self._until.setdefault(namespace, {})[uid] = 0.0

    async def forget(self, namespace: str) -> None:
        record = await self._registry.read(self._records, namespace)
        if record is not None:
            try:
                await self._registry.delete(self._records, namespace, expected=record.revision)
            except RevisionMismatch:
                pass  # somebody lets something in by a quota that is new

    async def _record(self, namespace: str) -> tuple[int, dict[str, Object]]:
        """(revision, what is neither in the caches nor given up). The caches are as new as the record, or newer."""
        record = await self._registry.read(self._records, namespace)
        await self._registry.fresh()
        entries: dict[str, Object] = record.obj()["spec"]["entries"] if record is not None else {}
        now, until = loop_time(), self._until.setdefault(namespace, {})
        left = {uid: entry for uid, entry in entries.items() if until.setdefault(uid, now + 2 * PENDING_S) > now}
        return record.revision if record is not None else 0, left

    def _row(self, entry: Object) -> Served | None:
        return self._table.find(*entry["row"])

    def _objects(self, entries: dict[str, Object]) -> Pending:
        rows = [(self._row(entry), entry["object"]) for entry in entries.values()]
        return [(row.resource, obj) for row, obj in rows if row is not None]

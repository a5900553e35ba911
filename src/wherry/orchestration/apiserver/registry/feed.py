"""The registry: every object of the cluster in watch caches fed by one watch of the store, and the door for writes.

In:    a `Store`; keys are `/registry/<group or core>/<plural>/[<namespace>/]<name>`.
Out:   `ResourceCache`s; `put` and `delete` with compare-and-swap; `fresh()` before a read that must be linear.
Spec:  DESIGN decisions 2 and 3; resourceVersion is the store's revision.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from wherry.kit.collector import give_back_memory
from wherry.kit.errors import Broken, TimedOut
from wherry.orchestration.apiserver.registry.cache import Cached, ResourceCache
from wherry.orchestration.apiserver.registry.codec import Sealer, encode, with_revision
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import Change, Compacted, SlowWatcher, Store

log = logging.getLogger(__name__)

ROOT = "/registry/"
INTERNAL_GROUP = "_wherry"  # of what is stored and not served; no group of a CustomResourceDefinition can be named so
GROWTH_OF_DELETION_MAX = 2048  # bytes: deletionTimestamp, conditions of the end, managedFields
# Renewed on a full disk as well: without them controllers and scheduler end, and with them the steps that deletions need. No tenant
# writes there.
RENEWED = tuple(f"{ROOT}coordination.k8s.io/leases/{namespace}/" for namespace in ("kube-system", "kube-node-lease"))
LOAD_PAGE = 2_000  # entries read at a time at the start
FRESH_TIMEOUT_S = 3.0  # upstream waits as long for a fresh cache


class Registry:
    """Call `load` once, then keep `run` running; reads and writes work in between."""

    def __init__(self, store: Store, sealer: Sealer, *, is_store_shared: bool = False) -> None:
        self.store = store
        self.revision = 0
        self._sealer = sealer
        self._is_store_shared = is_store_shared
        self._acknowledged = 0
        self._caches: dict[tuple[str, str], ResourceCache] = {}
        self.listeners: list[Callable[[ResourceCache, str], None]] = []  # of every change: (cache, key)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def cache(self, group: str, plural: str) -> ResourceCache:
        """The cache of a stored resource; made when first asked for."""
        cache = self._caches.get((group, plural))
        if cache is None:
            cache = self._caches[group, plural] = ResourceCache(group, plural, self.revision)
        return cache

    def caches(self) -> list[ResourceCache]:
        """All caches that exist."""
        return list(self._caches.values())

    async def load(self) -> None:
        """Read everything from the store."""
        found: dict[tuple[str, str], list[Cached]] = {}
        page = await self.store.list(ROOT, limit=LOAD_PAGE)
        while True:  # page by page: there are never two copies of everything
            for entry in page.entries:
                group, plural, key = split(entry.key)
                found.setdefault((group, plural), []).append(
                    self._cached(entry.key, key, entry.value, entry.modified, entry.created))
            if not page.more:
                break
            page = await self.store.list(ROOT, after=page.entries[-1].key, limit=LOAD_PAGE, revision=page.revision)
        self.revision = max(page.revision, self.revision)
        for group, plural in {*found, *self._caches}:
            self.cache(group, plural).load(found.get((group, plural), []), page.revision)
        self._wake()
        give_back_memory()

    async def run(self) -> None:
        """Follow the store for ever; start over from a new listing when history is lost."""
        while True:
            try:
                async with closing(self.store.watch(ROOT, after=self.revision)) as changes:
                    async for change in changes:
                        self._apply(change)
            except (Compacted, SlowWatcher) as error:
                log.warning("store watch lost: %s; listing again", error)
            await self.load()

    def _apply(self, change: Change) -> None:
        group, plural, key = split(change.key)
        new = None
        if change.value is not None:
            new = self._cached(change.key, key, change.value, change.revision, change.created)
        self.revision = change.revision
        cache = self.cache(group, plural)
        cache.apply(key, new, change.revision)
        for listener in self.listeners:
            listener(cache, key)
        if self._waiting:
            self._wake()

    def _cached(self, store_key: str, key: str, value: bytes, revision: int, created: int) -> Cached:
        return Cached(key, with_revision(self._sealer.open(store_key, value), revision), revision, created)

    def open_change(self, cache: ResourceCache, change: Change) -> tuple[Cached | None, Cached | None]:
        """(new, old) of a change read from the store's history."""
        key = change.key[len(cache.prefix):]
        new = old = None
        if change.value is not None:
            new = self._cached(change.key, key, change.value, change.revision, change.created)
        if change.previous is not None:
            old = self._cached(change.key, key, change.previous, change.revision, change.created)
        return new, old

    def open_entry(self, cache: ResourceCache, store_key: str, value: bytes, modified: int, created: int) -> Cached:
        """An entry listed from the store."""
        return self._cached(store_key, store_key[len(cache.prefix):], value, modified, created)

    async def fresh(self) -> int:
        """Wait until the caches hold everything acknowledged before this call; return their revision."""
        target = await self.store.revision() if self._is_store_shared else self._acknowledged
        if self.revision < target:
            await self.reached(target)
        return self.revision

    async def settled(self) -> None:
        """Wait until the caches hold this server's own acknowledged writes; admission decides by them."""
        if self.revision < self._acknowledged:
            await self.reached(self._acknowledged)

    async def reached(self, revision: int, timeout_s: float = FRESH_TIMEOUT_S) -> None:
        """Wait until the caches hold `revision`. Raise `TimedOut`."""
        if self.revision >= revision:
            return
        with self._waiter(revision) as future:
            try:
                async with asyncio.timeout(timeout_s):
                    await future
            except TimeoutError as error:
                if self.revision >= revision:  # it came in the same busy turn of the loop that ended the time
                    return
                raise TimedOut(f"revision {revision} is not here yet, current {self.revision}") from error

    @contextmanager
    def _waiter(self, revision: int) -> Iterator[asyncio.Future[None]]:
        entry = (revision, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            yield entry[1]
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def _wake(self) -> None:
        for revision, future in self._waiting:
            if revision <= self.revision and not future.done():
                future.set_result(None)

    async def put(self, cache: ResourceCache, key: str, obj: Object, *, expected: int, created: int = 0) -> Cached:
        """Write `obj`; raise `RevisionMismatch` when the stored revision is not `expected` (0: absent)."""
        value = encode(obj)
        store_key = cache.prefix + key
        is_needed = "deletionTimestamp" in obj["metadata"] or store_key.startswith(RENEWED)
        frees = expected > 0 and is_needed and self._hardly_grows(cache, key, value)
        revision = await self.store.put(store_key, self._sealer.seal(store_key, value), expected=expected, frees=frees)
        self._acknowledged = max(self._acknowledged, revision)
        return Cached(key, with_revision(value, revision), revision, created or revision)

    @staticmethod
    def _hardly_grows(cache: ResourceCache, key: str, value: bytes) -> bool:
        """True for what a deletion or a renewal writes; an object that waits for a finalizer cannot be used to fill the reserve."""
        known = cache.items.get(key)
        return known is not None and len(value) <= len(known.data) + GROWTH_OF_DELETION_MAX

    async def delete(self, cache: ResourceCache, key: str, *, expected: int) -> int:
        """Remove; raise `RevisionMismatch` as `put` does."""
        revision = await self.store.delete(cache.prefix + key, expected=expected)
        self._acknowledged = max(self._acknowledged, revision)
        return revision

    async def read(self, cache: ResourceCache, key: str) -> Cached | None:
        """The newest state of one object, linear."""
        if not self._is_store_shared:
            await self.fresh()
            return cache.items.get(key)
        entry = await self.store.get(cache.prefix + key)
        if entry is None:
            return None
        return self._cached(entry.key, key, entry.value, entry.modified, entry.created)


def split(store_key: str) -> tuple[str, str, str]:
    """(group, plural, "namespace/name" or "name") of a store key."""
    group, _, rest = store_key[len(ROOT):].partition("/")
    plural, _, key = rest.partition("/")
    if not key:
        raise Broken(f"{store_key!r} is not a key of this store")
    return ("" if group == "core" else group), plural, key


@asynccontextmanager
async def closing(changes: AsyncIterator[Change]) -> AsyncIterator[AsyncIterator[Change]]:
    """End a store watch with the block."""
    try:
        yield changes
    finally:
        close = getattr(changes, "aclose", None)
        if close is not None:
            await close()

"""The store in memory: for tests and throw-away clusters. Keeps every promise of the contract but durability."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncGenerator

from wherry.kit.errors import Unavailable
from wherry.orchestration.store.contract import Change, Compacted, Entry, FutureRevision, Page, RevisionMismatch
from wherry.orchestration.store.keys import checked_key, end_of_prefix
from wherry.orchestration.store.watchers import BACKLOG_MAX, Watchers

FIRST_REVISION = 1


class MemoryStore:
    """See `contract.Store`. All methods finish without waiting, so each is atomic on the event loop."""

    def __init__(self, *, backlog_max: int = BACKLOG_MAX) -> None:
        self._live: dict[str, Entry] = {}
        self._keys: list[str] = []  # sorted
        self._history: list[tuple[Change, Entry | None]] = []  # (change, entry before it) after `_compacted`
        self._revision = FIRST_REVISION
        self._compacted = 0
        self._watchers = Watchers(backlog_max)
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        self._check_open()
        return self._live.get(checked_key(key))

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        self._check_open()
        at = revision or self._revision
        self._check_readable(at)
        live = self._live if at == self._revision else self._as_of(at)
        keys = self._keys if at == self._revision else sorted(live)
        low = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        end = end_of_prefix(prefix)
        high = len(keys) if end is None else bisect_left(keys, end)
        cut = min(high, low + limit) if limit else high
        entries = tuple(live[key] for key in keys[low:cut])
        return Page(entries, at, more=cut < high, remaining=max(0, high - cut))

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        self._check_open()
        old = self._expect(checked_key(key), expected)
        created = old.created if old else self._revision + 1
        if old is None:
            insort(self._keys, key)
        self._live[key] = Entry(key, value, created, self._revision + 1)
        change = Change(key, value, old.value if old else None, self._revision + 1, created)
        return self._commit(change, old)

    async def delete(self, key: str, *, expected: int) -> int:
        self._check_open()
        old = self._expect(checked_key(key), expected)
        if old is None:
            raise RevisionMismatch(key, expected, 0)
        del self._live[key]
        del self._keys[bisect_left(self._keys, key)]
        return self._commit(Change(key, None, old.value, self._revision + 1, old.created), old)

    async def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        self._check_open()
        at = after
        while at < self._revision:
            if at < self._compacted:
                raise Compacted(at, self._compacted)
            change, _ = self._history[self._place_after(at)]
            at = change.revision
            if change.key.startswith(prefix):
                yield change
        # No await between the last look at `_revision` and here: the watcher misses nothing and sees nothing twice.
        watcher = self._watchers.subscribe(prefix)
        try:
            async for change in watcher.changes():
                if change.revision > after:
                    yield change
        finally:
            self._watchers.unsubscribe(watcher)

    async def revision(self) -> int:
        self._check_open()
        return self._revision

    async def check_space(self) -> None:
        self._check_open()

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} has not happened yet, newest is {self._revision}")
        self._compacted = max(self._compacted, revision)
        del self._history[: self._place_after(self._compacted)]

    async def close(self) -> None:
        self._closed = True
        self._watchers.stop(Unavailable("the store is closed"))

    def _expect(self, key: str, expected: int) -> Entry | None:
        old = self._live.get(key)
        found = old.modified if old else 0
        if found != expected:
            raise RevisionMismatch(key, expected, found)
        return old

    def _place_after(self, revision: int) -> int:
        return bisect_right(self._history, revision, key=lambda row: row[0].revision)

    def _commit(self, change: Change, before: Entry | None) -> int:
        self._revision = change.revision
        self._history.append((change, before))
        self._watchers.publish((change,))
        return change.revision

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _check_readable(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} has not happened yet, newest is {self._revision}")
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)

    def _as_of(self, revision: int) -> dict[str, Entry]:
        """Undo history, newest first, down to `revision`. Costs a copy of all keys."""
        live = dict(self._live)
        for change, before in reversed(self._history):
            if change.revision <= revision:
                break
            if before is None:
                live.pop(change.key, None)
            else:
                live[change.key] = before
        return live

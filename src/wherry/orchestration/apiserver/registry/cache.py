"""The newest bytes of every object of one resource, its recent changes, and who watches them.

In:    changes in revision order (`registry/feed.py`).
Out:   `Cached` entries, ordered by key; `CacheEvent`s to watchers.
Cost:  bytes are kept as they go on the wire; labels and fields are parsed once, when a selector first asks
       (`warmed` does so in turns, so that the first selector over very many objects holds up nobody).
Never: waits, or calls the store.
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from wherry.orchestration.apiserver.registry.codec import at_revision
from wherry.orchestration.objects.meta import Object

RECENT_EVENTS_MAX = 256  # per resource; a watch from further back replays from the store's history
RECENT_BYTES_MAX = 8 << 20  # of their objects: else 256 changes of one large object cost a quarter of a gigabyte
WATCHER_EVENTS_MAX = 20_000  # a reader this far behind is cut off and lists again
WATCHER_BYTES_MAX = 64 << 20  # or this far; objects are shared between watchers, so this bounds all of them together
UNWARMED_MAX = 10_000  # changes remembered for the next selector; with more, everything is gone through
LINES_KEPT_MAX, LINES_BYTES_MAX = 16, 4 << 20  # watch events as text; a single larger one is kept, too

TURN = 100  # objects parsed before others may go on: about 3 ms
WAKE_TURN = 100  # watchers woken before others may go on: each writes to its connection, some 6 ms together

Fields = Callable[[Object], tuple[str, ...]]


NO_LABELS: Mapping[str, str] = {}


class Cached:
    """One object at one revision. `data` is its JSON with resourceVersion; treat everything as read-only."""

    __slots__ = ("_selectable", "created", "data", "key", "revision", "views")

    def __init__(self, key: str, data: bytes, revision: int, created: int) -> None:
        self.key = key  # "namespace/name" or "name"
        self.data = data
        self.revision = revision
        self.created = created
        self._selectable: tuple[Fields, Mapping[str, str], tuple[str, ...]] | None = None
        self.views: dict[object, Any] | None = None  # other representations, by view

    @property
    def namespace(self) -> str:
        """"" for cluster-scoped objects."""
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.key.rpartition("/")[2]

    def obj(self) -> Object:
        """A fresh copy of the object."""
        parsed: Object = orjson.loads(self.data)
        return parsed

    def is_warm(self, fields: Fields) -> bool:
        """True when `selectable` has nothing to parse."""
        return self._selectable is not None and self._selectable[0] is fields

    def selectable(self, fields: Fields) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """(labels, values of `fields`) for selectors. Kept for one reader: two API groups may serve one object."""
        kept = self._selectable
        if kept is None or kept[0] is not fields:
            obj = self.obj()
            kept = self._selectable = (fields, obj["metadata"].get("labels") or NO_LABELS, fields(obj))
        return kept[1], kept[2]


@dataclass(slots=True)
class CacheEvent:
    """One change. `new` is None for a deletion; `old` is None for a creation."""

    revision: int
    new: Cached | None
    old: Cached | None
    _last: Cached | None = None

    @property
    def size_bytes(self) -> int:
        """What holding on to this change costs."""
        kept = self.new or self.old
        return len(kept.data) if kept is not None else 0

    def last(self) -> Cached:
        """The state before, stamped with this event's revision: what DELETED carries."""
        if self._last is None:
            assert self.old is not None
            data = at_revision(self.old.data, self.revision)
            self._last = Cached(self.old.key, data, self.revision, self.old.created)
        return self._last


class Lines:
    """The last few watch events as they are written: made once for all watchers that get the same, held once while some have not
    taken it. What is held here is bounded in number and bytes."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, bytes] = {}
        self._bytes = 0

    def of(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The line of that key, made now where it is not kept."""
        line = self._kept.get(key)
        if line is None:
            line = make()
            while self._kept and (len(self._kept) >= LINES_KEPT_MAX or self._bytes + len(line) > LINES_BYTES_MAX):
                self._bytes -= len(self._kept.pop(next(iter(self._kept))))
            self._kept[key] = line
            self._bytes += len(line)
        return line


@dataclass(slots=True, eq=False)
class Watcher:
    """A bounded queue of events. `is_cut` tells that it overflowed or the cache was rebuilt: end the watch."""

    events: deque[CacheEvent] = field(default_factory=deque)
    is_cut: bool = False
    is_in_line: bool = False  # to be woken: what comes meanwhile is taken with the rest
    _bytes: int = 0
    _waiter: asyncio.Future[None] | None = None

    def push(self, event: CacheEvent) -> None:
        """Add an event, and `wake` it later; past the limit the watcher is cut off, and nothing comes after the gap."""
        if self.is_cut:
            return
        self._bytes += event.size_bytes
        if len(self.events) >= WATCHER_EVENTS_MAX or self._bytes > WATCHER_BYTES_MAX:
            self.cut()
            return
        self.events.append(event)

    async def woken(self) -> None:
        """Wait for the next `wake`. Look at `events` and `is_cut` before: what came earlier wakes nobody."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None  # a cancelled one holds the frames that wait for it

    def wake(self) -> None:
        """Let the reader look, when it waits."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def later_than(self, revision: int) -> Iterator[CacheEvent]:
        """What has come after `revision`, oldest first; each is let go of as it is handed out. A cut ends it."""
        while self.events:
            event = self.events.popleft()
            self._bytes -= event.size_bytes
            if event.revision > revision:
                yield event

    def cut(self) -> None:
        """End the watch."""
        self.is_cut = True
        self.events.clear()
        self.wake()


class ResourceCache:
    """See the module docstring. `revision` is that of the newest change of this resource."""

    def __init__(self, group: str, plural: str, revision: int) -> None:
        self.group, self.plural = group, plural
        self.prefix = f"/registry/{group or 'core'}/{plural}/"
        self.revision = revision
        self.items: dict[str, Cached] = {}
        self._order: list[str] = []
        self._recent: deque[CacheEvent] = deque()
        self._recent_bytes = 0
        self._recent_after = revision  # every event later than this is in `_recent`
        self.watchers: dict[Watcher, None] = {}  # in the order they came: who is told first is no matter of addresses
        self._line: deque[Watcher] = deque()  # those that have something new and are not woken yet
        self._is_waking = False
        self.listeners: list[Callable[[CacheEvent], None]] = []
        self.lines = Lines()
        self._warm_for: Fields | None = None  # the reader for which all entries were made ready
        self._unwarmed: set[str] = set()  # keys of those that have come or changed since: what they were before is let go of
        self.index: FieldIndex | None = None

    async def warm(self, fields: Fields) -> None:
        """Have ready what selectors will look at; later only what has changed is gone through."""
        if self._warm_for is fields:
            changed, self._unwarmed = self._unwarmed, set()
            await warmed([self.items[key] for key in changed], fields)
        else:
            items = self.items
            await warmed(list(items.values()), fields)
            if items is self.items:  # not loaded anew meanwhile
                self._warm_for, self._unwarmed = fields, set()

    async def indexed(self, fields: Fields, place: int) -> "FieldIndex":
        """The index of one selectable field; made when first asked for, kept from then on."""
        if self.index is None or self.index.fields is not fields:
            await self.warm(fields)
            self.index = FieldIndex(fields, place, self.items.values())
        return self.index

    def load(self, items: list[Cached], revision: int) -> None:
        """Replace everything. Watchers are cut off because what lies between is not known here; listeners are told
        what differs."""
        before = self.items
        self.items = {item.key: item for item in items}
        self._order = sorted(self.items)
        self.revision = revision
        self.index, self._warm_for, self._unwarmed = None, None, set()
        self._recent.clear()
        self._recent_bytes = 0
        self._recent_after = revision
        for watcher in tuple(self.watchers):
            watcher.cut()
        for key in sorted({*before, *self.items}) if self.listeners else ():
            old, new = before.get(key), self.items.get(key)
            if old is None or new is None or old.revision != new.revision:
                for listener in self.listeners:
                    listener(CacheEvent(revision, new, old))

    def apply(self, key: str, new: Cached | None, revision: int) -> None:
        """Take in one change and hand it on."""
        old = self.items.get(key)
        if new is not None:
            if old is None:
                insort(self._order, key)
            self.items[key] = new
        elif old is not None:
            del self.items[key]
            del self._order[bisect_left(self._order, key)]
        else:
            return
        self.revision = revision
        if self.index is not None:
            self.index.apply(old, new)
        self._note_unwarmed(key, new)
        event = CacheEvent(revision, new, old)
        self._recent.append(event)
        self._recent_bytes += event.size_bytes
        while len(self._recent) > RECENT_EVENTS_MAX or self._recent_bytes > RECENT_BYTES_MAX:
            oldest = self._recent.popleft()
            self._recent_after, self._recent_bytes = oldest.revision, self._recent_bytes - oldest.size_bytes
        for watcher in self.watchers:
            watcher.push(event)
            if not watcher.is_in_line:
                watcher.is_in_line = True
                self._line.append(watcher)
        if self._line and not self._is_waking:
            self._wake_some()
        for listener in self.listeners:
            listener(event)

    def _wake_some(self) -> None:
        """The first in line; the others in later turns of the loop, so that a crowd of watchers holds up nobody else."""
        for _ in range(min(WAKE_TURN, len(self._line))):
            watcher = self._line.popleft()
            watcher.is_in_line = False
            watcher.wake()
        self._is_waking = bool(self._line)
        if self._is_waking:
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _note_unwarmed(self, key: str, new: Cached | None) -> None:
        if new is None:
            self._unwarmed.discard(key)
        elif self._warm_for is not None and not new.is_warm(self._warm_for):
            self._unwarmed.add(key)
            if len(self._unwarmed) > UNWARMED_MAX:
                self._warm_for, self._unwarmed = None, set()

    def keys(self, namespace: str = "", after: str = "") -> list[str]:
        """Keys in order, of one namespace when given, later than `after` when given."""
        low, high = 0, len(self._order)
        if namespace:
            low, high = bisect_left(self._order, f"{namespace}/"), bisect_left(self._order, f"{namespace}0")
        if after:
            low = max(low, bisect_left(self._order, after))
            if low < high and self._order[low] == after:
                low += 1
        return self._order[low:high]

    def select(self, namespace: str = "") -> Iterator[Cached]:
        """Entries in key order."""
        items = self.items
        return (items[key] for key in self.keys(namespace))

    def recent_after(self, revision: int) -> list[CacheEvent] | None:
        """The changes later than `revision`, or None when some of them are no longer here."""
        if revision < self._recent_after:
            return None
        return [event for event in self._recent if event.revision > revision]


class FieldIndex:
    """Keys by the value of one selectable field, as `spec.nodeName` of Pods: what every node asks for."""

    def __init__(self, fields: Fields, place: int, items: Iterable[Cached]) -> None:
        self.fields = fields
        self._place = place
        self._keys: dict[str, set[str]] = {}
        for item in items:
            self.apply(None, item)

    def apply(self, old: Cached | None, new: Cached | None) -> None:
        """Take in one change."""
        if old is not None:
            value = self._value(old)
            keys = self._keys.get(value, set())
            keys.discard(old.key)
            if not keys:
                self._keys.pop(value, None)
        if new is not None:
            self._keys.setdefault(self._value(new), set()).add(new.key)

    def keys(self, value: str, namespace: str = "", after: str = "") -> list[str]:
        """In order, of one namespace when given, later than `after`."""
        prefix = f"{namespace}/" if namespace else ""
        return sorted(key for key in self._keys.get(value, ()) if key > after and key.startswith(prefix))

    def _value(self, item: Cached) -> str:
        return item.selectable(self.fields)[1][self._place]


async def warmed(items: Sequence[Cached], fields: Fields) -> None:
    """Parse what selectors need of `items`, letting others go on in between."""
    parsed = 0
    for item in items:
        if not item.is_warm(fields):
            item.selectable(fields)
            parsed += 1
            if parsed % TURN == 0:
                await asyncio.sleep(0)

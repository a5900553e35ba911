"""Watches of the API server beside a plain model of them: from memory, from the store's history, or from nowhere any more.

The cache keeps few changes here and its watchers fewer, so that a run of some steps reaches every limit.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from wherry.orchestration.apiserver.registry import cache
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.objects.kinds import CONFIG_MAPS
from wherry.orchestration.objects.meta import Object, name_of, revision_of
from wherry.testing.api import TestApi, api_server
from wherry.testing.state_machines import LoopMachine, holds
from wherry.testing.virtual_time import VirtualLoop

RECENT_MAX = 4
WATCHER_MAX = 3
BOOKMARK_S = 60.0
FOR_EVER = 1e9
SETTINGS = ApiServerSettings(bookmark_period_s=BOOKMARK_S, compaction_period_s=FOR_EVER)
NAMES = st.sampled_from(["a", "b", "c"])
COLORS = st.sampled_from(["red", "blue"])
SELECTORS = st.sampled_from(["", "color=red", "color!=red"])
WATCHES_MAX = 3
TURNS = 50

Event = tuple[str, str, int]  # type, name, revision


@dataclass(frozen=True)
class Change:
    """What one write did. `old`, `new`: the color, None for nothing."""

    name: str
    revision: int
    old: str | None
    new: str | None

    def event(self, selector: str) -> Event | None:
        """What a watch with that selector gets of it."""
        was, now = (color is not None and _selects(selector, color) for color in (self.old, self.new))
        kind = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, now))
        return None if kind is None else (kind, self.name, self.revision)


def _selects(selector: str, color: str) -> bool:
    return {"": True, "color=red": color == "red", "color!=red": color != "red"}[selector]


@dataclass
class Reader:
    """One watch, and what it is to have got. While `is_slow` it takes one piece and no other."""

    selector: str
    last: int  # revision of the last thing it got, bookmarks too
    expected: list[Event] = field(default_factory=list)
    got: list[Event] = field(default_factory=list)
    bookmarks: list[int] = field(default_factory=list)
    error: Object | None = None
    has_ended: bool = False
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    is_waiting: bool = True  # for the next piece
    unread: list[Change] = field(default_factory=list)  # by the model
    is_cut: bool = False
    task: "asyncio.Task[None] | None" = None

    @property
    def is_slow(self) -> bool:
        return not self.may_go_on.is_set()

    def leave(self) -> None:
        """Its user does not want more."""
        assert self.task is not None
        self.task.cancel()

    async def follow(self, api: TestApi, revision: int) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(revision), "timeoutSeconds": "100000000",
                 "labelSelector": self.selector}  # fmt: skip
        async with api.client.stream("GET", CONFIG_MAPS.path("default"), query=query, silence_s=0.0) as stream:
            async for chunk in stream.chunks:
                for line in chunk.splitlines():
                    self.take(orjson.loads(line))
                await self.may_go_on.wait()
        self.has_ended = True

    def take(self, event: Object) -> None:
        if event["type"] == "ERROR":
            self.error = event["object"]
            return
        self.last = int(revision_of(event["object"]))
        if event["type"] == "BOOKMARK":
            self.bookmarks.append(self.last)
        else:
            self.got.append((event["type"], name_of(event["object"]), self.last))

    def told(self, change: Change) -> None:
        """The model's side of one change."""
        event = change.event(self.selector)
        if self.is_cut:
            return
        if self.is_slow and not self.is_waiting:
            self.unread.append(change)  # selected or not: nobody looks before it is taken
            if len(self.unread) > WATCHER_MAX:
                self.is_cut = True
                self.unread.clear()
        elif event is not None:
            self.expected.append(event)
            self.is_waiting = not self.is_slow


class WatchMachine(LoopMachine):
    """`changes` and `colors` are the model."""

    loop_factory = VirtualLoop
    api: TestApi

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(cache, "RECENT_EVENTS_MAX", RECENT_MAX)
        self.patch.setattr(cache, "WATCHER_EVENTS_MAX", WATCHER_MAX)
        self.changes: list[Change] = []
        self.colors: dict[str, str] = {}
        self.compacted = 0
        self.loaded = 0
        self.readers: list[Reader] = []

    @initialize()
    def begin(self) -> None:
        self.stopping = asyncio.Event()
        self.run(self._begin())

    async def _begin(self) -> None:
        ready = asyncio.Event()

        async def serve() -> None:
            async with api_server(settings=SETTINGS) as self.api, asyncio.TaskGroup() as self.tasks:
                ready.set()
                await self.stopping.wait()
                for reader in self.readers:
                    reader.leave()

        self.serving = asyncio.create_task(serve())
        await ready.wait()

    @property
    def newest(self) -> int:
        return self.api.server.registry.revision

    def changed(self, name: str, new: str | None, revision: int) -> None:
        change = Change(name, revision, self.colors.pop(name, None), new)
        if new is not None:
            self.colors[name] = new
        self.changes.append(change)
        for reader in self.readers:
            reader.told(change)

    @rule(writes=st.lists(st.tuples(NAMES, COLORS), min_size=1, max_size=RECENT_MAX + 2))
    def write(self, writes: list[tuple[str, str]]) -> None:
        for name, color in writes:
            labels, number = {"color": color}, len(self.changes)  # each write changes something
            obj = {"metadata": {"name": name, "namespace": "default", "labels": labels}, "data": {"n": str(number)}}
            call = self.api.client.update if name in self.colors else self.api.client.create
            self.changed(name, color, int(revision_of(self.run(call(CONFIG_MAPS, obj)))))
            self.let_readers_read()

    @precondition(lambda self: self.colors)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.colors)))
        self.run(self.api.client.delete(CONFIG_MAPS, name, "default"))
        self.run(self.api.server.registry.settled())
        self.changed(name, None, self.newest)

    @rule(back=st.integers(0, 8))
    def compact(self, back: int) -> None:
        at = max(1, self.newest - back)
        self.run(self.api.server.registry.store.compact(at))
        self.compacted = max(self.compacted, at)

    @precondition(lambda self: self.newest > self.loaded + 3 * RECENT_MAX)
    @rule()
    def lose_the_stores_watch(self) -> None:
        """Everything is listed again: watches end, and what was before is known from the store's history only."""
        self.run(self.api.server.registry.load())
        self.loaded = self.newest
        for reader in self.readers:
            self.run(self.ended(reader))
            assert reader.error is None and (reader.is_slow or reader.got == reader.expected)
        self.readers.clear()

    @precondition(lambda self: len(self.readers) < WATCHES_MAX)
    @rule(back=st.integers(0, RECENT_MAX + 2), selector=SELECTORS)
    def watch(self, back: int, selector: str) -> None:
        self.watch_from(max(1, self.newest - back), selector)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def resume_from_what_came_last(self, data: st.DataObject) -> None:
        """Another watch from the same place gets what the first is still to get, and nothing else."""
        reader = data.draw(st.sampled_from(self.readers))
        if len(self.readers) < WATCHES_MAX:
            self.watch_from(reader.last, reader.selector)

    def watch_from(self, revision: int, selector: str) -> None:
        missed = [change for change in self.changes if change.revision > revision]
        reader = Reader(selector, revision, [event for change in missed if (event := change.event(selector))])
        reader.may_go_on.set()

        async def begin() -> None:
            reader.task = self.tasks.create_task(reader.follow(self.api, revision))
            await self.caught_up()

        self.run(begin())
        if reader.error is None:
            assert revision >= self.compacted or len(missed) <= RECENT_MAX, "what is neither kept nor in history was not missed"
            self.readers.append(reader)
        else:
            assert (reader.error["code"], reader.error["reason"]) == (410, "Expired")
            assert revision < self.compacted and not reader.got
            assert missed or revision < self.loaded, "what was compacted is not needed when nothing came since"

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_reader_becomes_slow_or_goes_on(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        if not reader.is_slow:
            reader.may_go_on.clear()
            return
        reader.may_go_on.set()
        reader.is_waiting = True
        reader.expected += [event for change in reader.unread if (event := change.event(reader.selector))]
        reader.unread.clear()
        if reader.is_cut:
            self.run(self.ended(reader))
            assert reader.got == reader.expected and reader.error is None
            self.readers.remove(reader)

    @precondition(lambda self: len(self.readers) == WATCHES_MAX)
    @rule()
    def two_readers_leave(self) -> None:
        """Nothing is kept for them."""
        for _ in range(2):
            self.readers.pop(0).leave()
        self.let_readers_read()
        assert len(self.api.server.registry.cache("", "configmaps").watchers) == len(self.readers)

    @precondition(lambda self: self.readers)
    @rule()
    def a_quiet_minute(self) -> None:
        """Whoever waits gets a bookmark at the newest revision."""
        counts = [len(reader.bookmarks) for reader in self.readers]
        self.run(asyncio.sleep(BOOKMARK_S + 1))
        for reader, count in zip(self.readers, counts, strict=True):
            if reader.is_slow:
                reader.is_waiting = reader.is_waiting and len(reader.bookmarks) == count
            else:
                assert reader.bookmarks[count:] == [self.newest]

    async def ended(self, reader: Reader) -> None:
        reader.may_go_on.set()
        await self.caught_up()
        assert reader.has_ended

    async def caught_up(self) -> None:
        """Turns of the loop enough for all that can come without time; what comes too much shows as well."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def let_readers_read(self) -> None:
        self.run(self.caught_up())

    @invariant()
    def readers_have_got_every_change_once_and_in_order(self) -> None:
        self.let_readers_read()
        for reader in self.readers:
            assert reader.got == reader.expected and not reader.has_ended

    def teardown(self) -> None:
        if hasattr(self, "serving"):
            self.stopping.set()
            self.run(asyncio.wait_for(self.serving, 10))
        self.patch.undo()
        super().teardown()


def test_watches_give_every_change_once_and_in_order_or_say_410_or_end() -> None:
    holds(WatchMachine, runs=14, steps=40)

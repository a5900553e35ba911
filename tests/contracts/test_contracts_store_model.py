"""The stores beside a plain model of one: writes, reads of the past, watches, compaction, in any order."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from wherry.kit.errors import Unavailable
from wherry.orchestration.store.contract import Change, Compacted, Entry, FutureRevision, RevisionMismatch, SlowWatcher, Store
from wherry.orchestration.store.memory import MemoryStore
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.state_machines import LoopMachine, holds

BACKLOG_MAX = 3
ARRIVAL_S_MAX = 10.0
KEYS = st.sampled_from(["/a/1", "/a/2", "/a/20", "/b/1"])
PREFIXES = st.sampled_from(["/", "/a/", "/a/2", "/b/", "/c/"])
PLACES = st.tuples(st.booleans(), st.integers(-1, 4))
WATCHES_MAX = 4


@dataclass
class Reader:
    """One watch of the store, and what it is to have seen. While `is_slow` it takes one change and no other."""

    prefix: str
    expected: list[Change]
    seen: list[Change] = field(default_factory=list)
    end: BaseException | None = None
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    unread: list[Change] = field(default_factory=list)  # by the model
    is_waiting: bool = True  # for the next change
    is_cut: bool = False

    @property
    def is_slow(self) -> bool:
        return not self.may_go_on.is_set()

    async def follow(self, changes: AsyncGenerator[Change, None]) -> None:
        try:
            async for change in changes:
                self.seen.append(change)
                await self.may_go_on.wait()
        except (Unavailable, Compacted) as error:
            self.end = error

    def told(self, change: Change) -> None:
        """The model's side of one change."""
        if self.is_cut or not change.key.startswith(self.prefix):
            return
        if not self.is_slow or self.is_waiting:
            self.expected.append(change)
            self.is_waiting = not self.is_slow
            return
        self.unread.append(change)
        if len(self.unread) > BACKLOG_MAX:
            self.is_cut = True
            self.unread.clear()


class StoreMachine(LoopMachine):
    """`history` and `live` are the model."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.revision, self.compacted = 1, 0
        self.history: list[Change] = []
        self.live: dict[str, Entry] = {}
        self.readers: list[Reader] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self) -> Store:
        return MemoryStore(backlog_max=BACKLOG_MAX)

    @initialize()
    def begin(self) -> None:
        self.store = self.run(self.open())

    def near(self, place: tuple[bool, int]) -> int:
        """A revision near the newest, or near the oldest that can be read."""
        is_old, off = place
        return max(1, self.compacted + off) if is_old else max(1, self.revision - off)

    def at(self, revision: int) -> dict[str, Entry]:
        """What the model had then."""
        live: dict[str, Entry] = {}
        for change in self.history:
            if change.revision > revision:
                break
            if change.value is None:
                del live[change.key]
            else:
                live[change.key] = Entry(change.key, change.value, change.created, change.revision)
        return live

    def committed(self, key: str, value: bytes | None, revision: int) -> None:
        old = self.live.get(key)
        self.revision += 1
        assert revision == self.revision
        created = old.created if old else self.revision
        change = Change(key, value, old.value if old else None, self.revision, created)
        self.history.append(change)
        self.live = self.at(self.revision)
        for reader in self.readers:
            reader.told(change)

    @rule(key=KEYS, value=st.binary(max_size=3), off=st.sampled_from([0, 0, -1, 1]))
    def put(self, key: str, value: bytes, off: int) -> None:
        found = self.live[key].modified if key in self.live else 0
        if off:
            with pytest.raises(RevisionMismatch) as caught:
                self.run(self.store.put(key, value, expected=found + off))
            assert (caught.value.expected, caught.value.found) == (found + off, found)
        else:
            self.committed(key, value, self.run(self.store.put(key, value, expected=found)))

    @rule(key=KEYS)
    def put_as_if_it_were_new(self, key: str) -> None:
        if key in self.live:
            with pytest.raises(RevisionMismatch):
                self.run(self.store.put(key, b"new", expected=0))
        else:
            self.committed(key, b"new", self.run(self.store.put(key, b"new", expected=0)))

    @rule(key=KEYS, off=st.sampled_from([0, 0, -1, 1]))
    def delete(self, key: str, off: int) -> None:
        found = self.live[key].modified if key in self.live else 0
        if not found or off:
            with pytest.raises(RevisionMismatch) as caught:
                self.run(self.store.delete(key, expected=found + off))
            assert caught.value.found == found
        else:
            self.committed(key, None, self.run(self.store.delete(key, expected=found)))

    @rule(prefix=PREFIXES, after=st.just("") | KEYS, limit=st.integers(0, 3), place=PLACES)
    def read_a_range(self, prefix: str, after: str, limit: int, place: tuple[bool, int]) -> None:
        at = self.near(place)
        asked = self.store.list(prefix, after=after, limit=limit, revision=at)
        if at > self.revision or at < self.compacted:
            with pytest.raises(FutureRevision if at > self.revision else Compacted):
                self.run(asked)
            return
        page = self.run(asked)
        entries = [entry for key, entry in sorted(self.at(at).items()) if key.startswith(prefix) and key > after]
        shown = entries[:limit] if limit else entries
        assert page.entries == tuple(shown) and page.revision == at
        assert (page.more, page.remaining) == (len(shown) < len(entries), len(entries) - len(shown))

    @rule(back=st.integers(-1, 4))
    def compact(self, back: int) -> None:
        asked = self.store.compact(max(1, self.revision - back))
        if back < 0:
            with pytest.raises(FutureRevision):
                self.run(asked)
            return
        self.run(asked)
        self.compacted = max(self.compacted, self.revision - back, 1)

    @precondition(lambda self: len(self.readers) < WATCHES_MAX)
    @rule(prefix=PREFIXES, place=PLACES)
    def watch(self, prefix: str, place: tuple[bool, int]) -> None:
        after = min(self.near(place), self.revision)
        if after < self.compacted:
            with pytest.raises(Compacted):
                self.run(asyncio.wait_for(anext(self.store.watch(prefix, after=after)), ARRIVAL_S_MAX))
            return
        past = [change for change in self.history if change.revision > after and change.key.startswith(prefix)]
        reader = Reader(prefix, past)
        reader.may_go_on.set()
        self.readers.append(reader)

        async def begin() -> None:
            self.tasks.append(asyncio.create_task(reader.follow(self.store.watch(prefix, after=after))))
            await self.caught_up(reader)

        self.run(begin())

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_reader_becomes_slow_or_goes_on(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        if not reader.is_slow:
            reader.may_go_on.clear()
            return
        reader.may_go_on.set()
        reader.is_waiting = True
        reader.expected += reader.unread
        reader.unread.clear()
        if reader.is_cut:
            self.run(self.ended(reader))
            assert isinstance(reader.end, SlowWatcher) and reader.seen == reader.expected
            self.readers.remove(reader)

    async def ended(self, reader: Reader) -> None:
        async with asyncio.timeout(ARRIVAL_S_MAX):
            while reader.end is None:
                await asyncio.sleep(0)

    async def caught_up(self, reader: Reader) -> None:
        """It has seen all that it is to see; a few turns more show what it is not to see."""
        async with asyncio.timeout(ARRIVAL_S_MAX):
            while len(reader.seen) < len(reader.expected) and reader.end is None:
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)

    @invariant()
    def readers_have_seen_every_change_once_and_in_order(self) -> None:
        for reader in self.readers:
            self.run(self.caught_up(reader))
            assert reader.end is None, reader.end
            assert reader.seen == reader.expected

    @invariant()
    def the_newest_is_the_models(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.run(self.store.revision()) == self.revision
        for key in ("/a/1", "/a/2", "/a/20", "/b/1"):
            assert self.run(self.store.get(key)) == self.live.get(key)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        super().teardown()


class SqliteMachine(StoreMachine):
    """And the file is opened again, with nothing known but what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="wherry-store-")

    async def open(self) -> Store:
        return await SqliteStore.open(Path(self.folder.name) / "state.db", backlog_max=BACKLOG_MAX)

    @rule()
    def open_again(self) -> None:
        self.run(self.store.close())
        for reader in self.readers:
            reader.may_go_on.set()
            self.run(self.ended(reader))
            assert isinstance(reader.end, Unavailable)
        self.readers.clear()
        self.store = self.run(self.open())

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def test_the_store_in_memory_does_what_a_plain_model_does() -> None:
    holds(StoreMachine, runs=60, steps=40)


def test_the_store_in_a_file_does_what_a_plain_model_does_and_so_after_it_is_opened_again() -> None:
    holds(SqliteMachine, runs=12, steps=40)

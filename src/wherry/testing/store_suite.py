"""The contract of `wherry.orchestration.store.contract`, as tests any engine can be run against.

Subclass `StoreSuite` and give it `open_store`; every test gets a fresh, empty store. `wherry` itself runs it on memory
and SQLite (tests/contracts).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest
import pytest_asyncio

from wherry.kit.errors import Invalid, Unavailable
from wherry.orchestration.store.contract import (
    Change,
    Compacted,
    FutureRevision,
    RevisionMismatch,
    SlowWatcher,
    Store,
)

ARRIVAL_LIMIT_S = 10.0  # far above what any engine needs; only a hang reaches it
BACKLOG_MAX = 50  # `open_store` makes stores that cut a watcher off after this many

OpenStore = Callable[[], Awaitable[Store]]


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    """The next `count` changes."""
    async with asyncio.timeout(ARRIVAL_LIMIT_S):
        return [await anext(changes) for _ in range(count)]


async def started(changes: AsyncGenerator[Change, None]) -> "asyncio.Task[Change]":
    """A task that waits for the first change, already subscribed when this returns."""
    task = asyncio.get_running_loop().create_task(anext(changes), name="anext")
    await asyncio.sleep(0.05)  # engines with a server need a round trip; being late only makes the test weaker
    return task


class StoreSuite:
    """Each test is one promise."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Opens an empty store whose watchers are cut off when `BACKLOG_MAX` changes behind."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        store = await open_store()
        yield store
        await store.close()

    async def test_an_empty_store_is_at_revision_one(self, store: Store) -> None:
        assert await store.revision() == 1
        assert (await store.list("/")).entries == ()
        assert await store.get("/a") is None

    async def test_a_write_is_seen_by_the_next_read(self, store: Store) -> None:
        revision = await store.put("/a", b"1", expected=0)
        entry = await store.get("/a")
        assert entry is not None
        assert (entry.key, entry.value, entry.created, entry.modified) == ("/a", b"1", revision, revision)
        assert await store.revision() == revision == 2

    async def test_an_update_keeps_the_created_revision(self, store: Store) -> None:
        first = await store.put("/a", b"1", expected=0)
        second = await store.put("/a", b"2", expected=first)
        entry = await store.get("/a")
        assert entry is not None and (entry.value, entry.created, entry.modified) == (b"2", first, second)

    async def test_a_key_made_again_has_a_new_created_revision(self, store: Store) -> None:
        first = await store.put("/a", b"1", expected=0)
        await store.delete("/a", expected=first)
        again = await store.put("/a", b"2", expected=0)
        entry = await store.get("/a")
        assert entry is not None and entry.created == entry.modified == again

    @pytest.mark.parametrize("value", [b"", b"\0\xff", "é☃".encode(), b"x" * 2_000_000], ids=["empty", "nul", "utf8", "2MB"])
    async def test_values_come_back_whole(self, store: Store, value: bytes) -> None:
        await store.put("/a", value, expected=0)
        entry = await store.get("/a")
        assert entry is not None and entry.value == value

    @pytest.mark.parametrize("expected", [1, 2, 99], ids=["first", "one", "later"])
    async def test_put_of_an_absent_key_at_a_revision_is_refused(self, store: Store, expected: int) -> None:
        with pytest.raises(RevisionMismatch) as caught:
            await store.put("/a", b"1", expected=expected)
        assert (caught.value.found, caught.value.expected) == (0, expected)
        assert await store.revision() == 1

    async def test_a_stale_write_is_refused_and_changes_nothing(self, store: Store) -> None:
        first = await store.put("/a", b"1", expected=0)
        second = await store.put("/a", b"2", expected=first)
        for expected in (0, first):
            with pytest.raises(RevisionMismatch) as caught:
                await store.put("/a", b"3", expected=expected)
            assert caught.value.found == second
            with pytest.raises(RevisionMismatch):
                await store.delete("/a", expected=expected)
        entry = await store.get("/a")
        assert entry is not None and entry.value == b"2"
        assert await store.revision() == second

    async def test_delete_takes_a_revision_and_the_key(self, store: Store) -> None:
        first = await store.put("/a", b"1", expected=0)
        assert await store.delete("/a", expected=first) == first + 1
        assert await store.get("/a") is None
        with pytest.raises(RevisionMismatch):
            await store.delete("/a", expected=0)

    async def test_of_many_writers_with_one_revision_exactly_one_wins(self, store: Store) -> None:
        first = await store.put("/a", b"0", expected=0)
        outcomes = await asyncio.gather(
            *(store.put("/a", b"%d" % i, expected=first) for i in range(40)), return_exceptions=True
        )
        won = [o for o in outcomes if isinstance(o, int)]
        lost = [o for o in outcomes if isinstance(o, RevisionMismatch)]
        assert len(won) == 1 and len(lost) == 39
        assert await store.revision() == first + 1

    async def test_concurrent_writes_each_get_their_own_revision(self, store: Store) -> None:
        revisions = await asyncio.gather(*(store.put(f"/k/{i:03}", b"v", expected=0) for i in range(100)))
        assert sorted(revisions) == list(range(2, 102))
        assert len((await store.list("/k/")).entries) == 100

    @pytest.mark.parametrize("key", ["", "a\0b", "\ud800"], ids=["empty", "nul", "lone surrogate"])
    async def test_a_key_no_engine_can_hold_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(Invalid):
            await store.put(key, b"1", expected=0)

    async def test_list_is_in_key_order_and_within_the_prefix(self, store: Store) -> None:
        for key in ("/pods/b/1", "/pods/a/2", "/pods/a/1", "/pods-other/x", "/podt", "/pods/é"):
            await store.put(key, key.encode(), expected=0)
        page = await store.list("/pods/")
        assert [e.key for e in page.entries] == ["/pods/a/1", "/pods/a/2", "/pods/b/1", "/pods/é"]
        assert [e.value for e in page.entries] == [e.key.encode() for e in page.entries]
        assert (page.more, page.remaining, page.revision) == (False, 0, 7)
        assert [e.key for e in (await store.list("/pods/a/")).entries] == ["/pods/a/1", "/pods/a/2"]

    async def test_pages_add_up_to_the_whole(self, store: Store) -> None:
        for i in range(25):
            await store.put(f"/k/{i:02}", b"v", expected=0)
        keys: list[str] = []
        remaining = []
        while True:
            page = await store.list("/k/", after=keys[-1] if keys else "", limit=10)
            keys += [e.key for e in page.entries]
            remaining.append(page.remaining)
            if not page.more:
                break
        assert keys == [f"/k/{i:02}" for i in range(25)]
        assert remaining == [15, 5, 0]

    async def test_a_list_at_an_old_revision_shows_that_moment(self, store: Store) -> None:
        kept = await store.put("/k/kept", b"1", expected=0)
        changed = await store.put("/k/changed", b"1", expected=0)
        gone = await store.put("/k/gone", b"1", expected=0)
        before = await store.list("/k/")
        moment = before.revision
        await store.put("/k/changed", b"2", expected=changed)
        await store.delete("/k/gone", expected=gone)
        await store.put("/k/gone", b"again", expected=0)
        await store.put("/k/new", b"1", expected=0)
        assert await store.list("/k/", revision=moment) == before
        first = await store.list("/k/", revision=moment, limit=2)
        assert (first.more, first.remaining) == (True, 1)
        rest = await store.list("/k/", revision=moment, limit=2, after=first.entries[-1].key)
        assert first.entries + rest.entries == before.entries
        assert [e.key for e in (await store.list("/k/", revision=kept)).entries] == ["/k/kept"]

    async def test_a_revision_that_has_not_happened_is_refused(self, store: Store) -> None:
        with pytest.raises(FutureRevision):
            await store.list("/", revision=99)
        with pytest.raises(FutureRevision):
            await store.compact(99)

    async def test_a_watch_delivers_later_changes_in_order(self, store: Store) -> None:
        first = await store.put("/k/a", b"1", expected=0)
        async with aclosing(store.watch("/k/", after=first)) as changes:
            second = await store.put("/k/a", b"2", expected=first)
            await store.put("/other", b"x", expected=0)
            third = await store.delete("/k/a", expected=second)
            fourth = await store.put("/k/a", b"3", expected=0)
            assert await take(changes, 3) == [
                Change("/k/a", b"2", b"1", second, first),
                Change("/k/a", None, b"2", third, first),
                Change("/k/a", b"3", None, fourth, fourth),
            ]

    async def test_a_waiting_watch_is_woken(self, store: Store) -> None:
        async with aclosing(store.watch("/k/", after=1)) as changes:
            waiting = await started(changes)
            revision = await store.put("/k/a", b"1", expected=0)
            async with asyncio.timeout(ARRIVAL_LIMIT_S):
                assert await waiting == Change("/k/a", b"1", None, revision, revision)

    async def test_a_watch_from_the_past_goes_over_to_the_present_without_gap_or_repeat(self, store: Store) -> None:
        async def write(span: range) -> None:
            for i in span:
                await store.put(f"/k/{i}", b"v", expected=0)
                await asyncio.sleep(0)  # an engine in memory would let nobody else run

        await write(range(700))
        seen: list[int] = []
        async with asyncio.timeout(6 * ARRIVAL_LIMIT_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(write(range(700, 1000)), name="write")
            async with aclosing(store.watch("/k/", after=1)) as changes:
                async for change in changes:
                    seen.append(change.revision)
                    if change.revision == 1001:
                        break
        assert seen == list(range(2, 1002))

    async def test_two_watchers_see_the_same_order(self, store: Store) -> None:
        async with aclosing(store.watch("/", after=1)) as one, aclosing(store.watch("/", after=1)) as two:
            await asyncio.gather(*(store.put(f"/{i}", b"v", expected=0) for i in range(40)))
            assert await take(one, 40) == await take(two, 40)

    async def test_a_slow_watcher_is_cut_off_and_others_are_not(self, store: Store) -> None:
        async with aclosing(store.watch("/k/", after=1)) as slow, aclosing(store.watch("/other/", after=1)) as other:
            first = [await started(slow), await started(other)]
            await store.put("/k/a", b"0", expected=0)
            await store.put("/other/a", b"0", expected=0)
            await asyncio.gather(*first)
            for i in range(2 * BACKLOG_MAX):
                await store.put(f"/k/{i}", b"v", expected=0)
            await store.put("/other/b", b"v", expected=0)
            assert [change.key for change in await take(other, 1)] == ["/other/b"]
            with pytest.raises(SlowWatcher):
                await take(slow, 2 * BACKLOG_MAX)

    async def test_compaction_forgets_history_and_keeps_live_keys(self, store: Store) -> None:
        first = await store.put("/k/a", b"1", expected=0)
        second = await store.put("/k/a", b"2", expected=first)
        gone = await store.put("/k/b", b"1", expected=0)
        deleted = await store.delete("/k/b", expected=gone)
        last = await store.put("/k/c", b"1", expected=0)
        await store.compact(deleted)
        await store.compact(deleted)
        await store.compact(first)
        for old in (1, second):
            with pytest.raises(Compacted) as caught:
                await store.list("/k/", revision=old)
            assert caught.value.oldest == deleted
        with pytest.raises(Compacted):
            async with aclosing(store.watch("/k/", after=second)) as changes:
                await take(changes, 1)
        assert [e.key for e in (await store.list("/k/", revision=deleted)).entries] == ["/k/a"]
        assert [(e.key, e.modified) for e in (await store.list("/k/")).entries] == [("/k/a", second), ("/k/c", last)]
        async with aclosing(store.watch("/k/", after=deleted)) as changes:
            assert await take(changes, 1) == [Change("/k/c", b"1", None, last, last)]
        assert await store.put("/k/a", b"3", expected=second) == last + 1

    async def test_the_value_before_survives_compaction_for_later_watches(self, store: Store) -> None:
        first = await store.put("/k/a", b"1", expected=0)
        await store.compact(first)
        second = await store.put("/k/a", b"2", expected=first)
        async with aclosing(store.watch("/k/", after=first)) as changes:
            assert await take(changes, 1) == [Change("/k/a", b"2", b"1", second, first)]
        assert [e.value for e in (await store.list("/k/", revision=first)).entries] == [b"1"]

    async def test_revisions_go_on_after_all_is_deleted_and_compacted(self, store: Store) -> None:
        first = await store.put("/a", b"1", expected=0)
        deleted = await store.delete("/a", expected=first)
        await store.compact(deleted)
        assert await store.revision() == deleted
        assert await store.put("/a", b"1", expected=0) == deleted + 1

    async def test_a_cancelled_writer_leaves_the_store_working(self, store: Store) -> None:
        async with asyncio.TaskGroup() as tasks:
            writers = [tasks.create_task(store.put(f"/k/{i}", b"v", expected=0), name="put") for i in range(20)]
            await asyncio.sleep(0)
            for writer in writers[::2]:
                writer.cancel()
        assert await store.put("/after", b"1", expected=0) == await store.revision()
        kept = {e.key for e in (await store.list("/k/")).entries}
        assert {f"/k/{i}" for i in range(1, 20, 2)} <= kept

    async def test_a_closed_store_refuses_and_ends_watches(self, open_store: OpenStore) -> None:
        store = await open_store()
        changes = store.watch("/", after=1)
        waiting = await started(changes)
        await store.close()
        await store.close()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(ARRIVAL_LIMIT_S):
                await waiting
        with pytest.raises(Unavailable):
            await store.get("/a")
        with pytest.raises(Unavailable):
            await store.put("/a", b"1", expected=0)

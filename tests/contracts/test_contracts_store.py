"""The store's contract on the engines of this machine, and what a file adds to it."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.kit.errors import Broken, Unavailable, Unsupported
from wherry.orchestration.store.contract import NoSpace, RevisionMismatch, Store
from wherry.orchestration.store.memory import MemoryStore
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.store_suite import BACKLOG_MAX, OpenStore, StoreSuite


class TestMemory(StoreSuite):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        async def open_() -> Store:
            return MemoryStore(backlog_max=BACKLOG_MAX)

        return open_


class TestSqlite(StoreSuite):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        async def open_() -> Store:
            return await SqliteStore.open(tmp_path / "state.db", backlog_max=BACKLOG_MAX)

        return open_


async def test_all_is_there_after_reopening(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    first = await store.put("/a", b"1", expected=0)
    second = await store.put("/a", b"2", expected=first)
    await store.compact(first)
    await store.close()
    store = await SqliteStore.open(tmp_path / "state.db")
    entry = await store.get("/a")
    assert entry is not None and (entry.value, entry.created, entry.modified) == (b"2", first, second)
    assert await store.revision() == second
    assert await store.integrity_errors() == ()
    with pytest.raises(RevisionMismatch):
        await store.put("/a", b"3", expected=first)
    await store.close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


async def test_a_backup_is_one_moment_and_a_store_of_its_own(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    first = await store.put("/a", b"1", expected=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.backup(tmp_path / "backup.db"))
        for i in range(50):
            tasks.create_task(store.put(f"/k/{i}", b"v", expected=0))
    await store.close()
    assert sorted(p.name for p in tmp_path.glob("backup*")) == ["backup.db"]
    copy = await SqliteStore.open(tmp_path / "backup.db")
    assert await copy.integrity_errors() == ()
    assert (await copy.get("/a")) is not None
    assert len((await copy.list("/k/")).entries) == await copy.revision() - first
    await copy.close()


async def test_close_lets_waiting_writes_finish(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    async with asyncio.TaskGroup() as tasks:
        writes = [tasks.create_task(store.put(f"/{i}", b"v", expected=0)) for i in range(600)]
        await asyncio.sleep(0)
        await store.close()
    assert sorted(w.result() for w in writes) == list(range(2, 602))


async def test_writes_of_one_turn_of_the_loop_share_one_commit(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    statements: list[str] = []
    store._connections[0].set_trace_callback(statements.append)
    async with asyncio.TaskGroup() as tasks:
        for number in range(32):
            tasks.create_task(store.put(f"/r/{number}", b"v", expected=0))
    await store.close()
    assert statements.count("COMMIT") == 1
    assert len(statements) <= 2 * 32 + 4, "a creation takes two statements"


async def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    with pytest.raises(Unavailable, match="in use by another process"):
        await SqliteStore.open(tmp_path / "state.db")
    await store.close()
    await (await SqliteStore.open(tmp_path / "state.db")).close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "state.db")).close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unsupported, match="schema 99"):
        await SqliteStore.open(tmp_path / "state.db")


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"x"], ids=["long", "short"])
async def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(Broken):
        await SqliteStore.open(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == content


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(Broken, match="not a Wherry store"):
        await SqliteStore.open(tmp_path / "state.db")


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        await SqliteStore.open(tmp_path / "none" / "state.db")


async def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    for i in range(200):
        await store.put(f"/{i}", b"v" * 500, expected=0)
    await store.close()
    body = bytearray(path.read_bytes())
    body[8192:] = b"\xa5" * (len(body) - 8192)
    path.write_bytes(body)
    with pytest.raises(Broken, match="damaged"):
        store = await SqliteStore.open(path)
        try:
            await store.list("/")
        finally:
            await store.close()


async def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the disk here; test_store_crash.py fills a real one."""
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.put("/a", b"1", expected=0)
    writer = store._connections[0]
    writer.execute("PRAGMA max_page_count = 20")
    with pytest.raises(Unavailable, match="no space left"):
        await store.put("/big", b"x" * 1_000_000, expected=0)
    assert await store.revision() == 2
    writer.execute("PRAGMA max_page_count = 1000000")
    assert await store.put("/big", b"x" * 1_000_000, expected=0) == 3
    await store.close()


async def test_a_full_disk_still_takes_deletions_and_their_steps(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the disk; releasing the reserve lifts it by as much."""
    store = await SqliteStore.open(tmp_path / "state.db")
    writer, reserve = store._connections[0], store._reserve
    assert reserve is not None and (tmp_path / "state.db.reserve").stat().st_blocks * 512 >= reserve.size
    written = {f"/{i}": await store.put(f"/{i}", b"v" * 3000, expected=0) for i in range(50)}
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    release, fill = reserve.release, reserve.fill

    def released() -> bool:
        done = release()
        writer.execute(f"PRAGMA max_page_count = {pages + (reserve.size - reserve._held) // 4096}")
        return done

    reserve.release, reserve.fill = released, lambda: reserve._held == reserve.size  # type: ignore[method-assign]
    outcomes = await asyncio.gather(
        store.put("/new", b"x" * 5000, expected=0),
        *(store.delete(key, expected=revision) for key, revision in list(written.items())[:30]),
        store.put("/40", b"v" * 3000, expected=written["/40"], frees=True),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], NoSpace)
    assert all(isinstance(outcome, int) for outcome in outcomes[1:])
    with pytest.raises(NoSpace, match="no space left on the disk; nothing was written"):
        await store.put("/later", b"x", expected=0)
    with pytest.raises(NoSpace):
        await store.check_space()
    writer.execute("PRAGMA max_page_count = 1000000")
    reserve.release, reserve.fill = release, fill  # type: ignore[method-assign]
    await store.put("/later", b"x", expected=0)
    await store.check_space()
    assert (await store.list("/")).entries[0].key == "/30" and await store.integrity_errors() == ()
    await store.close()


@pytest.mark.parametrize("place", [1, 400, 2_000], ids=["first byte", "middle", "late"])
async def test_a_flipped_byte_inside_a_value_is_found_and_not_served(tmp_path: Path, place: int) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    for i in range(20):
        await store.put(f"/{i}", b"%02d" % i + b"v" * 2_500, expected=0)
    revision = (await store.list("/")).revision
    await store.close()
    body = path.read_bytes()
    at = body.index(b"07vvvv") + place
    path.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1:])
    store = await SqliteStore.open(path)
    entry = await store.get("/8")
    assert entry is not None
    for damaged in (store.get("/7"), store.list("/"), store.list("/", revision=revision - 1), anext(store.watch("/7", after=1))):
        with pytest.raises(Broken, match="value of '/7' at revision 9 does not match its checksum.*wherry backup restore"):
            await damaged
    assert any("'/7'" in line for line in await store.integrity_errors())
    with pytest.raises(Broken):
        await store.delete("/7", expected=9)
    await store.close()


async def test_a_store_without_checksums_is_given_them_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    await store.put("/a", b"1", expected=0)
    await store.close()
    old = sqlite3.connect(path)
    old.executescript("ALTER TABLE change DROP COLUMN sum; PRAGMA user_version = 1;")
    old.close()
    store = await SqliteStore.open(path)
    entry = await store.get("/a")
    assert entry is not None and entry.value == b"1" and await store.integrity_errors() == ()
    await store.close()


@pytest.mark.slow
async def test_compaction_gives_the_space_of_history_back(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    for _ in range(30):
        revisions = await asyncio.gather(*(store.put(f"/{i}", os.urandom(8_000), expected=0) for i in range(60)))
        last = await asyncio.gather(*(store.delete(f"/{i}", expected=revision) for i, revision in enumerate(revisions)))
    assert path.stat().st_size + path.with_name("state.db-wal").stat().st_size > 14_000_000
    await store.compact(max(last))
    assert await store.integrity_errors() == ()
    await store.close()
    assert path.stat().st_size < 2_000_000


@pytest.mark.slow
async def test_compaction_in_many_steps_lets_writes_in_between(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    revision = 0
    for _ in range(100):
        *_, revision = await asyncio.gather(*(store.put(f"/{revision}/{i}", b"v" * 100, expected=0) for i in range(60)))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.compact(revision))
        during = tasks.create_task(store.put("/during", b"v", expected=0))
    assert during.result() == revision + 1
    assert len((await store.list("/")).entries) == 6001
    assert await store.integrity_errors() == ()
    await store.close()


keys = st.sampled_from(["/a/1", "/a/2", "/b/1"])
steps = st.lists(st.tuples(st.sampled_from(["put", "delete", "compact", "stale"]), keys), max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
@pytest.mark.slow
async def test_sqlite_does_what_memory_does(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]) -> None:
    model = MemoryStore()
    store = await SqliteStore.open(tmp_path_factory.mktemp("s") / "state.db")
    compacted = 1
    for number, (step, key) in enumerate(steps):
        entry = await model.get(key)
        expected = (entry.modified if entry else 0) + (step == "stale")
        if step == "compact":
            compacted = max(1, await model.revision() - 3)
            assert await model.compact(compacted) == await store.compact(compacted)  # type: ignore[func-returns-value]
        elif step == "put" or not entry:
            outcomes = await asyncio.gather(
                *(s.put(key, b"%d" % number, expected=expected) for s in (model, store)), return_exceptions=True
            )
            assert str(outcomes[0]) == str(outcomes[1])
        else:
            outcomes = await asyncio.gather(
                *(s.delete(key, expected=expected) for s in (model, store)), return_exceptions=True
            )
            assert str(outcomes[0]) == str(outcomes[1])
    newest = await model.revision()
    for revision in range(compacted, newest + 1):
        assert await model.list("/a/", revision=revision) == await store.list("/a/", revision=revision)
    await store.close()

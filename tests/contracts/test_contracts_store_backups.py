"""Copies of the store by themselves, and the way back."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wherry.kit.errors import Broken, Invalid, Unavailable
from wherry.orchestration.store import backups
from wherry.orchestration.store.contract import Compacted
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.virtual_time import EPOCH, VirtualClock

NOW = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state.db"


async def written(database: Path, *values: bytes) -> SqliteStore:
    store = await SqliteStore.open(database)
    for number, value in enumerate(values):
        await store.put(f"/{number}", value, expected=0)
    return store


async def until_made(folder: Path, count: int) -> None:
    async with asyncio.timeout(30):
        while len(backups.listed(folder)) != count or list(folder.glob("*.partial")):
            await asyncio.sleep(0.01)


@pytest.mark.virtual_time
async def test_a_copy_is_made_every_period_in_which_something_changed_and_old_ones_go(database: Path, tmp_path: Path) -> None:
    store, clock, folder = await written(database, b"1"), VirtualClock(), tmp_path / "backups"
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(backups.keep_backed_up(store, folder, clock, period_s=3600, kept=2))
        await asyncio.sleep(backups.FIRST_AFTER_S)
        await until_made(folder, 1)
        made = []
        for number in range(1, 4):
            made.append(backups.listed(folder)[-1].made_at)
            await store.put(f"/{number}", b"v", expected=0)
            await asyncio.sleep(0)
            await asyncio.sleep(3600)
            async with asyncio.timeout(30):
                while backups.listed(folder)[-1].made_at == made[-1] or len(backups.listed(folder)) > 2:
                    await asyncio.sleep(0.01)
        assert [b.made_at - EPOCH for b in backups.listed(folder)] == [
            timedelta(seconds=backups.FIRST_AFTER_S + 3600 * n) for n in (2, 3)]
        await asyncio.sleep(3600)
        assert len(backups.listed(folder)) == 2 and backups.listed(folder)[-1].made_at - EPOCH < timedelta(seconds=4 * 3600)
        loop.cancel()
    await store.close()
    assert oct((folder).stat().st_mode)[-3:] == "700"
    assert {oct(b.path.stat().st_mode)[-3:] for b in backups.listed(folder)} == {"600"}


async def test_a_copy_is_made_beside_a_server_and_is_the_newest_state(database: Path, tmp_path: Path) -> None:
    store = await written(database, b"1", b"2")
    backups.copy(database, tmp_path / "copy.db")
    await store.put("/later", b"3", expected=0)
    await store.close()
    copied = await SqliteStore.open(tmp_path / "copy.db")
    assert [entry.value for entry in (await copied.list("/")).entries] == [b"1", b"2"]
    await copied.close()


async def test_after_going_back_revisions_are_above_all_that_were_handed_out(database: Path, tmp_path: Path) -> None:
    store = await written(database, b"1", b"2")
    backups.copy(database, tmp_path / "copy.db")
    for number in range(50):
        last = await store.put(f"/later-{number}", b"3", expected=0)
    with pytest.raises(Unavailable, match="in use"):
        backups.restore(tmp_path / "copy.db", database, NOW)
    await store.close()
    former = backups.restore(tmp_path / "copy.db", database, NOW)
    store = await SqliteStore.open(database)
    assert [entry.value for entry in (await store.list("/")).entries] == [b"1", b"2"]
    assert await store.revision() > last
    with pytest.raises(Compacted):
        await anext(store.watch("/", after=last))
    assert await store.put("/again", b"4", expected=0) > last
    assert await store.integrity_errors() == ()
    await store.close()
    assert former is not None
    before = await SqliteStore.open(former)
    assert len((await before.list("/")).entries) == 52
    await before.close()


def damage(path: Path, value: bytes) -> None:
    body = path.read_bytes()
    at = body.index(value)
    path.write_bytes(body[:at] + b"\xff" + body[at + 1:])


async def test_a_damaged_copy_is_refused_and_nothing_changes(database: Path, tmp_path: Path) -> None:
    store = await written(database, b"sound value")
    backups.copy(database, tmp_path / "copy.db")
    await store.close()
    damage(tmp_path / "copy.db", b"sound value")
    before = database.read_bytes()
    with pytest.raises(Broken, match="backup .*copy.db is damaged: value of '/0' at revision 2"):
        backups.restore(tmp_path / "copy.db", database, NOW)
    assert database.read_bytes() == before


@pytest.mark.virtual_time
async def test_a_damaged_store_is_not_copied_over_good_copies(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    store = await written(database, b"sound value")
    await store.close()
    damage(database, b"sound value")
    store = await SqliteStore.open(database)
    clock = VirtualClock()
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(backups.keep_backed_up(store, folder, clock, period_s=60, kept=1))
        await asyncio.sleep(61)
        loop.cancel()
    assert backups.listed(folder) == () and list(folder.iterdir()) == []
    await store.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all", None], ids=["empty", "text", "another program's"])
def test_what_is_no_store_is_refused(database: Path, tmp_path: Path, content: bytes | None) -> None:
    foreign = tmp_path / "foreign.db"
    if content is None:
        with closing(sqlite3.connect(foreign)) as other:
            other.execute("CREATE TABLE t (x)")
    else:
        foreign.write_bytes(content)
    with pytest.raises(Broken):
        backups.restore(foreign, database, NOW)
    assert not database.exists()


def test_a_missing_copy_is_named(database: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no backup at .*none.db"):
        backups.restore(tmp_path / "none.db", database, NOW)

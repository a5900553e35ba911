"""What an acknowledged write is worth: kill -9 in a loop, a log cut anywhere, a disk that fills up.

Run as a program this file is the writer that gets killed: it prints one line for each acknowledged write.
"""

import asyncio
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wherry.kit.errors import Unavailable
from wherry.kit.process import run
from wherry.orchestration.store.contract import Store
from wherry.orchestration.store.sqlite import SqliteStore

KILLS = 22
WRITERS = 8
LINES_BEFORE_KILL_MAX = 400
CHILD_LIMIT_S = 20


def value_of(key: str, number: int) -> bytes:
    head = f"{key} {number} ".encode()
    return head + hashlib.sha256(head).hexdigest().encode() * random.Random(number).randrange(1, 60)


def is_whole(key: str, value: bytes) -> bool:
    return value == value_of(key, int(value.split(b" ")[1]))


async def write_for_ever(path: str, seed: int) -> None:
    """Creates, updates, deletes and compacts until killed."""
    store = await SqliteStore.open(path)

    async def writer(name: int) -> None:
        chance = random.Random(seed * 100 + name)
        for number in range(1_000_000):
            key = f"/k/{name}/{chance.randrange(40)}"
            entry = await store.get(key)
            found = entry.modified if entry else 0
            if found and chance.random() < 0.2:
                say("del", key, await store.delete(key, expected=found))
            else:
                say("put", key, await store.put(key, value_of(key, seed * 10**6 + number), expected=found))

    async def compactor() -> None:
        while True:
            await store.compact(await store.revision())
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(compactor())
        for name in range(WRITERS):
            tasks.create_task(writer(name))


def say(verb: str, key: str, revision: int) -> None:
    os.write(1, f"{verb} {key} {revision}\n".encode())


def acknowledged_until_killed(path: Path, seed: int) -> list[tuple[str, str, int]]:
    child = subprocess.Popen([sys.executable, __file__, str(path), str(seed)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines: list[bytes] = []
    try:
        for _ in range(random.Random(seed).randrange(1, LINES_BEFORE_KILL_MAX)):
            line = child.stdout.readline()
            assert line, f"writer ended by itself with code {child.wait()}"
            lines.append(line)
    finally:
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait(CHILD_LIMIT_S)
        child.stdout.close()
    whole = (line.decode().split() for line in lines if line.endswith(b"\n"))
    return [(verb, key, int(revision)) for verb, key, revision in whole]


@pytest.mark.timeout(180)
@pytest.mark.slow
async def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    last: dict[str, tuple[str, int]] = {}
    newest = 1
    for seed in range(KILLS):
        said = acknowledged_until_killed(path, seed)
        assert said and min(revision for _, _, revision in said) > newest
        assert len({revision for _, _, revision in said}) == len(said)
        for verb, key, revision in sorted(said, key=lambda row: row[2]):
            last[key] = (verb, revision)
        store = await SqliteStore.open(path)
        try:
            assert await store.integrity_errors() == ()
            newest = await store.revision()
            assert newest >= max(revision for _, _, revision in said)
            await check_against(store, last)
            last = {entry.key: ("put", entry.modified) for entry in (await store.list("/k/")).entries}
        finally:
            await store.close()


async def check_against(store: Store, last: dict[str, tuple[str, int]]) -> None:
    """What was acknowledged is there, or something newer that was under way at the kill."""
    live = {entry.key: entry for entry in (await store.list("/k/")).entries}
    assert all(is_whole(key, entry.value) for key, entry in live.items())
    newest_acknowledged = max(revision for _, revision in last.values())
    for key, (verb, revision) in last.items():
        entry = live.get(key)
        if verb == "put" and entry is None:
            # Only an unacknowledged delete may have removed it, and that has a later revision.
            assert await store.revision() > newest_acknowledged - WRITERS, f"{key} at {revision} is lost"
        elif entry is not None and entry.modified != revision:
            # Each writer had at most one write under way, so it is among the last ones.
            assert entry.modified > max(revision, newest_acknowledged - WRITERS), f"{key} at {revision} is lost"


@pytest.mark.slow
async def test_a_log_cut_anywhere_gives_a_whole_prefix_of_history(tmp_path: Path) -> None:
    """A power cut may leave any part of what was not yet synced: the file must open as some earlier moment."""
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    moments = {await store.revision(): await store.list("/")}
    for number in range(60):
        key = f"/k/{number % 7}"
        entry = await store.get(key)
        await store.put(key, value_of(key, number), expected=entry.modified if entry else 0)
        moments[await store.revision()] = await store.list("/")
    image, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    await store.close()
    for number, cut in enumerate(sorted(random.Random(1).sample(range(len(log)), 60))):
        copy = tmp_path / f"copy-{number}.db"
        copy.write_bytes(image)
        Path(f"{copy}-wal").write_bytes(log[:cut])
        store = await SqliteStore.open(copy)
        try:
            assert await store.integrity_errors() == ()
            assert await store.list("/") == moments[await store.revision()]
        finally:
            await store.close()


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    await run(["mount", "-t", "tmpfs", "-o", "size=3m", f"wherry-test-{os.getpid()}", str(folder)], timeout_s=10)
    try:
        yield folder
    finally:
        await run(["umount", str(folder)], timeout_s=10)


@pytest.mark.node
async def test_a_full_disk_refuses_writes_keeps_all_and_works_again_with_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1_500_000)
    store = await SqliteStore.open(small_disk / "state.db")
    written: dict[str, int] = {}
    try:
        with pytest.raises(Unavailable, match="state.db"):
            for number in range(1000):
                key = f"/k/{number}"
                written[key] = await store.put(key, value_of(key, number), expected=0)
        assert written
        assert {e.key: e.modified for e in (await store.list("/k/")).entries} == written
        for _ in range(20):
            with pytest.raises(Unavailable):
                await store.put("/large", os.urandom(1_400_000), expected=0)
        ballast.unlink()
        written["/k/after"] = await store.put("/k/after", value_of("/k/after", 1), expected=0)
        assert written["/k/after"] == max(written.values())
        assert await store.integrity_errors() == ()
    finally:
        await store.close()
    store = await SqliteStore.open(small_disk / "state.db")
    try:
        assert {e.key: e.modified for e in (await store.list("/k/")).entries} == written
    finally:
        await store.close()
        shutil.rmtree(small_disk, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(write_for_ever(sys.argv[1], int(sys.argv[2])))

"""Power cuts: a file system that is shut down without flushing its log forgets what was not on the disk; the store may not.

A loop-mounted file system is cut at a random moment under a writer that says each write after its acknowledgement. What was
said is there after log recovery, whatever the cut took. XFS where the kernel has it, else ext4.
Run as a program this file is the writer, or a campaign: that one has a mount namespace of its own, for a mount that any other
process took over in its namespace would keep the dead file system alive.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scale import LIMIT_S, count

from wherry.orchestration.store.sqlite import SqliteStore

CUTS = count(4, 200)
WRITERS = 6
KEYS = 50
IMAGE_BYTES = 400 << 20  # mkfs.xfs refuses less than 300 MiB
SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN: _IOR('X', 125, __u32), XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2
HAS_XFS = "\txfs\n" in Path("/proc/filesystems").read_text()
MKFS = ("mkfs.xfs", "-q", "-f") if HAS_XFS else ("mkfs.ext4", "-q", "-F")

pytestmark = [pytest.mark.node, pytest.mark.timeout(LIMIT_S)]


def value_of(number: int) -> bytes:
    head = b"%d " % number
    return head + hashlib.sha256(head).hexdigest().encode() * random.Random(number).randrange(1, 200)


async def write_for_ever(path: str, first: int) -> None:
    """Put, delete and compact; one line for each write that was acknowledged. Ends with the first refusal, as the disk is gone."""
    store = await SqliteStore.open(path)

    async def writer(name: int) -> None:
        chance = random.Random(first * 100 + name)
        for number in range(first, first + 10**6):
            key = f"/k/{name}/{chance.randrange(KEYS)}"
            entry = await store.get(key)
            found = entry.modified if entry else 0
            if found and chance.random() < 0.2:
                said = await store.delete(key, expected=found), "del"
            else:
                said = await store.put(key, value_of(number), expected=found), str(number)
            os.write(1, f"{key} {said[0]} {said[1]}\n".encode())

    async def compactor() -> None:
        while True:
            await store.compact(await store.revision())
            await asyncio.sleep(0.03)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(compactor())
        for name in range(WRITERS):
            tasks.create_task(writer(name))


@dataclass(slots=True)
class Disk:
    """A file system in a file, at `folder` while mounted."""

    image: Path
    folder: Path

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.folder)], check=True, timeout=60)

    def cut(self) -> None:
        """From now on nothing reaches the image: not what is in memory, not what is in the log's buffers."""
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(opened)

    def unmount(self) -> None:
        deadline = time.monotonic() + 30
        while (done := subprocess.run(["umount", str(self.folder)], capture_output=True, text=True)).returncode:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.05)  # the kernel has not let go of the dead writer's files yet


@contextmanager
def new_disk(folder: Path) -> Iterator[Disk]:
    made = Disk(folder / "image", folder / "disk")
    made.folder.mkdir()
    with made.image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run([*MKFS, str(made.image)], check=True, timeout=60)
    made.mount()
    try:
        yield made
    finally:
        subprocess.run(["umount", str(made.folder)], capture_output=True, check=False)
        made.image.unlink()


@dataclass(slots=True)
class Said:
    """What the writer acknowledged before the cut: key -> (revision, number or "del").

    What it says from then on does not count: an fsync(2) that is under way when XFS is shut down may be told that all is well.
    """

    last: dict[str, tuple[int, str]] = field(default_factory=dict)
    lines: int = 0
    late: int = 0
    is_cut: bool = False

    def hear(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            return  # killed in the middle of a line
        if self.is_cut:
            self.late += 1
            return
        key, revision, what = line.decode().split()
        self.lines += 1
        self.last[key] = max(self.last.get(key, (0, "")), (int(revision), what))


@contextmanager
def writing(path: Path, first: int, said: Said) -> Iterator[None]:
    """The writer runs and is heard from before the block begins; killed, and its last words heard, at the block's end."""
    with subprocess.Popen([sys.executable, __file__, "write", str(path), str(first)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        stdout = child.stdout
        line = stdout.readline()
        assert line, f"writer ended by itself with code {child.wait()}"
        said.hear(line)
        reader = threading.Thread(target=lambda: [said.hear(line) for line in stdout])
        reader.start()
        try:
            yield
        finally:
            child.kill()
            reader.join(30)


async def check_nothing_is_lost(path: Path, said: Said) -> int:
    """The store's newest revision; fails for a write that was acknowledged and is not there."""
    store = await SqliteStore.open(path)
    try:
        assert await store.integrity_errors() == ()
        newest, listed = await store.revision(), await store.list("/k/")
        live = {entry.key: entry for entry in listed.entries}
        acknowledged = max((revision for revision, _ in said.last.values()), default=0)
        assert newest >= acknowledged, "the revision went back"
        for entry in live.values():
            assert entry.value == value_of(int(entry.value.split(b" ")[0])), f"{entry.key} is torn"
        # Each writer had at most one write under way, or told after the cut: it may be there though it does not count.
        unsaid = 0
        for key, (revision, what) in said.last.items():
            found = live.get(key)
            same = found is None if what == "del" else found is not None and found.modified == revision
            if not same:
                assert newest > revision and (found is None or found.modified > revision), f"{key} at {revision} is lost"
                unsaid += 1
        assert unsaid <= WRITERS + said.late, "more writes are missing than were under way"
        said.last = {entry.key: (entry.modified, entry.value.split(b" ")[0].decode()) for entry in live.values()}
        return newest
    finally:
        await store.close()


async def cut_again_and_again(folder: Path, cuts: int) -> None:
    chance, said, newest, began = random.Random(), Said(), 0, time.monotonic()
    with new_disk(folder) as disk:
        path = disk.folder / "state.db"
        for cut in range(cuts):
            said.late, said.is_cut = 0, False
            with writing(path, cut * 10**6, said):
                time.sleep(chance.uniform(0, 0.5))  # the moment is anyone's
                said.is_cut = True
                disk.cut()
                assert is_cut_off(disk), "the file system takes nothing"
            disk.unmount()
            disk.mount()
            found = await check_nothing_is_lost(path, said)
            assert found > newest
            newest = found
        disk.unmount()
    print(f"power cuts: {cuts}, acknowledged: {said.lines}, lost: 0, {MKFS[0]}, {time.monotonic() - began:.0f} s")


def is_cut_off(disk: Disk) -> bool:
    try:
        (disk.folder / "probe").write_bytes(b"x")
    except OSError as error:
        return error.errno in (errno.EIO, errno.EROFS)
    return False


def cut_once(folder: Path) -> None:
    with new_disk(folder) as disk:
        (disk.folder / "synced").write_bytes(b"kept")
        subprocess.run(["sync", "-f", str(disk.folder)], check=True)
        (disk.folder / "unsynced").write_bytes(b"gone")
        disk.cut()
        disk.unmount()
        disk.mount()
        print(*sorted(path.name for path in disk.folder.glob("*synced")))
        disk.unmount()


def apart(*words: str) -> str:
    """What this file says when run in a mount namespace of its own."""
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_was_acknowledged_before_a_power_cut_is_found_after_it(tmp_path: Path) -> None:
    said = apart("campaign", str(tmp_path), str(CUTS))
    print(said)
    assert f"power cuts: {CUTS}, " in said and ", lost: 0, " in said


def test_a_cut_takes_what_was_not_synced_so_that_these_tests_mean_something(tmp_path: Path) -> None:
    assert apart("once", str(tmp_path)) == "synced\n"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["campaign", folder, cuts]:
            asyncio.run(cut_again_and_again(Path(folder), int(cuts)))
        case ["once", folder]:
            cut_once(Path(folder))
        case ["write", path, first]:
            asyncio.run(write_for_ever(path, int(first)))

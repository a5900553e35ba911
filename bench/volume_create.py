"""Volumes: create, mount, delete (1 GiB, ext4 in a sparse file), and random 4 KiB writes beside the disk the volume lies on.

Usage: python bench/volume_create.py [--volumes 30] [--seconds 5] [--dir FOLDER] [--small] [--record]    needs root
Writes are O_DIRECT into a file that has its blocks, one at a time and then 16 at once (threads); disk and volume take turns, the
ratio is of the medians. One at a time shows the loop device's way (a kernel thread more); 16 at once shows what the disk gives.
"""

import asyncio
import mmap
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import figures

from wherry.infrastructure.storage.loop_volumes import LoopVolumes

SIZE = 1 << 30
FILE_BYTES = 64 << 20
BLOCK = 4096
TURNS = 5


def written_file(folder: Path) -> Path:
    path = folder / "load"
    path.write_bytes(os.urandom(1 << 20) * (FILE_BYTES >> 20))
    os.sync()
    return path


def write_rate(path: Path, seconds: float, seed: int) -> float:
    """Random 4 KiB writes a second, past the page cache."""
    page = mmap.mmap(-1, BLOCK)  # aligned, as O_DIRECT wants it
    page.write(os.urandom(BLOCK))
    descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
    numbers = random.Random(seed)
    try:
        began_at, count = time.perf_counter(), 0
        while time.perf_counter() - began_at < seconds:
            os.pwrite(descriptor, page, numbers.randrange(FILE_BYTES // BLOCK) * BLOCK)
            count += 1
        return count / (time.perf_counter() - began_at)
    finally:
        os.close(descriptor)


async def write_rates(path: Path, seconds: float, at_once: int) -> float:
    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(asyncio.to_thread(write_rate, path, seconds, seed)) for seed in range(at_once)]
    return sum(writer.result() for writer in writers)


async def write_figures(volumes: LoopVolumes, folder: Path, seconds: float) -> dict[str, tuple[float, str]]:
    await volumes.create("writes", SIZE)
    volume = await volumes.mount("writes")
    found: dict[str, tuple[float, str]] = {}
    try:
        files = written_file(folder), written_file(Path(volume.path))
        for at_once in (1, 16):
            turns = [[await write_rates(path, seconds / TURNS, at_once) for path in files] for _ in range(TURNS)]
            disk, inside = (statistics.median(column) for column in zip(*turns, strict=True))
            found[f"disk_random_writes_{at_once}"] = (disk, "1/s")
            found[f"volume_random_writes_{at_once}"] = (inside, "1/s")
            found[f"volume_random_writes_{at_once}_ratio"] = (inside / disk, "of the disk's")
    finally:
        await volumes.unmount("writes")
        await volumes.delete("writes")
    return found


async def measure(options: figures.Options) -> figures.Figures:
    count, seconds = (2, 0.5) if options.small else (options.volumes, options.seconds)
    took: dict[str, list[float]] = {"create": [], "mount": [], "delete": []}
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="wherry-bench-") as folder:
        volumes = LoopVolumes(Path(folder) / "volumes")
        await volumes.prepare()
        try:
            for index in range(count):
                name = f"v{index}"
                for what, work in (
                    ("create", volumes.create(name, SIZE)), ("mount", volumes.mount(name)),
                    ("", volumes.unmount(name)), ("delete", volumes.delete(name)),
                ):  # fmt: skip
                    began_at = time.perf_counter()
                    await work
                    took.get(what, []).append((time.perf_counter() - began_at) * 1000)
            written = await write_figures(volumes, Path(folder), seconds)
        finally:
            await volumes.unmount_all()
    spreads = [figures.spread(f"volume_{what}", values, "ms") for what, values in took.items()]
    return {name: figure for part in (*spreads, written) for name, figure in part.items()}


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--volumes", type=int, default=30)
    flags.add_argument("--seconds", type=float, default=5)
    flags.add_argument("--dir", default="/var/tmp", help="where the volumes lie: the disk to measure")
    figures.run(flags, measure)

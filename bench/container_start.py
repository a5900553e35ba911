"""Sandbox + container, from nothing to running: p50 and p99, one at a time and four at a time, over real crun and conmon.

Usage: python bench/container_start.py [--count 40] [--small] [--record]    needs root, crun, conmon, nftables, busybox-static
Prints one JSON line a figure. The image is one layer with static busybox; seccomp, limits and a network as in a cluster.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))
import figures  # noqa: E402
from engine_harness import Harness, harness  # noqa: E402

from wherry.container.runtime.engine import Resources  # noqa: E402


async def one(box: Harness, number: int) -> tuple[float, float, float]:
    """(sandbox, create, start) in seconds."""
    began = time.perf_counter()
    await box.sandbox(f"s{number}")
    boxed = time.perf_counter()
    await box.create(
        f"c{number}", "sleep 1000", f"s{number}", resources=Resources(cpu_shares=256, memory_limit_bytes=64 << 20)
    )
    created = time.perf_counter()
    await box.engine.start_container(f"c{number}")
    return boxed - began, created - boxed, time.perf_counter() - created


async def measure(box: Harness, count: int, parallel: int) -> list[tuple[float, float, float]]:
    found: list[tuple[float, float, float]] = []
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            found.append(await one(box, number))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(parallel):
            tasks.create_task(worker())
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(box.engine.remove_sandbox(f"s{number}"))
    return found


def described(parallel: int, found: list[tuple[float, float, float]]) -> dict[str, tuple[float, str]]:
    name = f"container_start_{parallel}_at_once"
    steps = {
        f"{name}_{step}_p50": (statistics.median(column) * 1000, "ms")
        for step, column in zip(("sandbox", "create", "start"), zip(*found, strict=True), strict=True)
    }
    return {**figures.spread(name, [sum(parts) * 1000 for parts in found], "ms"), **steps}


async def measured(options: figures.Options) -> figures.Figures:
    count = 4 if options.small else options.count
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        async with harness(Path(folder)) as box:
            await one(box, 10_000)  # the first compiles the seccomp filter
            return {**described(1, await measure(box, count, 1)), **described(4, await measure(box, count, 4))}


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--count", type=int, default=40)
    figures.run(flags, measured)

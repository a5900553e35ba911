"""Sandbox + container, from nothing to running: p50 and p99, one at a time and four at a time, over real crun and conmon.

Usage: python bench/container_start.py [--count 40] [--small] [--record]    needs root, crun, conmon, nftables, busybox-static
Prints one JSON line a figure. The image is one layer with static busybox; seccomp, limits and a network as in a cluster.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))
from engine_harness import Harness, harness  # noqa: E402

from wherry.container.runtime.engine import Resources  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "container_start.jsonl"


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


def line(parallel: int, found: list[tuple[float, float, float]]) -> dict[str, object]:
    totals = sorted(sum(parts) * 1000 for parts in found)
    medians = [round(statistics.median(column) * 1000, 1) for column in zip(*found, strict=True)]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "figure": "container_start", "parallel": parallel, "count": len(found), "unit": "ms",
        "p50": round(statistics.median(totals), 1), "p99": round(totals[int(len(totals) * 0.99) - 1], 1),
        "p50_sandbox_create_start": medians, "commit": commit, "machine": f"{os.cpu_count()} cores, {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    count = 4 if options.small else options.count
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        async with harness(Path(folder)) as box:
            await one(box, 10_000)  # the first compiles the seccomp filter
            for parallel in (1, 4):
                result = json.dumps(line(parallel, await measure(box, count, parallel)))
                sys.stdout.write(result + "\n")
                if options.record:
                    with RESULTS.open("a") as file:
                        file.write(result + "\n")


if __name__ == "__main__":
    asyncio.run(main())

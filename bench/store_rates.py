"""How fast the SQLite store is: puts from 1, 16 and 128 writers, gets one by one, a list; durable on this machine's disk.

    python bench/store_rates.py [--record] [--small] [--dir FOLDER]

One JSON line a figure: name, value, unit, commit, machine, load. `--record` appends them to results/store_rates.jsonl.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from wherry.orchestration.store.contract import Store
from wherry.orchestration.store.sqlite import SqliteStore

VALUE_BYTES = 1500  # a small Pod
WRITERS = (1, 16, 128)
RESULTS = Path(__file__).parent / "results" / "store_rates.jsonl"

Figures = dict[str, float]


async def rate(count: int, work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


async def put_rate(store: Store, writers: int, count: int) -> float:
    value = os.urandom(VALUE_BYTES)

    async def writer(name: int) -> None:
        for number in range(count // writers):
            await store.put(f"/pods/{writers:03}/{name:03}/{number:06}", value, expected=0)

    async def all_writers() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in range(writers):
                tasks.create_task(writer(name))

    return await rate(count // writers * writers, all_writers)


async def get_rate(store: Store, count: int) -> float:
    async def gets() -> None:
        for _ in range(count):
            assert await store.get("/pods/001/000/000000")

    return await rate(count, gets)


async def list_rate(store: Store) -> float:
    entries = len((await store.list("/pods/128/")).entries)
    return await rate(entries, lambda: store.list("/pods/128/"))


async def measure(folder: Path, count: int) -> Figures:
    """Entries or calls a second, by name. `count` is the number of calls for each figure."""
    store = await SqliteStore.open(folder / "state.db")
    try:
        figures = {f"put_{writers}_writers": await put_rate(store, writers, count) for writers in WRITERS}
        figures["get"] = await get_rate(store, count)
        figures["list_entries"] = await list_rate(store)
    finally:
        await store.close()
    return figures


def lines(figures: Figures) -> list[str]:
    """One JSON object a figure."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS.parent, text=True, capture_output=True, check=False
    ).stdout.strip()
    about = {
        "unit": "1/s",
        "commit": commit or "none",
        "machine": f"{platform.machine()} {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return [json.dumps({"name": name, "value": round(value), **about}) for name, value in figures.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="append to results/store_rates.jsonl")
    parser.add_argument("--small", action="store_true", help="a second or less, to see that it works")
    parser.add_argument("--dir", default=".", help="where the store's file goes: the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="store-rates-") as folder:
        figures = uvloop.run(measure(Path(folder), 256 if options.small else 12_800))
    found = lines(figures)
    print("\n".join(found))
    if options.record:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write("\n".join(found) + "\n")


if __name__ == "__main__":
    main()

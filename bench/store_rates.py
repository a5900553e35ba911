"""How fast the SQLite store is: puts from 1, 16 and 128 writers, gets one by one, a list; durable on this machine's disk.

    python bench/store_rates.py [--record] [--small] [--dir FOLDER]

The peer beside it is etcd: bench/etcd_rates.py.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import figures

from wherry.orchestration.store.contract import Store
from wherry.orchestration.store.sqlite import SqliteStore

VALUE_BYTES = 1500  # a small Pod
WRITERS = (1, 16, 128)


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


async def measure(folder: Path, count: int) -> figures.Figures:
    """Entries or calls a second, by name. `count` is the number of calls for each figure."""
    store = await SqliteStore.open(folder / "state.db")
    try:
        found = {f"put_{writers}_writers": await put_rate(store, writers, count) for writers in WRITERS}
        found["get"] = await get_rate(store, count)
        found["list_entries"] = await list_rate(store)
    finally:
        await store.close()
    return {name: (value, "1/s") for name, value in found.items()}


async def measured(options: figures.Options) -> figures.Figures:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="store-rates-") as folder:
        return await measure(Path(folder), 256 if options.small else 12_800)


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--dir", default=".", help="where the store's file goes: the disk to measure")
    figures.run(flags, measured)

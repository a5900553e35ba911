"""The store's peer: etcd (Debian etcd-server) under the same load as bench/store_rates.py, on the same disk, in the same run.

Usage: python bench/etcd_rates.py [--dir FOLDER] [--small] [--record]    needs etcd (apt install etcd-server)
Puts from 1, 16 and 128 writers and gets one by one, by gRPC on loopback; then the SQLite store, and the ratios. Not the same
thing twice: etcd is a process behind gRPC, the store is embedded; that difference is the point, and it is in the ratio.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import figures
import grpc
from store_rates import VALUE_BYTES, WRITERS
from store_rates import measure as store_figures

from wherry.testing.ports import free_port

START_LIMIT_S = 20.0

Send = Callable[[bytes], Awaitable[bytes]]


def field(number: int, value: bytes) -> bytes:
    """A bytes field as protobuf has it."""
    length, size = bytearray(), len(value)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + value


async def put_rate(put: Send, writers: int, count: int) -> float:
    value = os.urandom(VALUE_BYTES)

    async def writer(name: int) -> None:
        for number in range(count // writers):
            await put(field(1, f"/pods/{writers:03}/{name:03}/{number:06}".encode()) + field(2, value))

    began_at = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for name in range(writers):
            tasks.create_task(writer(name))
    return count // writers * writers / (time.perf_counter() - began_at)


async def get_rate(get: Send, count: int) -> float:
    began_at = time.perf_counter()
    for _ in range(count):
        assert await get(field(1, b"/pods/001/000/000000"))
    return count / (time.perf_counter() - began_at)


async def etcd_figures(folder: Path, count: int) -> dict[str, float]:
    client, peer = free_port(), free_port()
    url = f"http://127.0.0.1:{client}"
    process = await asyncio.create_subprocess_exec(
        "etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url,
        "--listen-peer-urls", f"http://127.0.0.1:{peer}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{client}") as channel:
            put, get = channel.unary_unary("/etcdserverpb.KV/Put"), channel.unary_unary("/etcdserverpb.KV/Range")
            await put(field(1, b"/first") + field(2, b""), wait_for_ready=True, timeout=START_LIMIT_S)
            found = {f"put_{writers}_writers": await put_rate(put, writers, count) for writers in WRITERS}
            found["get"] = await get_rate(get, count)
            return found
    finally:
        process.kill()
        await process.wait()


async def measure(options: figures.Options) -> figures.Figures:
    if shutil.which("etcd") is None:
        raise SystemExit("etcd is not installed; run: apt-get install -y etcd-server")
    count = 256 if options.small else 6_400
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="etcd-rates-") as folder:
        etcd = await etcd_figures(Path(folder), count)
        own = await store_figures(Path(folder), count)
    found = {f"etcd_{name}": (value, "1/s") for name, value in etcd.items()}
    return found | {f"store_to_etcd_{name}": (own[name][0] / value, "x") for name, value in etcd.items()}


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--dir", default=".", help="where the data goes: the disk to measure")
    figures.run(flags, measure)

"""Await a file descriptor of the kernel (pipe, terminal, packet socket, pidfd) without a transport around it.

Only one wait for reading and one for writing at a time per descriptor. The descriptor must be non-blocking.
"""

import asyncio
import os


async def readable(descriptor: int) -> None:
    """Return when a read would not block."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Return when a write would not block."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)


async def write_all(descriptor: int, data: bytes, piece_bytes_max: int = 65536) -> None:
    """Write all of `data`, in pieces of at most `piece_bytes_max`. Raise `BrokenPipeError` when nobody reads any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view[:piece_bytes_max]) :]
        except BlockingIOError:
            await writable(descriptor)

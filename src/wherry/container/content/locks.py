"""Locks between the processes that share a content folder: flock(2), gone with the process that held it."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

POLL_S = 0.05


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold `path` together with other `shared` holders. Blocks."""
    with _held(path, fcntl.LOCK_SH):
        yield


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone. Blocks."""
    with _held(path, fcntl.LOCK_EX):
        yield


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[None]:
    """Hold `path` alone without blocking the loop while another process, or another task, has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not try_exclusive(descriptor):
            await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def try_exclusive(descriptor: int) -> bool:
    """Lock an open file alone if nobody holds it; the lock ends when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _held(path: Path, kind: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)

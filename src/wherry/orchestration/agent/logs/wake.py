"""Wake a log follower when its folder or its container changes.

How: inotify on the folder (writes, renames, new files), and whatever else calls `wake`. When the machine gives no more
     inotify instances, a look every `FALLBACK_S`.
"""

import asyncio
import ctypes
import os
from pathlib import Path
from types import TracebackType

IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x2, 0x40, 0x80, 0x100
FALLBACK_S = 0.5
FORCED_S = 10.0  # a look without a reason, in case an event was lost
BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class Waker:
    """`async with` it; `wait` returns after something changed since the last `clear`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = asyncio.Event()
        self._descriptor = -1

    def wake(self) -> None:
        """Something else changed."""
        self._changed.set()

    def clear(self) -> None:
        """What changed until now is about to be read."""
        self._changed.clear()

    async def wait(self) -> None:
        """Return after a change, or after the forced interval."""
        try:
            async with asyncio.timeout(FORCED_S if self._descriptor >= 0 else FALLBACK_S):
                await self._changed.wait()
        except TimeoutError:
            return

    async def __aenter__(self) -> "Waker":
        self._descriptor = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor >= 0:
            mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE
            if _libc.inotify_add_watch(self._descriptor, os.fsencode(self._folder), mask) < 0:
                self._close()
            else:
                asyncio.get_running_loop().add_reader(self._descriptor, self._drain)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._close()

    def _drain(self) -> None:
        try:
            os.read(self._descriptor, BUFFER_BYTES)
        except BlockingIOError:
            return
        self._changed.set()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

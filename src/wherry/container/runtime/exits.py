"""Learn that processes which are not our children have ended, by their pidfds in the event loop."""

import asyncio
import os
from collections.abc import Callable

from wherry.infrastructure.linux import processes


class ExitWatch:
    """Calls `on_end(name)` once, in the event loop, after each watched process has ended."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._descriptors: dict[str, int] = {}

    def watch(self, name: str, pid: int, ticks: int) -> None:
        """Follow the process that started at `ticks`; one that is gone already ends in the next turn of the loop."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            loop.call_soon(self._on_end, name)
            return
        if not processes.is_same(pid, ticks):
            os.close(descriptor)
            loop.call_soon(self._on_end, name)
            return
        self._descriptors[name] = descriptor
        loop.add_reader(descriptor, self._ended, name)

    def forget(self, name: str) -> None:
        """Idempotent."""
        descriptor = self._descriptors.pop(name, -1)
        if descriptor >= 0:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Forget all."""
        for name in tuple(self._descriptors):
            self.forget(name)

    def _ended(self, name: str) -> None:
        self.forget(name)
        self._on_end(name)

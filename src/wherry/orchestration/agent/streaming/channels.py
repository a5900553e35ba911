"""What a remote command needs of its client, whatever carries it: input, terminal sizes, two outputs, a last word.

See `websocket_channels` and `spdy_channels` for the two that carry it.
"""

import asyncio
from collections import deque
from typing import Protocol

from wherry.orchestration.agent.streaming.outcome import Status

INBOX_BYTES_MAX = 1024 * 1024  # input held for a process that does not read; then the client has to wait


class Channels(Protocol):
    """One client of one exec or attach."""

    async def run(self) -> None:
        """Take in what the client sends. Returns when the client has left; must run for the rest to work."""

    async def read_stdin(self) -> bytes:
        """The next input, b"" at its end."""

    async def read_size(self) -> bytes:
        """The next terminal size as JSON, b"" when no more come."""

    async def send(self, stream: str, data: bytes) -> None:
        """Send output on "stdout" or "stderr"; dropped when the client did not ask for it. Raises `ConnectionError`."""

    async def finish(self, status: Status) -> None:
        """End the outputs, send the last word, close. Silent when the client is gone."""


class Inbox:
    """Bytes between the task that takes them in and the one that uses them, with an end and a limit."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._is_ended = False
        self._changed = asyncio.Condition()

    async def put(self, data: bytes) -> None:
        """Add `data`; waits while the inbox is full. Dropped after the end."""
        if not data:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < INBOX_BYTES_MAX or self._is_ended)
            if not self._is_ended:
                self._parts.append(data)
                self._size += len(data)
                self._changed.notify_all()

    async def end(self) -> None:
        async with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    async def get(self) -> bytes:
        """The next part, b"" at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._parts) or self._is_ended)
            if not self._parts:
                return b""
            part = self._parts.popleft()
            self._size -= len(part)
            self._changed.notify_all()
            return part

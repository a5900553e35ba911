"""A request body as a stream between the protocol, which feeds it, and the handler, which reads it.

In:    `feed`, `end`, `fail` from the event loop's callbacks (never concurrently).
Out:   an async iterator of bytes, for one reader.
Never: touches the socket; `on_demand` and `on_room` tell the connection what the reader did.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from wherry.kit.errors import Invalid


class BodyBroken(Invalid):
    """The body ended before its length, stalled, or its chunked coding is malformed. Answered as 400."""


class BodyStream:
    """Buffered parts of one body. `complete` once the last byte was received."""

    __slots__ = ("_error", "_on_demand", "_on_room", "_parts", "_waiter", "buffered_bytes", "complete", "is_wanted")

    def __init__(self, on_demand: Callable[[], None], on_room: Callable[[], None]) -> None:
        self._parts: deque[bytes] = deque()
        self._on_demand = on_demand
        self._on_room = on_room
        self._waiter: asyncio.Future[None] | None = None
        self._error: BodyBroken | None = None
        self.buffered_bytes = 0
        self.complete = False
        self.is_wanted = False  # the handler has asked at least once (Expect: 100-continue)

    def feed(self, part: bytes) -> None:
        self._parts.append(part)
        self.buffered_bytes += len(part)
        self._wake()

    def end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, reason: str) -> None:
        """End the body with an error, unless all of it has arrived."""
        if not self.complete and self._error is None:
            self._error = BodyBroken(reason)
            self._wake()

    @property
    def is_awaited(self) -> bool:
        """The handler waits for bytes right now."""
        return self._waiter is not None

    def __aiter__(self) -> "BodyStream":
        return self

    async def __anext__(self) -> bytes:
        if not self.is_wanted:
            self.is_wanted = True
            self._on_demand()
        while not self._parts:
            if self.complete:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            self._on_room()
            try:
                await self._waiter
            finally:
                self._waiter = None
        part = self._parts.popleft()
        self.buffered_bytes -= len(part)
        self._on_room()
        return part

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

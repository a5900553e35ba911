"""`Connection` over an asyncio transport (server side, after an upgrade) and over asyncio streams (client side).

In:    bytes from the event loop or a StreamReader; bytes to send from the owner.
Out:   the `Connection` protocol of message.py: `read`, `write`, `close`, back-pressure both ways.
Never: understands what passes.
"""

import asyncio
from collections import deque

READ_BYTES_MAX = 256 * 1024  # unread bytes before the socket is no longer read


class PeerGone(ConnectionError):
    """The other side closed or vanished while something was to be sent."""


class TransportConnection:
    """The byte stream of a connection whose protocol feeds it. One reader, any number of writers."""

    def __init__(self, transport: asyncio.Transport, first: bytes) -> None:
        self._transport = transport
        self._parts: deque[bytes] = deque([first] if first else [])
        self._buffered_bytes = len(first)
        self._is_read_paused = False
        self._is_ended = False
        self._is_closed = False  # by us: what still comes is discarded
        self._is_lost = False
        self._peer_ended = asyncio.Event()
        self._reader: asyncio.Future[None] | None = None
        self._can_write: asyncio.Future[None] | None = None  # present while the transport is full

    async def read(self) -> bytes:
        while not self._parts:
            if self._is_ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._parts.popleft()
        self._buffered_bytes -= len(data)
        if self._is_read_paused and self._buffered_bytes <= READ_BYTES_MAX // 2 and not self._transport.is_closing():
            self._is_read_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._is_closed or self._transport.is_closing():
            raise PeerGone("connection is closed")
        self._transport.write(data)
        if self._can_write is not None:
            await asyncio.shield(self._can_write)
        if self._is_lost:
            raise PeerGone("connection closed by the peer")

    async def close(self) -> None:
        """End our side; `linger` closes the transport."""
        if self._is_closed:
            return
        self._is_closed = True
        self._parts.clear()
        self._end()
        if self._transport.is_closing():
            return
        if self._is_read_paused:
            self._is_read_paused = False
            self._transport.resume_reading()
        end_writing(self._transport)

    async def linger(self, limit_s: float) -> None:
        """Close once the peer has ended its side too, or after `limit_s`.

        Closing with input unread resets the connection, and the peer may lose what it has not read yet: the exit code
        of a command that left its input lying.
        """
        try:
            await self.close()
            async with asyncio.timeout(limit_s):
                await self._peer_ended.wait()
        except TimeoutError:
            return
        finally:
            self._transport.close()

    def feed(self, data: bytes) -> None:
        if self._is_closed:
            return
        self._parts.append(data)
        self._buffered_bytes += len(data)
        self._wake_reader()
        if self._buffered_bytes > READ_BYTES_MAX and not self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = True
            self._transport.pause_reading()

    def feed_end(self) -> None:
        self._peer_ended.set()
        self._end()

    def lost(self) -> None:
        self._is_lost = True
        self._peer_ended.set()
        self._end()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self._can_write is None:
            self._can_write = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._can_write is not None:
            if not self._can_write.done():
                self._can_write.set_result(None)
            self._can_write = None

    def _end(self) -> None:
        self._is_ended = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class StreamConnection:
    """The same over a StreamReader and StreamWriter. `first` are bytes already read that come before the rest."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        self._reader = reader
        self._writer = writer
        self._first = first

    async def read(self) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        try:
            return await self._reader.read(READ_BYTES_MAX)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise PeerGone("connection closed")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise PeerGone(f"connection lost: {error}") from error

    async def end_writing(self) -> bool:
        """End our direction only. False where the transport cannot (TLS) or is gone."""
        return end_writing(self._writer.transport)

    async def close(self) -> None:
        self._writer.close()


def end_writing(transport: asyncio.WriteTransport) -> bool:
    """End our direction. False where the transport cannot, or the peer is gone already."""
    if transport.is_closing() or not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:
        return False
    return True

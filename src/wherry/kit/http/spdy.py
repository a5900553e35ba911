"""A SPDY/3.1 session over a `Connection`: many byte streams on one, in both roles.

In:    a connection that switched to SPDY, or a WebSocket that carries it (`tunnel.py`).
Out:   streams the peer opens (`accept`), streams we open (`open`), each with headers, bytes and half-close.
Spec:  SPDY Protocol Draft 3.1, sections 2.2 to 2.6.
Gaps:  no flow control windows: the only peers left (client-go and its spdystream) send no WINDOW_UPDATE and would stall
       a sender that waits for one. A stream nobody reads stops the session's reading at `UNREAD_BYTES_MAX` instead.
       No SETTINGS are sent, theirs are ignored; no server push, no priorities.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from wherry.kit.http import spdy_frames as frames
from wherry.kit.http.byte_stream import PeerGone
from wherry.kit.http.message import Connection
from wherry.kit.http.spdy_frames import Control, Data, Kind, Reset, SpdyBroken

UNREAD_BYTES_MAX = 1024 * 1024  # per stream
DATA_BYTES_MAX = 64 * 1024  # per frame sent, so that streams take turns
STREAMS_MAX = 1000  # open at one time; more are refused
_EMPTY: Mapping[str, str] = {}


class StreamReset(PeerGone):
    """The peer gave the stream up. `status` is a `Reset`."""

    def __init__(self, stream_id: int, status: int) -> None:
        self.status = status
        super().__init__(f"spdy stream {stream_id} was reset with status {status}")


class SpdyStream:
    """One stream. `headers` are those it was opened with (names lower-case). One reader, many writers."""

    def __init__(self, session: "SpdySession", stream_id: int, headers: Mapping[str, str]) -> None:
        self._session = session
        self._parts: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_read_closed = False
        self._is_write_closed = False
        self._replied = asyncio.Event()
        self.id = stream_id
        self.headers = headers
        self.unread_bytes = 0
        self.reset_status = 0  # not 0: the peer reset it

    async def reply(self, headers: Mapping[str, str] = _EMPTY) -> None:
        """Agree to a stream the peer opened; peers wait for it."""
        await self._session.send_reply(self.id, headers)

    async def replied(self) -> None:
        """Wait until the peer agreed to a stream we opened. Raises `StreamReset` or `PeerGone`."""
        await self._replied.wait()
        if self.reset_status:
            raise StreamReset(self.id, self.reset_status)
        if self._session.is_ended:
            raise PeerGone("spdy session ended")

    async def read(self) -> bytes:
        """The next bytes; b"" at the peer's end of the stream, at a reset, and at the end of the session."""
        while not self._parts:
            if self._is_read_closed:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        part = self._parts.popleft()
        self.unread_bytes -= len(part)
        self._session.made_room()
        return part

    async def write(self, data: bytes) -> None:
        """Send `data`. Raises `StreamReset` or `PeerGone`."""
        for at in range(0, len(data), DATA_BYTES_MAX):
            if self.reset_status:
                raise StreamReset(self.id, self.reset_status)
            if self._is_write_closed:
                raise PeerGone(f"spdy stream {self.id} is closed")
            await self._session.send(frames.data(self.id, data[at : at + DATA_BYTES_MAX]))

    async def finish(self) -> None:
        """End our direction. Idempotent; silent when the peer is gone."""
        if self._is_write_closed:
            return
        self._is_write_closed = True
        self._session.forget_if_done(self)
        try:
            await self._session.send(frames.data(self.id, b"", frames.FLAG_FIN))
        except ConnectionError:
            return

    async def reset(self, status: Reset = Reset.CANCEL) -> None:
        """Give the stream up in both directions. Idempotent; silent when the peer is gone."""
        if self._is_write_closed and self._is_read_closed:
            return
        self._is_write_closed = True
        self.end_reading()
        self._session.forget_if_done(self)
        try:
            await self._session.send(frames.rst_stream(self.id, status))
        except ConnectionError:
            return

    def stop_reading(self) -> None:
        """Drop what the peer sends on this stream from now on, without telling it."""
        self._parts.clear()
        self.unread_bytes = 0
        self.end_reading()
        self._session.forget_if_done(self)
        self._session.made_room()

    @property
    def is_done(self) -> bool:
        return self._is_read_closed and self._is_write_closed

    def take_data(self, payload: bytes) -> None:
        if payload and not self._is_read_closed:
            self._parts.append(payload)
            self.unread_bytes += len(payload)
            self._wake()

    def end_reading(self) -> None:
        self._is_read_closed = True
        self._replied.set()
        self._wake()

    def take_reply(self) -> None:
        self._replied.set()

    def take_reset(self, status: int) -> None:
        self.reset_status = status or Reset.CANCEL
        self._is_write_closed = True
        self._parts.clear()
        self.unread_bytes = 0
        self.end_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class SpdySession:
    """See the module docstring. `run` must be running for anything to arrive."""

    def __init__(self, connection: Connection, *, is_client: bool = False) -> None:
        self._connection = connection
        self._is_client = is_client
        self._next_id = 1 if is_client else 2
        self._streams: dict[int, SpdyStream] = {}
        self._offered: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._header_reader = frames.HeaderReader()
        self._header_writer = frames.HeaderWriter()
        self._last_peer_id = 0
        self._room: asyncio.Future[None] | None = None
        self._crowded: SpdyStream | None = None
        self.is_ended = False

    async def run(self) -> None:
        """Read frames until the peer ends the connection, says goodbye, or breaks the protocol."""
        reader = frames.FrameReader()
        try:
            while data := await self._connection.read():
                for frame in reader.feed(data):
                    if isinstance(frame, Data):
                        await self._take_data(frame)
                    else:
                        await self._take_control(frame)
        except SpdyBroken:
            await self._say_goodbye(Reset.PROTOCOL_ERROR)
        except ConnectionError:
            return
        finally:
            self._end()

    async def accept(self) -> SpdyStream | None:
        """The next stream the peer opened, or None when the session has ended. Answer with `reply` or `reset`."""
        if self.is_ended and self._offered.empty():
            return None
        return await self._offered.get()

    async def open(self, headers: Mapping[str, str]) -> SpdyStream:
        """Open a stream; `replied()` tells when the peer agreed."""
        stream = SpdyStream(self, self._next_id, {name.lower(): value for name, value in headers.items()})
        self._next_id += 2
        self._streams[stream.id] = stream
        await self.send(frames.syn_stream(stream.id, self._header_writer.write(headers)))
        return stream

    async def close(self) -> None:
        """Say goodbye and close the connection. Idempotent."""
        await self._say_goodbye(0)
        self._end()
        await self._connection.close()

    async def send(self, frame: bytes) -> None:
        if self.is_ended:
            raise PeerGone("spdy session ended")
        await self._connection.write(frame)

    async def send_reply(self, stream_id: int, headers: Mapping[str, str]) -> None:
        # Compressing and handing over happen without a wait in between: blocks must arrive in this order.
        await self.send(frames.syn_reply(stream_id, self._header_writer.write(headers)))

    def made_room(self) -> None:
        room, crowded = self._room, self._crowded
        if room is None or crowded is None or room.done():
            return
        if crowded.is_done or crowded.unread_bytes <= UNREAD_BYTES_MAX:
            room.set_result(None)

    def forget_if_done(self, stream: SpdyStream) -> None:
        if stream.is_done:
            self._streams.pop(stream.id, None)
            self.made_room()

    async def _take_data(self, piece: Data) -> None:
        stream = self._streams.get(piece.stream_id)
        if stream is None:
            return  # of a stream given up already; nothing to say
        stream.take_data(piece.payload)
        if piece.is_last:
            stream.end_reading()
            self.forget_if_done(stream)
        while stream.unread_bytes > UNREAD_BYTES_MAX and not self.is_ended:
            self._crowded = stream
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = self._crowded = None

    async def _take_control(self, frame: Control) -> None:
        match frame.kind:
            case Kind.SYN_STREAM:
                await self._take_syn_stream(frame)
            case Kind.SYN_REPLY:
                self._header_reader.read(frame.body[4:])
                if stream := self._streams.get(frame.number):
                    stream.take_reply()
                    self._end_if_final(stream, frame.flags)
            case Kind.RST_STREAM:
                if stream := self._streams.pop(frame.number, None):
                    stream.take_reset(int.from_bytes(frame.body[4:8], "big"))
                    self.made_room()
            case Kind.HEADERS:
                self._header_reader.read(frame.body[4:])
                if stream := self._streams.get(frame.number):
                    self._end_if_final(stream, frame.flags)
            case Kind.PING:
                await self._take_ping(frame.number)
            case _:  # SETTINGS, WINDOW_UPDATE, GOAWAY (the end of the connection follows), unknown: ignored
                return

    async def _take_syn_stream(self, frame: Control) -> None:
        number = frame.number
        headers = self._header_reader.read(frame.body[10:])
        is_theirs = bool(number % 2) != self._is_client
        if not is_theirs or number <= self._last_peer_id:
            raise SpdyBroken(f"stream id {number} is out of order")
        self._last_peer_id = number
        if len(self._streams) >= STREAMS_MAX:
            await self.send(frames.rst_stream(number, Reset.REFUSED_STREAM))
            return
        stream = self._streams[number] = SpdyStream(self, number, headers)
        self._end_if_final(stream, frame.flags)
        self._offered.put_nowait(stream)

    async def _take_ping(self, number: int) -> None:
        is_theirs = bool(number % 2) != self._is_client
        if is_theirs:
            await self.send(frames.ping(number))

    def _end_if_final(self, stream: SpdyStream, flags: int) -> None:
        if flags & frames.FLAG_FIN:
            stream.end_reading()
            self.forget_if_done(stream)

    async def _say_goodbye(self, status: int) -> None:
        if not self.is_ended:
            try:
                await self._connection.write(frames.goaway(self._last_peer_id, status))
            except ConnectionError:
                return

    def _end(self) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        for stream in self._streams.values():
            stream.end_reading()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._offered.put_nowait(None)

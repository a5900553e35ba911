"""One HTTP/1.1 connection on the server side: requests to the handler one after the other, answers to the socket.

In:    the event loop's callbacks (asyncio.Protocol), a `Handler`, `Limits`; `incoming.RequestReader` reads the bytes.
Out:   one call of the handler per request, its answer on the socket; a refusal and the close for what is malformed.
Spec:  RFC 9112 section 9.3 (persistence, pipelining), 9.6 (closing); RFC 9110 sections 7.8, 10.1.1 (Expect).
Cost:  one task per connection that has sent a request, one socket write per small answer (bench/http_front.py).

A handler is cancelled when its client leaves, except after an upgrade: then it sees the end of the stream.
"""

import asyncio
import logging
import math
import socket
import ssl
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from wherry.kit.errors import Broken
from wherry.kit.http import answering
from wherry.kit.http.body import BodyBroken
from wherry.kit.http.byte_stream import TransportConnection, end_writing
from wherry.kit.http.incoming import Exchange, Phase, RequestReader
from wherry.kit.http.limits import Limits
from wherry.kit.http.message import BodyTooLarge, Handler, Request, Response, Upgrade
from wherry.kit.supervise import attempt

log = logging.getLogger(__name__)

_NEVER = math.inf
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))  # seconds, seconds, times


class ClientGone(ConnectionError):
    """The client left while its answer was being written. Not an error of ours: nobody is told."""


@dataclass(slots=True)
class Home:
    """What all connections of one server share."""

    handler: Handler
    limits: Limits
    tasks: asyncio.TaskGroup
    connections: set["HttpConnection"] = field(default_factory=set)
    is_closing: bool = False
    all_gone: asyncio.Future[None] | None = None  # awaited on shutdown


class HttpConnection(asyncio.Protocol):
    """See the module docstring."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._limits = home.limits
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None  # the task waits for a request
        self._drained: asyncio.Future[None] | None = None  # present while the transport is full
        self._upgraded: TransportConnection | None = None
        self._deadline = _NEVER
        self._is_read_paused = False
        self._is_half_closed = False
        self._is_tls = False
        self._has_begun_stream = False
        self._stall_s = home.limits.write_stall_s  # of the answer under way
        self._is_endless = False  # the answer under way has no end: a watch, a followed log

    # -- the event loop's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        home, certificate = self._home, None
        home.connections.add(self)
        _keep_alive(transport.get_extra_info("socket"))
        tls = transport.get_extra_info("ssl_object")
        self._is_tls = tls is not None
        if tls is not None and tls.context.verify_mode != ssl.CERT_NONE:
            certificate = tls.getpeercert(binary_form=True)
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) and peer else ""
        self._reader = RequestReader(
            self._limits, self._send_continue, self._body_was_read, remote_address=address, peer_certificate=certificate
        )
        self._deadline = self._loop.time() + self._limits.head_timeout_s
        if len(home.connections) > self._limits.connections_max or home.is_closing:
            self._reader.is_deaf = True
            self._transport.write(answering.plain_bytes(503, "too many connections"))
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._upgraded is not None:
            self._upgraded.feed(data)
            return
        reader = self._reader
        before, begun_before = reader.phase, reader.heads_begun
        self._enqueue(reader.feed(data))
        phase = reader.phase
        if phase is Phase.BODY:
            self._pause_or_resume()
            self._extend_body_deadline()
        elif phase is not before or (phase is Phase.HEAD and reader.heads_begun != begun_before):
            self._set_deadline(phase)
        if reader.asking is not None:
            self._pause_or_resume()

    def eof_received(self) -> bool:
        self._is_half_closed = True
        if self._upgraded is not None:
            self._upgraded.feed_end()
            return not self._is_tls  # TLS has no half-close: the transport closes itself
        if self._reader.body is not None:
            self._reader.body.fail("the connection ended inside the body")
        is_busy = bool(self._waiting) or self._current is not None
        if is_busy:
            # A client that closed looks the same as one that ended its side and waits. The latter is rare.
            self._loop.call_later(0 if self._is_endless else self._limits.half_closed_s, self._give_up_half_closed)
        return is_busy and not self._is_tls

    def connection_lost(self, error: Exception | None) -> None:
        home = self._home
        home.connections.discard(self)
        if home.all_gone is not None and not home.connections and not home.all_gone.done():
            home.all_gone.set_result(None)
        self._reader.is_deaf = True
        self._deadline = _NEVER
        self.resume_writing()
        if self._upgraded is not None:
            self._upgraded.lost()
        elif self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        if self._upgraded is not None:
            self._upgraded.pause_writing()
        elif self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._upgraded is not None:
            self._upgraded.resume_writing()
        elif self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    def check_deadline(self, now: float) -> None:
        """Called by the server's sweep."""
        if now < self._deadline:
            return
        self._deadline = _NEVER
        reader = self._reader
        if reader.body is not None:
            reader.body.fail("the client stopped sending its body")
        elif reader.phase is not Phase.BETWEEN:
            self._enqueue(reader.refuse(408))
        elif self._current is None and not self._waiting:
            self._transport.close()

    def begin_close(self) -> None:
        """The server shuts down: leave now when nothing is under way, else after the answer."""
        is_idle = self._current is None and not self._waiting and self._reader.phase is Phase.BETWEEN
        if self._upgraded is None and is_idle:
            self._transport.close()

    def cut(self) -> None:
        """The server's patience is over."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    def _give_up_half_closed(self) -> None:
        if self._upgraded is None and (self._is_endless or not self._has_begun_stream):
            self._transport.abort()  # a stream with an end goes on: its writes tell whether anybody is there

    # -- requests in line ----------------------------------------------------------------------------------------------

    def _enqueue(self, exchanges: list[Exchange]) -> None:
        if not exchanges:
            return
        self._waiting.extend(exchanges)
        if self._task is None:
            self._task = self._home.tasks.create_task(self._serve_or_abort(), name="http connection")
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if len(self._waiting) > self._limits.pipelined_max:
            self._pause_or_resume()

    async def _serve_or_abort(self) -> None:
        try:
            await attempt("http connection", self._serve())  # a failure must not reach the server's task group
        finally:
            if not self._transport.is_closing():
                self._transport.abort()

    async def _serve(self) -> None:
        """The connection's task: one exchange after the other until either side wants no more."""
        waiting, home, reader = self._waiting, self._home, self._reader
        while True:
            if not waiting:
                if self._is_half_closed or home.is_closing or reader.is_deaf:
                    break
                if reader.phase is Phase.BETWEEN:
                    self._deadline = self._loop.time() + self._limits.idle_timeout_s
                self._idle = self._loop.create_future()
                await self._idle
                self._idle = None
            exchange = self._current = waiting.popleft()
            if reader.phase is Phase.BETWEEN:
                self._deadline = _NEVER
            if self._is_read_paused:
                self._pause_or_resume()
            self._has_begun_stream = self._is_endless = False
            if not await attempt(exchange.name, self._answer(exchange)):
                self._answer_broken(exchange)
            self._current = None
            if not exchange.keep_alive:
                break
        await self._finish()

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.request is None:
            exchange.keep_alive = False
            answer: Response | Upgrade = answering.plain(exchange.refusal)
        else:
            answer = await self._asked(exchange.request)
        try:
            if isinstance(answer, Upgrade):
                await self._switch(exchange, answer)
            else:
                await self._send(exchange, answer)
        except ClientGone:
            exchange.keep_alive = False
        if exchange is self._reader.asking and exchange.keep_alive:
            self._enqueue(self._reader.go_on())
            self._set_deadline(self._reader.phase)
            self._pause_or_resume()

    async def _asked(self, request: Request) -> Response | Upgrade:
        try:
            return await self._home.handler(request)
        except BodyTooLarge as error:
            return answering.plain(413, str(error))
        except BodyBroken as error:
            return answering.plain(400, str(error))

    def _answer_broken(self, exchange: Exchange) -> None:
        exchange.keep_alive = False
        if self._has_begun_stream or self._upgraded is not None:
            self._transport.abort()  # the only honest end of a stream that cannot be finished
        elif not self._transport.is_closing():
            self._transport.write(answering.plain_bytes(500))

    async def _send(self, exchange: Exchange, answer: Response) -> None:
        if exchange.body is not None and not exchange.body.complete:
            exchange.keep_alive = False  # what is left of the body would have to be read first
        is_last = not self._waiting and exchange is not self._reader.asking
        if self._home.is_closing or (is_last and (self._is_half_closed or self._reader.is_deaf)):
            exchange.keep_alive = False
        self._stall_s = self._limits.write_stall_s if answer.stall_s is None else answer.stall_s
        body = answer.body
        if type(body) is bytes:
            whole = answering.whole_head(answer, len(body), exchange.keep_alive, exchange.is_old)
            self.write(whole if exchange.is_head else whole + body)
            if self._drained is not None:
                await self.drain()
            return
        await answering.send_parts(self, exchange, answer)

    async def drain(self) -> None:
        """Wait until the transport takes more. Raises `ClientGone`."""
        if self._drained is not None:
            try:
                async with asyncio.timeout(self._stall_s):
                    await self._drained
            except TimeoutError:
                # With a reset: behind what the client has not taken, the kernel would keep the end of the connection for minutes.
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
                raise ClientGone("client took nothing for too long") from None
        if self._transport.is_closing():
            raise ClientGone("client closed the connection")

    def write(self, data: bytes) -> None:
        """Hand `data` to the socket. Raises `ClientGone`: uvloop does not take writes to a closed transport."""
        if self._transport.is_closing():
            raise ClientGone("client closed the connection")
        self._transport.write(data)

    def begin_stream(self, *, is_endless: bool) -> None:
        """A streamed answer has begun. While it is endless, a client that ends its side has left."""
        self._has_begun_stream = True
        self._is_endless = is_endless
        if is_endless and self._is_half_closed:
            raise ClientGone("client ended its side")

    async def _switch(self, exchange: Exchange, upgrade: Upgrade) -> None:
        exchange.keep_alive = False
        reader = self._reader
        if exchange is not reader.asking:
            raise Broken("handler answered with an upgrade that the request did not ask for")
        self._deadline = _NEVER
        self.write(answering.upgrade_head(upgrade))
        self._upgraded = TransportConnection(self._transport, b"".join(reader.rest))
        if self._drained is not None:
            self._upgraded.pause_writing()
        if self._is_half_closed:
            self._upgraded.feed_end()
        if self._is_read_paused:
            self._is_read_paused = False
            self._transport.resume_reading()
        try:
            await upgrade.run(self._upgraded)
        except ConnectionError as error:
            log.debug("upgraded connection ended: %s", error)
        finally:
            await self._upgraded.linger(self._limits.linger_s)

    async def _finish(self) -> None:
        """Close so that the client can read the last answer: unread input would turn the close into a reset."""
        if self._upgraded is not None or self._transport.is_closing():
            return
        reader = self._reader
        is_unread = reader.is_deaf or reader.phase is not Phase.BETWEEN
        reader.is_deaf = True
        if self._is_read_paused:
            self._is_read_paused = False
            self._transport.resume_reading()
        if is_unread and not self._is_half_closed:
            end_writing(self._transport)
            self._deadline = _NEVER
            await asyncio.sleep(self._limits.linger_s)  # cancelled by connection_lost when the client closes first
        self._transport.close()

    # -- flow and time -------------------------------------------------------------------------------------------------

    def _pause_or_resume(self) -> None:
        if self._transport.is_closing():
            return
        reader = self._reader
        is_full = (
            reader.asking is not None
            or len(self._waiting) > self._limits.pipelined_max
            or (reader.body is not None and reader.body.buffered_bytes > self._limits.body_buffer_bytes)
        )
        if is_full and not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()
            if reader.phase is Phase.HEAD:
                self._deadline = _NEVER  # it is we who do not read on
        elif self._is_read_paused and not is_full:
            self._is_read_paused = False
            self._transport.resume_reading()
            self._set_deadline(reader.phase)

    def _set_deadline(self, phase: Phase) -> None:
        if phase is Phase.HEAD:
            self._deadline = self._loop.time() + self._limits.head_timeout_s
        elif phase is Phase.SMALL_BODY:
            self._deadline = self._loop.time() + self._limits.body_stall_s
        elif phase is Phase.BETWEEN:
            self._deadline = _NEVER  # the task sets another when it falls idle
        else:
            self._extend_body_deadline()

    def _body_was_read(self) -> None:
        if self._is_read_paused:
            self._pause_or_resume()
        self._extend_body_deadline()

    def _extend_body_deadline(self) -> None:
        """A body stalls only while somebody waits for it."""
        body = self._reader.body
        if body is not None:
            self._deadline = self._loop.time() + self._limits.body_stall_s if body.is_awaited else _NEVER

    def _send_continue(self) -> None:
        exchange = self._current
        if exchange is None or exchange.request is None or exchange.body is None or exchange.is_old:
            return
        if "expect" in exchange.request.headers and not exchange.body.buffered_bytes and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _keep_alive(connected: socket.socket | None) -> None:
    """Let the kernel find out about clients that vanished: a watch may have nothing to send for hours."""
    if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)

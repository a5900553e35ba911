"""One HTTP/1.1 connection on the server side: bytes into requests, answers into bytes, strictly in order.

In:    the event loop's callbacks (asyncio.Protocol), a `Handler`, `Limits`.
Out:   one call of the handler per request, its answer on the socket; 4xx and close for what is malformed.
Spec:  RFC 9112 (sections 6.3 message length, 7 chunked, 9.3 persistence, 11.2 smuggling), RFC 9110 10.1.1 (Expect).
Cost:  one task per connection that has sent a request, one socket write per small answer (bench/http_front.py).
Never: guesses at a broken message: it answers 400 and closes.

Life of a request: `on_message_begin` ... `on_headers_complete` decides how the body comes, the request joins
`_waiting`; the connection's task takes one after the other. A handler is cancelled when its client leaves, except
after an upgrade: then it sees the end of the stream.
"""

import asyncio
import logging
import math
import socket
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import httptools

from wherry.kit.errors import Broken
from wherry.kit.http import answering, head
from wherry.kit.http.body import BodyBroken, BodyStream
from wherry.kit.http.byte_stream import TransportConnection
from wherry.kit.http.limits import Limits
from wherry.kit.http.message import BodyTooLarge, Handler, Request, Response, Upgrade
from wherry.kit.supervise import attempt

log = logging.getLogger(__name__)

_ONCE_ONLY = frozenset({"host", "content-length", "transfer-encoding", "authorization", "expect", "content-type"})
_NAMES: dict[bytes, str] = {}  # header names as seen -> lower-case text
_NAMES_MAX = 1000
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


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way to the handler, or the refusal that takes its place."""

    request: Request | None
    keep_alive: bool = False
    is_head: bool = False
    is_old: bool = False  # HTTP/1.0: no chunked coding, persistence only when said
    body: BodyStream | None = None
    refusal: int = 0  # a status; the connection ends with it


class HttpConnection(asyncio.Protocol):
    """See the module docstring."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._limits = home.limits
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None  # the task waits for a request
        self._drained: asyncio.Future[None] | None = None  # present while the transport is full
        self._upgraded: TransportConnection | None = None
        self._rest: list[bytes] | None = None  # bytes after a request that asks for an upgrade, until it is decided
        self._deadline = _NEVER
        self._is_in_head = False
        self._is_in_message = False
        self._has_just_begun = False  # the message began in the bytes being parsed
        self._unparsed_bytes = 0
        self._head_bytes = 0
        self._target = b""
        self._headers: dict[str, str] = {}
        self._small_body: list[bytes] | None = None
        self._receiving: Exchange | None = None
        self._refusal = 0  # set in a callback that raises
        self._is_deaf = False  # nothing more is parsed: refused, or the answer said "close"
        self._is_read_paused = False
        self._is_half_closed = False
        self._has_begun_stream = False
        self._is_endless = False  # the answer under way has no end: a watch, a followed log
        self._newest: Exchange | None = None  # the last one received whole
        self._asking: Exchange | None = None  # the one that may switch protocols
        self._remote_address = ""
        self._certificate: bytes | None = None

    # -- the event loop's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        home = self._home
        home.connections.add(self)
        if len(home.connections) > self._limits.connections_max or home.is_closing:
            self._is_deaf = True
            self._transport.write(answering.plain_bytes(503, "too many connections"))
            self._transport.close()
            return
        peer = transport.get_extra_info("peername")
        self._remote_address = peer[0] if isinstance(peer, tuple) and peer else ""
        _keep_alive(transport.get_extra_info("socket"))
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.context.verify_mode != ssl.CERT_NONE:
            self._certificate = tls.getpeercert(binary_form=True)
        self._deadline = self._loop.time() + self._limits.head_timeout_s

    def data_received(self, data: bytes) -> None:
        if self._upgraded is not None:
            self._upgraded.feed(data)
            return
        if self._rest is not None:
            self._rest.append(data)
            return
        if self._is_deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._rest = [data[upgrade.args[0] :]]
            self._asking = self._newest
            self._pause_or_resume()
        except httptools.HttpParserError:
            self._refuse(self._refusal or 400)
        if self._is_in_head:
            # The read in which a head begins may hold earlier requests; it is bounded by itself.
            self._unparsed_bytes = 0 if self._has_just_begun else self._unparsed_bytes + len(data)
            self._has_just_begun = False
            if self._unparsed_bytes > self._limits.head_bytes_max:
                self._refuse(431)
        elif self._receiving is not None:
            self._extend_body_deadline()

    def eof_received(self) -> bool:
        self._is_half_closed = True
        if self._upgraded is not None:
            self._upgraded.feed_end()
            return True
        if self._receiving is not None and self._receiving.body is not None:
            self._receiving.body.fail("the connection ended inside the body")
        is_busy = bool(self._waiting) or self._current is not None
        if is_busy:
            # A client that closed looks the same as one that ended its side and waits. The latter is rare.
            self._loop.call_later(0 if self._is_endless else self._limits.half_closed_s, self._give_up_half_closed)
        return is_busy

    def connection_lost(self, error: Exception | None) -> None:
        home = self._home
        home.connections.discard(self)
        if home.all_gone is not None and not home.connections and not home.all_gone.done():
            home.all_gone.set_result(None)
        self._is_deaf = True
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
        body = self._receiving.body if self._receiving is not None else None
        if body is not None:
            body.fail("the client stopped sending its body")
        elif self._is_in_message and not self._is_deaf:
            self._refuse(408)
        else:
            self._transport.close()

    def _give_up_half_closed(self) -> None:
        if self._upgraded is None and (self._is_endless or not self._has_begun_stream):
            self._transport.abort()  # a stream with an end goes on: its writes tell whether anybody is there

    def begin_close(self) -> None:
        """The server shuts down: leave now when nothing is under way, else after the answer."""
        if self._upgraded is None and self._current is None and not self._waiting and self._receiving is None:
            self._transport.close()

    def cut(self) -> None:
        """The server's patience is over."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    # -- the parser's callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._is_in_head = self._is_in_message = True
        self._has_just_begun = True
        self._head_bytes = 0
        self._target = b""
        self._headers = {}
        self._deadline = self._loop.time() + self._limits.head_timeout_s

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _NAMES.get(name) or _remember_name(name)
        self._count_head(len(name) + len(value) + 4)
        headers = self._headers
        if key not in headers:
            headers[key] = value.decode("latin-1")
            if len(headers) > self._limits.headers_max:
                self._stop_parsing(431)
        elif key in _ONCE_ONLY:
            self._stop_parsing(400)
        else:
            headers[key] += ("; " if key == "cookie" else ", ") + value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        parser, headers = self._parser, self._headers
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._stop_parsing(505)
        is_old = version == "1.0"
        method = parser.get_method().decode("ascii")
        self._check_head(method, is_old)
        try:
            target, path, query = head.split_target(self._target)
            fields = head.parse_query(query) if query else {}
        except head.BadTarget:
            self._stop_parsing(400)
        request = Request(
            method, path, target, fields, headers, b"", self._certificate, self._remote_address
        )
        exchange = Exchange(request, parser.should_keep_alive(), method == "HEAD", is_old)
        self._receiving = exchange
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            self._small_body = None
        elif "expect" not in headers and length is not None and int(length) <= self._limits.small_body_bytes:
            self._small_body = []
            self._deadline = self._loop.time() + self._limits.body_stall_s
        else:
            self._small_body = None
            exchange.body = request.body = BodyStream(self._send_continue, self._body_was_read)
            self._deadline = _NEVER
            self._enqueue(exchange)

    def on_body(self, part: bytes) -> None:
        if self._small_body is not None:
            self._small_body.append(part)
        elif self._receiving is not None and self._receiving.body is not None:
            self._receiving.body.feed(part)
            self._pause_or_resume()

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        self._newest = exchange
        self._is_in_message = False
        assert exchange is not None and exchange.request is not None
        self._deadline = _NEVER
        if exchange.body is not None:
            exchange.body.end()
            return
        if self._small_body:
            exchange.request.body = b"".join(self._small_body)
        self._enqueue(exchange)

    def _check_head(self, method: str, is_old: bool) -> None:
        headers = self._headers
        if "host" not in headers and not is_old:
            self._stop_parsing(400)
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if "content-length" in headers or is_old:
                self._stop_parsing(400)
            if coding.strip().lower() != "chunked":
                self._stop_parsing(501)
        if method in ("CONNECT", "PRI"):
            self._stop_parsing(501)
        expected = headers.get("expect")
        if expected is not None and expected.lower() != "100-continue":
            self._stop_parsing(417)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            self._stop_parsing(431)

    def _stop_parsing(self, status: int) -> None:
        self._refusal = status
        raise BodyBroken(f"refused with {status}")

    # -- requests in line ----------------------------------------------------------------------------------------------

    def _enqueue(self, exchange: Exchange) -> None:
        self._waiting.append(exchange)
        if self._task is None:
            self._task = self._home.tasks.create_task(self._serve(), name="http connection")
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if len(self._waiting) > self._limits.pipelined_max:
            self._pause_or_resume()

    def _refuse(self, status: int) -> None:
        if self._is_deaf:
            return
        self._is_deaf = True
        self._is_in_head = self._is_in_message = False
        broken, self._receiving = self._receiving, None
        self._deadline = _NEVER
        if broken is not None and broken.body is not None:
            broken.body.fail("the body is malformed")  # its handler answers, or its error does
            return
        self._enqueue(Exchange(None, refusal=status))

    async def _serve(self) -> None:
        """The connection's task: one exchange after the other until either side wants no more."""
        waiting, home = self._waiting, self._home
        while True:
            if not waiting:
                if self._is_half_closed or home.is_closing:
                    break
                if self._receiving is None and not self._is_in_head:
                    self._deadline = self._loop.time() + self._limits.idle_timeout_s
                self._idle = self._loop.create_future()
                await self._idle
                self._idle = None
            exchange = self._current = waiting.popleft()
            if self._is_read_paused:
                self._pause_or_resume()
            self._has_begun_stream = self._is_endless = False
            if not await attempt("http request", self._answer(exchange)):
                self._answer_broken(exchange)
            self._current = None
            if not exchange.keep_alive:
                break
        await self._finish()

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.request is None:
            exchange.keep_alive = False
            await self._send(exchange, answering.plain(exchange.refusal))
            return
        try:
            answer = await self._home.handler(exchange.request)
        except BodyTooLarge as error:
            answer = answering.plain(413, str(error))
        except BodyBroken as error:
            answer = answering.plain(400, str(error))
        try:
            if isinstance(answer, Upgrade):
                await self._switch(exchange, answer)
            else:
                await self._send(exchange, answer)
        except ClientGone:
            exchange.keep_alive = False
        if exchange is self._asking and exchange.keep_alive:
            self._go_on_after_refused_upgrade()

    def _answer_broken(self, exchange: Exchange) -> None:
        exchange.keep_alive = False
        if self._has_begun_stream or self._upgraded is not None:
            self._transport.abort()  # the only honest end of a stream that cannot be finished
        else:
            self._transport.write(answering.plain_bytes(500))

    async def _send(self, exchange: Exchange, answer: Response) -> None:
        if exchange.body is not None and not exchange.body.complete:
            exchange.keep_alive = False  # what is left of the body would have to be read first
        is_last = not self._waiting and exchange is not self._asking
        if self._home.is_closing or (is_last and (self._is_half_closed or self._is_deaf)):
            exchange.keep_alive = False
        body = answer.body
        if type(body) is bytes:
            whole = answering.whole_head(answer, len(body), exchange.keep_alive, exchange.is_old)
            self._transport.write(whole if exchange.is_head else whole + body)
            if self._drained is not None:
                await self.drain()
            return
        await answering.send_parts(self, exchange, answer)

    async def drain(self) -> None:
        """Wait until the transport takes more. Raises `ClientGone`."""
        if self._drained is not None:
            try:
                async with asyncio.timeout(self._limits.write_stall_s):
                    await self._drained
            except TimeoutError:
                self._transport.abort()
                raise ClientGone("client took nothing for too long") from None
        if self._transport.is_closing():
            raise ClientGone("client closed the connection")

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def begin_stream(self, *, is_endless: bool) -> None:
        """A streamed answer has begun. While it is endless, a client that ends its side has left."""
        self._has_begun_stream = True
        self._is_endless = is_endless
        if is_endless and self._is_half_closed:
            raise ClientGone("client ended its side")

    # -- upgrades ------------------------------------------------------------------------------------------------------

    async def _switch(self, exchange: Exchange, upgrade: Upgrade) -> None:
        exchange.keep_alive = False
        if self._rest is None or exchange is not self._asking:
            raise Broken("handler answered with an upgrade that the request did not ask for")
        first = b"".join(self._rest)
        self._rest = None
        self._deadline = _NEVER
        self._transport.write(answering.upgrade_head(upgrade))
        self._upgraded = TransportConnection(self._transport, first)
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
            await self._upgraded.close()

    def _go_on_after_refused_upgrade(self) -> None:
        rest, self._rest, self._asking = self._rest or [], None, None
        self._parser = httptools.HttpRequestParser(self)
        self._pause_or_resume()
        data = b"".join(rest)
        if data:
            self.data_received(data)

    # -- flow ----------------------------------------------------------------------------------------------------------

    def _pause_or_resume(self) -> None:
        body = self._receiving.body if self._receiving is not None else None
        is_full = (
            self._rest is not None
            or len(self._waiting) > self._limits.pipelined_max
            or (body is not None and not self._is_deaf and body.buffered_bytes > self._limits.body_buffer_bytes)
        )
        if is_full and not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()
            if self._is_in_head:
                self._deadline = _NEVER
        elif self._is_read_paused and not is_full:
            self._is_read_paused = False
            self._transport.resume_reading()
            if self._is_in_head:
                self._deadline = self._loop.time() + self._limits.head_timeout_s

    def _body_was_read(self) -> None:
        if self._is_read_paused:
            self._pause_or_resume()
        self._extend_body_deadline()

    def _extend_body_deadline(self) -> None:
        """A body stalls only while somebody waits for it."""
        body = self._receiving.body if self._receiving is not None else None
        if body is not None:
            self._deadline = self._loop.time() + self._limits.body_stall_s if body.is_awaited else _NEVER

    def _send_continue(self) -> None:
        exchange = self._current
        if exchange is None or exchange.request is None or exchange.body is None or exchange.is_old:
            return
        if "expect" in exchange.request.headers and not exchange.body.buffered_bytes:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _finish(self) -> None:
        """Close so that the client can read the last answer: unread input would turn the close into a reset."""
        if self._upgraded is not None or self._transport.is_closing():
            return
        is_unread = self._is_deaf or self._receiving is not None
        self._is_deaf = True
        if self._is_read_paused:
            self._is_read_paused = False
            self._transport.resume_reading()
        if is_unread and not self._is_half_closed:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._deadline = _NEVER
            await asyncio.sleep(self._limits.linger_s)  # cancelled by connection_lost when the client closes first
        self._transport.close()


def _keep_alive(connected: socket.socket | None) -> None:
    """Let the kernel find out about clients that vanished: a watch may have nothing to send for hours."""
    if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _remember_name(name: bytes) -> str:
    text = name.lower().decode("latin-1")
    if len(_NAMES) < _NAMES_MAX:
        _NAMES[name] = text
    return text

"""The HTTP front against real sockets and real clients: framing, order, limits, cancellation, shutdown."""

import asyncio
import contextlib
import gc
import os
import re
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop

from wherry.kit.http.limits import Limits
from wherry.kit.http.message import Connection, Request, Response, Upgrade
from wherry.kit.http.server import Server, serve

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy.")

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
TCP_CLOSE = 7  # tcp_info.tcpi_state
USUAL = Limits()
QUICK = Limits(
    head_timeout_s=0.3, idle_timeout_s=0.3, body_stall_s=0.3, half_closed_s=0.3, linger_s=0.2, close_grace_s=0.2
)


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Both loops the front runs on."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


class Application:
    """A handler with one path per behaviour; remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.closed = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: Request) -> Response | Upgrade:
        self.seen.append(request)
        behaviour: Callable[[Request], Awaitable[Response | Upgrade]] = getattr(
            self, request.path.strip("/").replace("/", "_") or "hello", self.hello
        )
        return await behaviour(request)

    async def hello(self, request: Request) -> Response:
        return Response(200, [("content-type", "text/plain")], b"hello " + request.path.encode())

    async def echo(self, request: Request) -> Response:
        return Response(200, [], await request.read(64 << 20))

    async def count(self, request: Request) -> Response:
        assert not isinstance(request.body, bytes)
        size = 0
        async for part in request.body:
            size += len(part)
        return Response(200, [], str(size).encode())

    async def limited(self, request: Request) -> Response:
        await request.read(1000)
        return Response(200, [], b"fits")

    async def refuse(self, request: Request) -> Response:
        return Response(403, [], b"no")

    async def broken(self, request: Request) -> Response:
        raise ValueError("secret detail")

    async def smuggle(self, request: Request) -> Response:
        return Response(200, [("x-a", "1\r\nset-cookie: evil")], b"")

    async def empty(self, request: Request) -> Response:
        return Response(204)

    async def parts(self, request: Request) -> Response:
        return Response(200, [], [b"a" * 40_000, b"b" * 40_000, b"c"])

    async def endless(self, request: Request) -> Response:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                yield b"first\n"
                await asyncio.Event().wait()
            finally:
                self.closed.set()

        return Response(200, [], ticks())

    async def brief(self, request: Request) -> Response:
        answer = await self.flood(request)
        answer.stall_s = 0.3
        return answer

    async def flood(self, request: Request) -> Response:
        self.flooded = 0

        async def bytes_forever() -> AsyncIterator[bytes]:
            try:
                while True:
                    self.flooded += 1
                    yield bytes(100_000)
            finally:
                self.closed.set()

        return Response(200, [], bytes_forever())

    async def stream(self, request: Request) -> Response:
        async def three() -> AsyncIterator[bytes]:
            for word in (b"one ", b"", b"two ", b"three"):
                yield word

        return Response(200, [], three())

    async def failing(self, request: Request) -> Response:
        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            raise ValueError("mid-stream")

        return Response(200, [], half())

    async def wait(self, request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return Response()

    async def shout(self, request: Request) -> Upgrade:
        async def run(connection: Connection) -> None:
            while data := await connection.read():
                await connection.write(data.upper())
            await connection.write(b"BYE")

        return Upgrade([("upgrade", "shout")], run)


@asynccontextmanager
async def running(limits: Limits = USUAL, **options: object) -> AsyncIterator[tuple[Application, Server]]:
    application = Application()
    async with serve(application, limits=limits, **options) as server:  # type: ignore[arg-type]
        yield application, server


async def talk(server: Server, sent: bytes, *, half_close: bool = True) -> bytes:
    """Send raw bytes, return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            if half_close:
                writer.write_eof()
            return await reader.read()
    finally:
        writer.close()


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", received)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        pytest.param(b"hello\r\n\r\n", [400], id="not HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400], id="TLS on a plain port"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", [400], id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400], id="two Hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", [400], id="folded header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", [400], id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", [400], id="NUL in a header"),
        pytest.param(b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", [400], id="NUL in the target"),
        pytest.param("GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".encode(), [400], id="target not ASCII"),
        pytest.param(b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", [400], id="target without a slash"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", [400], id="bare line feeds"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", [505], id="version 2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], id="HTTP/2 preface"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", [501], id="CONNECT"),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            [400], id="length and chunked",
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            [400], id="chunked and length",
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", [400],
            id="two lengths",
        ),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd", [400], id="signed length"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd", [400], id="list of lengths"),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", [400], id="huge length"
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [501],
            id="unknown coding",
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", [501], id="nearly chunked"
        ),
        pytest.param(
            b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400],
            id="chunked in HTTP/1.0",
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", [400], id="bad chunk size"
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n", [400],
            id="chunk longer than said",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", [417], id="unknown expectation"),
        pytest.param(b"GET /?" + b"a&" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [400], id="too many query fields"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 3 + b"Content-Type: a\r\nContent-Type: b\r\n\r\n",
                     [400], id="two content types"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", [431], id="long header"),
        pytest.param(b"GET /" + b"b" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [431], id="long target"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(300)) + b"\r\n", [431],
            id="many headers",
        ),
        pytest.param(GET % b"/one" + b"rubbish\r\n\r\n", [200, 400], id="rubbish after a good request"),
    ],
)
async def test_malformed_is_refused_and_the_connection_closed(sent: bytes, wanted: list[int]):
    async with running() as (application, server):
        received = await talk(server, sent, half_close=False)
    assert statuses(received) == wanted
    assert b"connection: close" in received


async def test_endless_header_is_refused_before_it_is_complete():
    async with running() as (_, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        async with asyncio.timeout(10):
            received = b""
            while not received:
                writer.write(b"b" * 10_000)
                await asyncio.sleep(0.001)
                received = await reader.read(100) if reader._buffer else b""  # type: ignore[attr-defined]
        writer.close()
    assert statuses(received) == [431]


async def test_pipelined_requests_are_answered_in_order():
    async with running() as (_, server):
        received = await talk(server, b"".join(GET % b"/%d" % n for n in range(200)))
    assert statuses(received) == [200] * 200
    assert re.findall(rb"hello /(\d+)", received) == [b"%d" % n for n in range(200)]


async def test_pipelined_request_waits_for_the_body_before_it():
    post = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running() as (_, server):
        received = await talk(server, post + b"5\r\nabcde\r\n0\r\n\r\n" + GET % b"/after")
    assert received.index(b"5HTTP/1.1") < received.index(b"hello /after")


async def test_request_is_read_as_sent():
    async with running() as (application, server):
        await talk(
            server,
            b"GET http://h/a%20b/%C3%BC?x=1&x=2&y&z=a+b%26#f HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept: b\r\n"
            b"Cookie: c=1\r\nCookie: d=2\r\n\r\n",
        )
    (request,) = application.seen
    assert request.path == "/a b/ü"
    assert request.query == {"x": ["1", "2"], "y": [""], "z": ["a b&"]}
    assert request.headers["accept"] == "a, b" and request.headers["cookie"] == "c=1; d=2"
    assert request.remote_address == "127.0.0.1" and request.peer_certificate is None


async def test_http_1_0_gets_no_chunks_and_persists_only_when_asked():
    async with running() as (_, server):
        streamed = await talk(server, b"GET /stream HTTP/1.0\r\n\r\n", half_close=False)
        twice = await talk(server, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert streamed.endswith(b"\r\n\r\none two three") and b"chunked" not in streamed
    assert statuses(twice) == [200, 200] and b"connection: keep-alive" in twice


async def test_head_has_the_length_and_no_body():
    async with running() as (_, server):
        for path in (b"/", b"/parts", b"/stream"):
            received = await talk(server, b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert received.endswith(b"\r\n\r\n") and received.count(b"\r\n\r\n") == 1
        assert b"content-length: 80001" in await talk(server, b"HEAD /parts HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_no_content_has_no_length():
    async with running() as (_, server):
        received = await talk(server, GET % b"/empty")
    assert b"content-length" not in received and statuses(received) == [204]


async def test_aiohttp_client_streams_both_ways():
    blob = os.urandom(3_000_000)
    async with running() as (_, server), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(blob), 50_000):
                yield blob[at : at + 50_000]

        async with client.post("/echo", data=blob) as answer:
            assert await answer.read() == blob
        async with client.post("/echo", data=pieces()) as answer:
            assert await answer.read() == blob
        async with client.post("/echo", data=blob, expect100=True) as answer:
            assert await answer.read() == blob
        async with client.get("/stream") as answer:
            assert await answer.text() == "one two three" and answer.headers["transfer-encoding"] == "chunked"
        async with client.get("/parts") as answer:
            assert len(await answer.read()) == 80_001


async def test_body_over_the_handlers_limit_is_413_and_the_client_can_read_it():
    async with running() as (_, server):
        head = b"POST /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        received = await talk(server, head + bytes(2_000_000), half_close=False)
    assert statuses(received) == [413]


async def test_a_length_over_the_handlers_limit_is_413_before_the_body_comes():
    async with running() as (_, server):
        head = b"POST /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000000\r\n\r\n"
        assert statuses(await talk(server, head, half_close=False)) == [413]


async def test_continue_is_sent_only_when_the_body_is_wanted():
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with running() as (_, server):
        assert statuses(await talk(server, head % b"/refuse", half_close=False)) == [403]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head % b"/echo")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [200]
        assert await reader.readexactly(3) == b"abc"
        writer.close()


async def test_error_of_a_handler_is_a_plain_500_without_its_text():
    async with running() as (_, server):
        for path in (b"/broken", b"/smuggle"):
            received = await talk(server, GET % path)
            assert statuses(received) == [500]
            assert b"secret" not in received and b"evil" not in received and b"Traceback" not in received


async def test_stream_that_fails_is_cut_so_that_the_client_notices():
    async with running() as (_, server), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.get("/failing") as answer:
                await answer.read()


@pytest.mark.slow
async def test_handler_is_cancelled_when_its_client_leaves():
    async with running() as (application, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET % b"/wait")
        await until(lambda: bool(application.seen))
        writer.transport.abort()
        async with asyncio.timeout(5):
            await application.cancelled.wait()


@pytest.mark.parametrize("leave", ["abort", "half-close"])
async def test_stream_is_closed_when_its_client_leaves(leave: str):
    async with running() as (application, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET % b"/endless")
        await reader.readuntil(b"first\n")
        writer.transport.abort() if leave == "abort" else writer.write_eof()
        async with asyncio.timeout(5):
            await application.closed.wait()
        await until(lambda: server.connection_count == 0)


async def test_slow_reader_stops_the_stream_and_a_stalled_one_is_cut():
    limits = Limits(write_stall_s=0.3)
    async with running(limits) as (application, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(GET % b"/flood")
        async with asyncio.timeout(5):
            await application.closed.wait()
        assert application.flooded < 300  # the kernel's buffers, not 30 MB
        writer.close()


async def test_an_answer_may_be_cut_sooner_than_others_when_its_client_takes_nothing():
    async with running() as (application, server):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(GET % b"/brief")
        plain = writer.get_extra_info("socket")
        async with asyncio.timeout(5):
            await application.closed.wait()
            # The kernel has let go of it, too, though there is no room for an orderly end.
            while plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE:
                await asyncio.sleep(0.01)
        writer.close()


@pytest.mark.slow
async def test_unread_body_stops_the_client():
    async with running() as (application, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    writer.write(bytes(1 << 20))
                    await writer.drain()
        body = application.seen[0].body
        assert body.buffered_bytes < 2 << 20  # type: ignore[union-attr]
        writer.transport.abort()


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        pytest.param(b"", [], id="says nothing"),
        pytest.param(b"GET / HT", [408], id="stops in the request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: ", [408], id="stops in a header"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", [408], id="stops in a small body"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc", [400], id="stops in a body"),
        pytest.param(GET % b"/", [200], id="falls idle"),
    ],
)
async def test_client_that_stops_is_let_go(sent: bytes, wanted: list[int]):
    async with running(QUICK) as (_, server):
        assert statuses(await talk(server, sent, half_close=False)) == wanted
        await until(lambda: server.connection_count == 0)


async def test_more_connections_than_allowed_are_turned_away():
    async with running(Limits(connections_max=2)) as (_, server):
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await until(lambda: server.connection_count == 2)
        assert statuses(await talk(server, b"", half_close=False)) == [503]
        held[0][1].close()
        await until(lambda: server.connection_count == 1)
        assert statuses(await talk(server, GET % b"/")) == [200]
        held[1][1].close()


async def test_upgrade_hands_over_the_connection_with_what_came_early():
    async with running() as (_, server):
        ask = b"GET /shout HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"
        received = await talk(server, ask + b"early" + bytes(0))
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols") and b"upgrade: shout" in head
    assert rest == b"EARLYBYE"


async def test_upgrade_the_handler_ignores_is_an_ordinary_request():
    async with running() as (_, server):
        ask = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        received = await talk(server, GET % b"/first" + ask + GET % b"/b")
    assert statuses(received) == [200, 200, 200]
    assert received.index(b"hello /a") < received.index(b"hello /b")


async def test_upgrade_nobody_asked_for_is_an_error():
    async with running() as (_, server):
        assert statuses(await talk(server, GET % b"/shout")) == [500]


async def test_upgraded_stream_waits_for_a_slow_peer():
    async with running() as (_, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(b"GET /shout HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        blob = b"a" * 20_000_000

        async def push() -> None:
            writer.write(blob)
            await writer.drain()
            writer.write_eof()

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(push())
            received = await reader.read()
        assert received == blob.upper() + b"BYE"
        writer.close()


async def test_last_words_of_an_upgrade_reach_a_client_that_is_still_sending():
    async def curt(request: Request) -> Upgrade:
        async def run(connection: Connection) -> None:
            await connection.read()
            await connection.write(b"last words")

        return Upgrade([("upgrade", "curt")], run)

    async with serve(curt) as server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: curt\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(50):
            writer.write(bytes(100_000))
            await writer.drain()
        assert await reader.read() == b"last words"
        writer.close()
        await until(lambda: server.connection_count == 0)


async def test_closing_finishes_what_is_under_way_and_cuts_the_endless():
    application = Application()
    async with serve(application, limits=QUICK) as server:
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        endless_reader, endless = await asyncio.open_connection("127.0.0.1", server.port)
        endless.write(GET % b"/endless")
        await endless_reader.readuntil(b"first\n")
        await server.close()
        assert await idle[0].read() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port)
    assert application.closed.is_set()
    for writer in (idle[1], endless):
        writer.close()


async def test_error_inside_the_block_is_raised_as_it_is():
    with pytest.raises(KeyError):
        async with running():
            raise KeyError("mine")


async def test_taken_port_is_an_os_error():
    async with running() as (_, server):
        with pytest.raises(OSError):
            async with serve(Application(), port=server.port):
                pass


async def test_unix_socket_is_private_and_removed(tmp_path: Path):
    path = tmp_path / "s"
    async with serve(Application(), unix_path=path):
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(GET % b"/")
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [200]
        writer.close()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client:
            assert await (await client.get("http://x/abc")).text() == "hello /abc"
    assert not path.exists()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate, by openssl."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )
    return cert, key


async def test_tls_carries_the_clients_certificate_and_big_bodies(tmp_path: Path):
    server_pair, client_pair, stranger = (certificate(tmp_path, name) for name in ("server", "client", "stranger"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_pair[0]))
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_cert_chain(*server_pair)
    blob = os.urandom(2_000_000)
    async with running(tls=tls) as (application, server):
        url = f"https://127.0.0.1:{server.port}"
        for pair in (client_pair, None):
            trust = ssl.create_default_context(cafile=str(server_pair[0]))
            if pair:
                trust.load_cert_chain(*pair)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:
                async with client.post(f"{url}/echo", data=blob) as answer:
                    assert await answer.read() == blob
        trust.load_cert_chain(*stranger)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.get(f"{url}/")
    known, unknown = application.seen
    assert known.peer_certificate == ssl.PEM_cert_to_DER_cert(client_pair[0].read_text())
    assert unknown.peer_certificate is None


async def test_curl_agrees(tmp_path: Path):
    (tmp_path / "big").write_bytes(os.urandom(5_000_000))
    async with running() as (_, server):
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--fail", "--data-binary", f"@{tmp_path}/big", f"http://127.0.0.1:{server.port}/count",
            f"http://127.0.0.1:{server.port}/count", stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"50000005000000")


@pytest.mark.slow
async def test_connections_leave_nothing_behind():
    async with running() as (_, server):
        for _ in range(50):
            await talk(server, GET % b"/")
        await until(lambda: server.connection_count == 0)
        gc.collect()
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "http connection" not in names


@pytest.mark.slow
async def test_server_survives_clients_that_leave_at_any_moment(caplog: pytest.LogCaptureFixture):
    asked = [
        GET % b"/", GET % b"/parts" * 30, GET % b"/flood", GET % b"/endless", GET % b"/wait",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + bytes(100_000),
        b"GET /shout HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n" + bytes(300_000),
    ]

    async def visit(number: int, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        leave = struct.pack("ii", 1, 0)  # a reset instead of an orderly end
        if number % 2:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, leave)
        writer.write(asked[number % len(asked)])
        for _ in range(number % 13):
            await asyncio.sleep(0)
        if number % 3:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await reader.read(100)
        writer.transport.abort()

    async with running(QUICK) as (_, server):
        for _ in range(4):
            async with asyncio.TaskGroup() as tasks:
                for number in range(100):
                    tasks.create_task(visit(number, server.port))
        await until(lambda: server.connection_count == 0)
        assert statuses(await talk(server, GET % b"/")) == [200]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []

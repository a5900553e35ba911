"""Forwarding: answers stream, uploads stream, upgrades are spliced, and what goes wrong has a name."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from wherry.kit.errors import TimedOut, Unavailable
from wherry.kit.http import answering, splice
from wherry.kit.http.message import Connection, Request, Response, Upgrade
from wherry.kit.http.server import serve


class Origin:
    """The server behind; remembers the requests."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.closed = asyncio.Event()

    async def __call__(self, request: Request) -> Response | Upgrade:
        self.seen.append(request)
        match request.path:
            case "/echo":
                return Response(200, [("x-a", "1"), ("connection", "x-a")], await request.read(64 << 20))
            case "/stream-back":
                assert not isinstance(request.body, bytes)
                return Response(200, [], request.body)
            case "/follow":
                return Response(200, [], self.ticks())
            case "/refuse":
                return Response(403, [], b"no")
            case "/shout":
                return Upgrade([("upgrade", "shout")], self.shout)
            case _:
                return Response(200, [("content-type", "text/plain")], b"plain")

    async def ticks(self) -> AsyncIterator[bytes]:
        try:
            yield b"first\n"
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def shout(self, connection: Connection) -> None:
        while data := await connection.read():
            await connection.write(data.upper())
        self.closed.set()


@asynccontextmanager
async def forwarding(**options: object) -> AsyncIterator[tuple[Origin, str, int]]:
    origin = Origin()
    async with serve(origin) as behind:

        async def front(request: Request) -> Response | Upgrade:
            try:
                return await splice.forward(
                    request, host="127.0.0.1", port=behind.port, target=request.raw_target,
                    headers={"x-forwarded-for": request.remote_address}, **options,  # type: ignore[arg-type]
                )
            except Unavailable as error:
                return answering.plain(502, str(error))

        async with serve(front) as server:
            yield origin, f"http://127.0.0.1:{server.port}", server.port


async def test_bodies_of_all_kinds_pass():
    blob = os.urandom(3_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(blob), 100_000):
            yield blob[at : at + 100_000]

    async with forwarding() as (_, url, _), aiohttp.ClientSession(url) as client:
        for body in (b"", b"small", blob):
            async with client.post("/echo", data=body) as answer:
                assert await answer.read() == body
        async with client.post("/echo", data=pieces()) as answer:
            assert await answer.read() == blob
        async with client.post("/echo", data=blob, expect100=True) as answer:
            assert await answer.read() == blob
        async with client.post("/stream-back", data=pieces()) as answer:
            assert await answer.read() == blob
        async with client.head("/anything") as answer:
            assert answer.headers["content-length"] == "5"


async def test_hop_by_hop_fields_and_credentials_stay_here():
    asked = {"Authorization": "Bearer secret", "Connection": "keep-alive, X-Mine", "X-Mine": "1", "X-Other": "2"}
    async with forwarding() as (origin, url, _), aiohttp.ClientSession(url) as client:
        async with client.get("/a%2Fb?q=%20", headers=asked) as answer:
            assert len(answer.headers.getall("date")) == 1 and "connection" not in answer.headers
    (request,) = origin.seen
    assert request.raw_target == "/a%2Fb?q=%20"
    assert not {"authorization", "x-mine"} & set(request.headers)
    assert request.headers["x-other"] == "2" and request.headers["x-forwarded-for"] == "127.0.0.1"


async def test_endless_answer_arrives_at_once_and_ends_when_the_client_leaves():
    async with forwarding() as (origin, url, _), aiohttp.ClientSession(url) as client:
        async with asyncio.timeout(5):
            async with client.get("/follow") as answer:
                assert await answer.content.readline() == b"first\n"
                answer.close()
            await origin.closed.wait()


async def test_refusal_during_an_upload_comes_back():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)
            await asyncio.sleep(0)

    async with forwarding() as (_, url, _), aiohttp.ClientSession(url) as client:
        async with asyncio.timeout(10), client.post("/refuse", data=endless()) as answer:
            assert answer.status == 403 and await answer.read() == b"no"


async def test_upgrade_is_spliced_with_early_bytes_and_ends_with_the_client():
    async with forwarding() as (origin, _, port), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /shout HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(5) == b"EARLY"
        blob = b"x" * 5_000_000
        async with asyncio.TaskGroup() as tasks:
            received = tasks.create_task(reader.readexactly(len(blob)))
            writer.write(blob)
            await writer.drain()
        assert received.result() == blob.upper()
        writer.write_eof()
        assert await reader.read() == b""
        await origin.closed.wait()
        writer.close()


async def test_upgrade_the_origin_refuses_is_an_answer():
    asked = {"Connection": "Upgrade", "Upgrade": "other"}
    async with forwarding() as (_, url, _), aiohttp.ClientSession(url) as client:
        async with client.get("/plain", headers=asked) as answer:
            assert (answer.status, await answer.read()) == (200, b"plain")


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """A server that reads a little and says exactly this."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def get(method: str = "GET") -> Request:
    return Request(method, "/", "/")


async def body_of(answer: Response | Upgrade) -> bytes:
    assert isinstance(answer, Response)
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([part async for part in answer.body])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end", id="body until the close"),
        pytest.param(b"HTTP/1.0 404 No\r\nContent-Length: 2\r\n\r\nno", 404, b"no", id="HTTP/1.0"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", id="interim answers first",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", 200, b"ok",
            id="chunked with a trailer",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", id="no content"),
    ],
)
async def test_answers_of_other_servers_are_understood(said: bytes, status: int, body: bytes):
    async with saying(said) as port:
        answer = await splice.forward(get(), host="127.0.0.1", port=port, target="/")
        assert answer.status == status and await body_of(answer) == body


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"rubbish\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: ", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", id="half a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 400_000, id="endless head"),
    ],
)
async def test_broken_answers_are_unavailable(said: bytes):
    async with saying(said) as port:
        with pytest.raises(Unavailable):
            await body_of(await splice.forward(get(), host="127.0.0.1", port=port, target="/"))


async def test_silence_times_out_and_nobody_there_is_unavailable():
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimedOut, match="did not answer within 0.1 s"):
        await splice.forward(get(), host="127.0.0.1", port=port, target="/", head_timeout_s=0.1)
    server.close()
    await server.wait_closed()
    with pytest.raises(Unavailable, match=f"dial tcp 127.0.0.1:{port}: "):
        await splice.forward(get(), host="127.0.0.1", port=port, target="/")

"""WebSocket: our server against aiohttp's client, our client against aiohttp's server, and every broken frame."""

import asyncio
import os
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.http import websocket
from wherry.kit.http.byte_stream import PeerGone
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.server import serve
from wherry.kit.http.tunnel import TunnelConnection
from wherry.kit.http.websocket import WebSocket, masked
from wherry.testing.websocket_client import HandshakeRefused, connect

LIMIT = 200_000


async def echo(socket: WebSocket) -> None:
    while (message := await socket.receive()) is not None:
        if message == "close please":
            await socket.close(4001, "as asked")
            return
        await socket.send(message)


async def handler(request: Request) -> Response | Upgrade:
    return websocket.accept(request, ("b.example", "a.example", ""), echo, message_bytes_max=LIMIT)


@asynccontextmanager
async def client() -> AsyncIterator[tuple[aiohttp.ClientSession, int]]:
    async with serve(handler) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session, server.port


async def test_aiohttp_sends_and_gets_messages_of_all_sizes():
    async with client() as (session, _), session.ws_connect("/", heartbeat=0.05) as socket:
        for size in (0, 1, 125, 126, 65_535, 65_536, LIMIT):
            blob = os.urandom(size)
            await socket.send_bytes(blob)
            assert await socket.receive_bytes() == blob
        await socket.send_str("grüße")
        assert await socket.receive_str() == "grüße"


async def test_pings_are_answered():
    async with client() as (session, _), session.ws_connect("/", autoping=False) as socket:
        await socket.ping(b"are you there")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")


async def test_fragments_are_joined_with_a_ping_between_them():
    async with client() as (session, _), session.ws_connect("/", autoping=False) as socket:
        writer = socket._writer  # the public client cannot send fragments
        writer.transport.write(frame(0x1, b"one ", final=False) + frame(0x9, b"p") + frame(0x0, b"two"))
        assert (await socket.receive()).type is aiohttp.WSMsgType.PONG
        assert await socket.receive_str() == "one two"


async def test_close_codes_pass_both_ways():
    async with client() as (session, _):
        async with session.ws_connect("/") as socket:
            await socket.send_str("close please")
            message = await socket.receive()
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as asked")
        async with session.ws_connect("/") as socket:
            await socket.close(code=4002)
            assert socket.close_code == 4002


@pytest.mark.parametrize(
    ("offered", "status", "chosen"),
    [
        pytest.param(("a.example", "b.example"), 101, "a.example", id="the client's order counts"),
        pytest.param(("c.example", "b.example"), 101, "b.example", id="unknown ones are passed over"),
        pytest.param((), 101, None, id="none where none is allowed"),
        pytest.param(("c.example",), 400, None, id="no common one"),
    ],
)
async def test_subprotocol(offered: tuple[str, ...], status: int, chosen: str | None):
    async with client() as (session, _):
        try:
            async with session.ws_connect("/", protocols=offered) as socket:
                assert (status, socket.protocol) == (101, chosen)
        except aiohttp.WSServerHandshakeError as error:
            assert error.status == status


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="old version"),
        pytest.param({"Sec-WebSocket-Key": "c2hvcnQ="}, 400, id="short key"),
        pytest.param({"Upgrade": "h2c"}, 400, id="another upgrade"),
        pytest.param({"Connection": "close"}, 400, id="no upgrade"),
    ],
)
async def test_bad_handshake_is_refused(changed: dict[str, str], status: int):
    asked = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **changed,
    }
    async with client() as (session, _):
        async with session.get("/", headers=asked) as answer:
            assert answer.status == status


def frame(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, mask: bool = True) -> bytes:
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    length = len(payload)
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += struct.pack("!BH", bit | 126, length)
    else:
        head += struct.pack("!BQ", bit | 127, length)
    return head + (b"abcd" + masked(payload, b"abcd") if mask else payload)


class Wire:
    """A `Connection` whose other side is written down in advance."""

    def __init__(self, *received: bytes) -> None:
        self.received = deque(received)
        self.sent = b""

    async def read(self) -> bytes:
        return self.received.popleft() if self.received else b""

    async def write(self, data: bytes) -> None:
        self.sent += data

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("received", "code"),
    [
        pytest.param(frame(0x1, b"x", mask=False), 1002, id="client frame not masked"),
        pytest.param(frame(0x1, b"x", reserved=0x40), 1002, id="compression bit without agreement"),
        pytest.param(frame(0x3, b"x"), 1002, id="reserved opcode"),
        pytest.param(frame(0x0, b"x"), 1002, id="continuation of nothing"),
        pytest.param(frame(0x1, b"x", final=False) + frame(0x1, b"y"), 1002, id="new message inside another"),
        pytest.param(frame(0x9, b"x", final=False), 1002, id="fragmented ping"),
        pytest.param(frame(0x9, b"x" * 126), 1002, id="long ping"),
        pytest.param(frame(0x1, b"\xff"), 1007, id="text that is not UTF-8"),
        pytest.param(frame(0x8, b"\x03"), 1002, id="close with half a code"),
        pytest.param(frame(0x8, struct.pack("!H", 1006)), 1002, id="close with a code that is never sent"),
        pytest.param(frame(0x8, struct.pack("!H", 1000) + b"\xff"), 1007, id="close reason that is not UTF-8"),
        pytest.param(frame(0x2, bytes(101)), 1009, id="message too long"),
        pytest.param(frame(0x2, bytes(60), final=False) + frame(0x0, bytes(60)), 1009, id="fragments too long"),
        pytest.param(frame(0x2, b"abc")[:-1], 1006, id="end inside a frame"),
        pytest.param(b"", 1006, id="end without a close"),
        pytest.param(frame(0x8, b""), 1005, id="close without a code"),
        pytest.param(frame(0x8, struct.pack("!H", 1000)), 1000, id="orderly close"),
    ],
)
async def test_end_of_a_socket_has_its_code(received: bytes, code: int):
    wire = Wire(received)
    socket = WebSocket(wire, is_client=False, message_bytes_max=100)
    assert await socket.receive() is None
    assert socket.close_code == code
    assert await socket.receive() is None
    if code in (1002, 1007, 1009):
        assert wire.sent[2:4] == struct.pack("!H", code)
    with pytest.raises(PeerGone):
        await socket.send(b"x")


@given(st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=100)), max_size=8), st.integers(1, 50))
def test_messages_survive_any_cut(messages: list[bytes | str], size: int):
    async def both() -> list[bytes | str | None]:
        out = Wire()
        sender = WebSocket(out, is_client=True)
        for message in messages:
            await sender.send(message)
        cut = [out.sent[at : at + size] for at in range(0, len(out.sent), size)]
        receiver = WebSocket(Wire(*cut), is_client=False)
        return [await receiver.receive() for _ in messages]

    assert asyncio.run(both()) == messages


@given(st.binary(max_size=400), st.integers(1, 20))
def test_noise_ends_the_socket(noise: bytes, size: int):
    async def read_all() -> int:
        cut = [noise[at : at + size] for at in range(0, len(noise), size)]
        socket = WebSocket(Wire(*cut), is_client=False, message_bytes_max=1000)
        while await socket.receive() is not None:
            pass
        return socket.close_code

    assert asyncio.run(read_all()) in {*range(1000, 1015), *range(3000, 5000)}


async def test_our_client_talks_to_aiohttp():
    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/ws", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        async with connect("127.0.0.1", port, "/ws", protocols=("chat",)) as socket:
            assert socket.subprotocol == "chat"
            tunnel = TunnelConnection(socket)
            for size in (1, 126, 70_000):
                await tunnel.write(bytes(size))
                assert await tunnel.read() == bytes(size)
        with pytest.raises(HandshakeRefused) as caught:
            async with connect("127.0.0.1", port, "/nothing"):
                pass
        assert caught.value.status == 404
    finally:
        await runner.cleanup()

"""exec, attach, port-forward and logs by every old and new protocol, against a session and pods made here."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import orjson
import pytest

from wherry.kit.errors import NotFound, Unavailable
from wherry.kit.http import upstream
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.server import serve
from wherry.kit.http.spdy import SpdySession, SpdyStream
from wherry.kit.http.tunnel import TunnelConnection
from wherry.orchestration.agent.streaming import remote_command as remote
from wherry.orchestration.agent.streaming.byte_messages import send_as_messages
from wherry.orchestration.agent.streaming.port_forward import port_forward
from wherry.orchestration.agent.streaming.remote_command import parse_size, remote_command
from wherry.testing.websocket_client import HandshakeRefused, connect

ALL = {"stdin": "true", "stdout": "true", "stderr": "true"}


class EchoSession:
    """A process that repeats its input on stdout, complains on stderr at the end of it, and ends with `code`."""

    def __init__(self, code: int = 3) -> None:
        self.code = code
        self.sizes: list[tuple[int, int]] = []
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        while data := await self.lines.get():
            yield "stdout", data
        yield "stderr", b"done"

    async def write_stdin(self, data: bytes) -> None:
        self.lines.put_nowait(data)

    async def close_stdin(self) -> None:
        self.lines.put_nowait(b"")

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def wait(self) -> int:
        return self.code

    async def close(self) -> None:
        self.lines.put_nowait(b"")
        self.closed.set()


class Node:
    """The agent's streaming paths; `session` is what the last exec opened."""

    def __init__(self) -> None:
        self.session = EchoSession()
        self.closed_logs = asyncio.Event()
        self.port = 0

    async def __call__(self, request: Request) -> Response | Upgrade:
        match request.path:
            case "/exec":
                return remote_command(request, self.open)
            case "/attach":
                return remote_command(request, self.open, ends_with_input=True)
            case "/missing":
                return remote_command(request, self.fail)
            case "/portforward":
                return port_forward(request, self.dial)
            case _:
                return send_as_messages(request, self.logs())

    async def open(self) -> EchoSession:
        return self.session

    async def fail(self) -> EchoSession:
        raise NotFound("container is not there")

    async def dial(self, port: int) -> tuple[object, object]:
        if port == 1:
            raise Unavailable("nobody listens on port 1")
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def logs(self) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            yield b"two\n"
        finally:
            self.closed_logs.set()


@asynccontextmanager
async def node() -> AsyncIterator[tuple[Node, int]]:
    agent = Node()
    async with asyncio.timeout(20), serve(agent) as server:
        yield agent, server.port


def binary(channel: int, data: bytes) -> bytes:
    return bytes([channel]) + data


def digits(channel: int, data: bytes) -> str:
    return f"{channel}{base64.b64encode(data).decode()}"


def split_binary(message: bytes | str) -> tuple[int, bytes]:
    assert isinstance(message, bytes)
    return message[0], message[1:]


def split_digits(message: bytes | str) -> tuple[int, bytes]:
    assert isinstance(message, str)
    return int(message[0]), base64.b64decode(message[1:])


@pytest.mark.parametrize(
    ("protocol", "write", "split", "has_json"),
    [
        pytest.param("v5.channel.k8s.io", binary, split_binary, True, id="v5"),
        pytest.param("v4.channel.k8s.io", binary, split_binary, True, id="v4"),
        pytest.param("v4.base64.channel.k8s.io", digits, split_digits, True, id="v4 in base64"),
        pytest.param("channel.k8s.io", binary, split_binary, False, id="v1"),
        pytest.param("base64.channel.k8s.io", digits, split_digits, False, id="v1 in base64"),
        pytest.param("", binary, split_binary, False, id="no protocol named"),
    ],
)
async def test_exec_over_websocket(
    protocol: str, write: Callable[[int, bytes], bytes | str],
    split: Callable[[bytes | str], tuple[int, bytes]], has_json: bool,
):
    got: dict[int, bytes] = {}
    async with node() as (agent, port):
        async with connect("127.0.0.1", port, f"/exec?{urlencode(ALL)}", protocols=(protocol,) if protocol else ()) as ws:
            assert ws.subprotocol == protocol
            greeting = await ws.receive()
            assert greeting is not None and split(greeting) == (1, b"")
            await ws.send(write(0, b"hello"))
            await ws.send(write(4, b'{"Width":80,"Height":24}'))
            await ws.send(write(7, b"unknown channel"))
            if protocol.startswith("v5"):
                await ws.send(bytes([255, 0]))
            else:
                while not agent.session.sizes:
                    await asyncio.sleep(0)
                await agent.session.close_stdin()
            while (message := await ws.receive()) is not None:
                channel, data = split(message)
                got[channel] = got.get(channel, b"") + data
            assert ws.close_code == 1000
        assert agent.session.closed.is_set()
    assert got[1] == b"hello" and got[2] == b"done"
    if has_json:
        status = orjson.loads(got[3])
        assert status["reason"] == "NonZeroExitCode" and status["status"] == "Failure"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    else:
        assert got[3] == b"command terminated with non-zero exit code: exit status 3"


async def test_input_as_text_messages_is_taken():
    async with node() as (agent, port):
        async with connect("127.0.0.1", port, f"/exec?{urlencode(ALL)}", protocols=("v4.channel.k8s.io",)) as ws:
            await ws.receive()
            await ws.send("\0typed")
            assert await ws.receive() == b"\x01typed"


async def test_session_ends_when_the_websocket_client_leaves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "LEFT_GRACE_S", 0.01)
    async with node() as (agent, port):
        async with connect("127.0.0.1", port, "/exec?stdout=1", protocols=("v5.channel.k8s.io",)) as ws:
            await ws.receive()
        await agent.session.closed.wait()


class OpenInputSession(EchoSession):
    """A process that never learns of the end of its input: stdin stays open for the next who attaches."""

    async def close_stdin(self) -> None:
        return


async def test_attach_returns_at_the_end_of_input_of_a_process_that_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "LEFT_GRACE_S", 0.01)
    async with node() as (agent, port):
        agent.session = OpenInputSession()
        async with connect("127.0.0.1", port, f"/attach?{urlencode(ALL)}", protocols=("v5.channel.k8s.io",)) as ws:
            await ws.receive()
            await ws.send(b"\0hello")
            assert await ws.receive() == b"\1hello"
            await ws.send(bytes([255, 0]))
            status = await ws.receive()
            assert isinstance(status, bytes) and orjson.loads(status[1:])["status"] == "Success"
            assert await ws.receive() is None and ws.close_code == 1000
        assert agent.session.closed.is_set()


async def test_attach_without_input_stays_until_the_process_ends():
    async with node() as (agent, port):
        agent.session = OpenInputSession(0)
        async with connect("127.0.0.1", port, "/attach?stdout=1", protocols=("v5.channel.k8s.io",)) as ws:
            await ws.receive()
            agent.session.lines.put_nowait(b"on")
            assert await ws.receive() == b"\1on"
            agent.session.lines.put_nowait(b"")
            status = await ws.receive()
            assert isinstance(status, bytes) and orjson.loads(status[1:])["status"] == "Success"


class EndlessSession(OpenInputSession):
    """Its process outlives whoever is attached."""

    async def wait(self) -> int:
        await asyncio.Event().wait()
        return 0


async def test_attach_ends_with_its_client_though_the_process_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "LEFT_GRACE_S", 0.01)
    async with node() as (agent, port):
        agent.session = EndlessSession()
        async with connect("127.0.0.1", port, "/exec?stdout=1", protocols=("v5.channel.k8s.io",)) as ws:
            await ws.receive()
        while any(task.get_name() == "command input" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


async def test_error_of_opening_goes_to_the_error_channel():
    async with node() as (_, port):
        async with connect("127.0.0.1", port, "/missing?stdout=1", protocols=("v5.channel.k8s.io",)) as ws:
            messages = [message async for message in _messages(ws.receive)]
    status = orjson.loads(messages[-1][1:])
    assert (status["reason"], status["code"]) == ("InternalError", 500)
    assert status["details"]["causes"] == [{"message": "container is not there"}]


async def _messages(receive: Callable[[], object]) -> AsyncIterator[bytes]:
    while (message := await receive()) is not None:  # type: ignore[misc]
        yield message


@pytest.mark.parametrize(
    ("target", "protocols", "status"),
    [
        pytest.param("/exec?tty=true", ("v5.channel.k8s.io",), 400, id="no stream asked for"),
        pytest.param("/exec?stdout=1", ("v9.channel.k8s.io",), 400, id="unknown protocol"),
        pytest.param("/portforward", ("v4.channel.k8s.io",), 400, id="no port"),
        pytest.param("/portforward?ports=0", ("v4.channel.k8s.io",), 400, id="port 0"),
        pytest.param("/portforward?ports=80,x", ("v4.channel.k8s.io",), 400, id="port that is no number"),
        pytest.param("/portforward?ports=80", ("chat",), 400, id="unknown port-forward protocol"),
    ],
)
async def test_websocket_refusals(target: str, protocols: tuple[str, ...], status: int):
    async with node() as (_, port):
        with pytest.raises(HandshakeRefused) as caught:
            async with connect("127.0.0.1", port, target, protocols=protocols):
                pass
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param((), 400, id="no upgrade"),
        pytest.param((("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v9")), 403,
                     id="unknown version"),
    ],
)
@pytest.mark.parametrize("target", ["/exec?stdout=1", "/portforward"])
async def test_spdy_refusals(target: str, headers: tuple[tuple[str, str], ...], status: int):
    async with node() as (_, port):
        answer = await ask(port, target, headers)
        assert answer.status == status
        if status == 403:
            assert "x-accepted-stream-protocol-versions" in dict(answer.headers)
        answer.close()


async def ask(port: int, target: str, headers: tuple[tuple[str, str], ...]) -> upstream.Answer:
    reader, writer = await upstream.dial("127.0.0.1", port, tls=None, timeout_s=5)
    writer.write(upstream.request_head("POST", target, (("host", "x"), ("content-length", "0"), *headers)))
    answer = upstream.Answer(reader, writer, is_head=False)
    await answer.read_head()
    return answer


@asynccontextmanager
async def spdy(port: int, target: str, *versions: str) -> AsyncIterator[tuple[SpdySession, str]]:
    asked = (("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), *(("x-stream-protocol-version", v) for v in versions))
    answer = await ask(port, target, asked)
    assert answer.status == 101
    session = SpdySession(answer.connection(), is_client=True)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(session.run())
        yield session, dict(answer.headers).get("x-stream-protocol-version", "")
        await session.close()
        running.cancel()


async def read_all(stream: SpdyStream) -> bytes:
    parts = []
    while part := await stream.read():
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        pytest.param(("v4.channel.k8s.io", "v3.channel.k8s.io"), "v4.channel.k8s.io", id="v4"),
        pytest.param(("v9.channel.k8s.io", "v3.channel.k8s.io"), "v3.channel.k8s.io", id="v3"),
        pytest.param(("v2.channel.k8s.io, channel.k8s.io",), "v2.channel.k8s.io", id="v2 in one header"),
        pytest.param(("channel.k8s.io",), "channel.k8s.io", id="v1"),
        pytest.param((), "", id="no version named"),
    ],
)
async def test_exec_over_spdy(versions: tuple[str, ...], chosen: str):
    async with node() as (agent, port), spdy(port, "/exec?input=1&output=1&error=1", *versions) as (session, version):
        assert version == chosen
        streams = {}
        for kind in ("error", "stdin", "stdout", "stderr"):
            streams[kind] = await session.open({"streamType": kind})
            await streams[kind].replied()
        await streams["stdin"].write(b"hello")
        await streams["stdin"].finish()
        assert await read_all(streams["stdout"]) == b"hello"
        assert await read_all(streams["stderr"]) == b"done"
        error = await read_all(streams["error"])
        await agent.session.closed.wait()
    if chosen == "v4.channel.k8s.io":
        assert orjson.loads(error)["details"]["causes"][0]["message"] == "3"
    else:
        assert error == b"command terminated with non-zero exit code: exit status 3"


async def test_terminal_sizes_over_spdy_may_come_cut_anywhere():
    target = "/exec?stdin=1&stdout=1&stderr=1&tty=1"
    async with node() as (agent, port), spdy(port, target, "v4.channel.k8s.io") as (session, _):
        for kind in ("error", "stdin", "stdout"):
            await session.open({"streamType": kind})
        sizes = await session.open({"streamType": "resize"})
        for part in (b'{"Width":1', b'00,"Height":40}\n{"Width":0,"Height":1}{"Wid', b'th":5,"Height":6}'):
            await sizes.write(part)
        while len(agent.session.sizes) < 2:
            await asyncio.sleep(0)
    assert agent.session.sizes == [(100, 40), (5, 6)]


@pytest.mark.parametrize(
    ("document", "size"),
    [
        pytest.param(b'{"Width":80,"Height":24}', (80, 24), id="a size"),
        pytest.param(b'{"Width":0,"Height":24}', None, id="no width"),
        pytest.param(b'{"Width":70000,"Height":24}', None, id="over 16 bits"),
        pytest.param(b'{"Width":"80","Height":24}', None, id="text"),
        pytest.param(b"[1]", None, id="not an object"),
        pytest.param(b"{", None, id="not JSON"),
    ],
)
def test_terminal_size(document: bytes, size: tuple[int, int] | None):
    assert parse_size(document) == size


@asynccontextmanager
async def pod(agent: Node) -> AsyncIterator[None]:
    """Repeats what it gets until the end of input, then says how much it was."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 0
        while data := await reader.read(65536):
            size += len(data)
            writer.write(data)
            await writer.drain()
        writer.write(b"END %d" % size)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    agent.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()


async def pair(session: SpdySession, port: int, number: int) -> tuple[SpdyStream, SpdyStream]:
    streams = []
    for kind in ("error", "data"):
        stream = await session.open({"streamType": kind, "port": str(port), "requestID": str(number)})
        await stream.replied()
        streams.append(stream)
    return streams[0], streams[1]


async def forward_once(session: SpdySession, number: int) -> None:
    error, data = await pair(session, 8080, number)
    blob = bytes([number]) * 200_000
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_all(data))
        await data.write(blob)
        await data.finish()
    assert reading.result() == blob + b"END 200000"
    assert await read_all(error) == b""


@pytest.mark.parametrize("carrier", ["spdy", "websocket"])
async def test_port_forward_carries_connections_side_by_side(carrier: str):
    async with node() as (agent, port), pod(agent), sessions(carrier, port) as session:
        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(forward_once(session, number))
        error, data = await pair(session, 1, 99)
        assert await read_all(error) == b"error forwarding port 1 to pod: nobody listens on port 1"
        assert await read_all(data) == b""
        refused = await session.open({"streamType": "data", "port": "99999", "requestID": "7"})
        with pytest.raises(ConnectionError):
            await refused.replied()
        await forward_once(session, 100)


@asynccontextmanager
async def sessions(carrier: str, port: int) -> AsyncIterator[SpdySession]:
    if carrier == "spdy":
        async with spdy(port, "/portforward", "portforward.k8s.io") as (session, version):
            assert version == "portforward.k8s.io"
            yield session
        return
    async with connect("127.0.0.1", port, "/portforward", protocols=("SPDY/3.1+portforward.k8s.io",)) as ws:
        session = SpdySession(TunnelConnection(ws), is_client=True)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(session.run())
            yield session
            running.cancel()


async def test_reset_of_a_data_stream_closes_the_pods_side():
    async with node() as (agent, port), sessions("spdy", port) as session:
        ended = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            ended.set()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        agent.port = server.sockets[0].getsockname()[1]
        _, data = await pair(session, 8080, 1)
        await data.reset()
        await ended.wait()
        server.close()


@pytest.mark.parametrize(
    ("protocol", "write", "split"),
    [
        pytest.param("v4.channel.k8s.io", binary, split_binary, id="binary"),
        pytest.param("v4.base64.channel.k8s.io", digits, split_digits, id="base64"),
    ],
)
async def test_old_port_forward_over_websocket(
    protocol: str, write: Callable[[int, bytes], bytes | str], split: Callable[[bytes | str], tuple[int, bytes]]
):
    async with node() as (agent, port), pod(agent):
        async with connect("127.0.0.1", port, "/portforward?ports=8080&ports=1", protocols=(protocol,)) as ws:
            first = [split(await _next(ws.receive)) for _ in range(5)]
            assert first[:4] == [(channel, struct.pack("<H", 8080 if channel < 2 else 1)) for channel in range(4)]
            assert first[4] == (3, b"error forwarding port 1 to pod: nobody listens on port 1")
            await ws.send(write(0, b"ping"))
            assert split(await _next(ws.receive)) == (0, b"ping")


async def _next(receive: Callable[[], object]) -> bytes | str:
    message = await receive()  # type: ignore[misc]
    assert message is not None
    return message


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        pytest.param("binary.k8s.io", [b"one\n", b"two\n"], id="binary"),
        pytest.param("base64.binary.k8s.io", ["b25lCg==", "dHdvCg=="], id="base64"),
        pytest.param("", [b"one\n", b"two\n"], id="no protocol named"),
    ],
)
async def test_logs_over_websocket(protocol: str, wanted: list[bytes | str]):
    async with node() as (agent, port):
        async with connect("127.0.0.1", port, "/logs", protocols=(protocol,) if protocol else ()) as ws:
            assert [message async for message in _messages(ws.receive)] == wanted
            assert ws.close_code == 1000
        await agent.closed_logs.wait()

"""port-forward as the node serves it: each connection of the client is a pair of streams joined with a port of the pod.

In:    a request, `dial(port)` to a TCP port inside the pod.
Out:   an `Upgrade` to SPDY/3.1, to SPDY inside a WebSocket, or to the old WebSocket form; or a refusal.
Spec:  kubelet portforward httpstream.go (headers streamType, port, requestID),
       websocket.go (two channels per port, each opened by the port as two little-endian bytes); KEP-4006.
Fails: one connection at a time: its reason is text on its error stream, the others go on.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from wherry.kit.errors import WherryError
from wherry.kit.http import answering, websocket
from wherry.kit.http.byte_stream import StreamConnection
from wherry.kit.http.message import Connection, Request, Response, Upgrade
from wherry.kit.http.spdy import SpdySession, SpdyStream
from wherry.kit.http.spdy_frames import Reset
from wherry.kit.http.tunnel import TunnelConnection
from wherry.kit.http.websocket import WebSocket
from wherry.orchestration.agent.streaming import port_channels, protocols
from wherry.orchestration.agent.streaming.port_channels import Dial, dialed

PAIR_TIMEOUT_S = 30.0  # upstream's DefaultStreamCreationTimeout: from the first stream of a pair to the second


def port_forward(request: Request, dial: Dial) -> Upgrade | Response:
    """Agree to a port-forward. `dial` returns (StreamReader, StreamWriter) or raises `OSError` or a `WherryError`."""
    if websocket.is_asked_for(request):
        return _over_websocket(request, dial)
    if not protocols.asks_for_spdy(request):
        return answering.plain(400, protocols.NOT_AN_UPGRADE)
    known = (protocols.PORT_FORWARD_VERSION,)
    version = protocols.choose(request, known, if_none=protocols.PORT_FORWARD_VERSION)
    if isinstance(version, Response):
        return version

    async def run(connection: Connection) -> None:
        await forward_streams(connection, dial)

    return Upgrade(protocols.switch_headers(version), run)


async def forward_streams(connection: Connection, dial: Dial) -> None:
    """Serve SPDY streams on `connection` until the client leaves; what is under way is cut then."""
    session = SpdySession(connection)
    forwarder = _Forwarder(dial)
    async with asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(session.run(), name="port-forward session")
        async with asyncio.TaskGroup() as pairs:
            while (stream := await session.accept()) is not None:
                await forwarder.take(stream, pairs)
            forwarder.stop()
        receiving.cancel()
    await session.close()


def _over_websocket(request: Request, dial: Dial) -> Upgrade | Response:
    if protocols.PORT_FORWARD_TUNNEL in websocket.offered(request):

        async def tunnelled(socket: WebSocket) -> None:
            await forward_streams(TunnelConnection(socket), dial)

        return websocket.accept(request, (protocols.PORT_FORWARD_TUNNEL,), tunnelled)
    ports = port_channels.asked_ports(request)
    if isinstance(ports, Response):
        return ports
    return websocket.accept(
        request, protocols.WEBSOCKET_PORT_VERSIONS, lambda socket: port_channels.serve(socket, ports, dial)
    )


@dataclass(slots=True)
class _Pair:
    """The two streams of one forwarded connection, as they arrive."""

    port: int
    is_complete: asyncio.Event
    error: SpdyStream | None = None
    data: SpdyStream | None = None


class _Forwarder:
    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._pairs: dict[str, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, stream: SpdyStream, tasks: asyncio.TaskGroup) -> None:
        """Sort a new stream into its pair; the first of a pair starts its task."""
        kind = stream.headers.get("streamtype", "")
        port = port_channels.parse_port(stream.headers.get("port", ""))
        if kind not in ("error", "data") or port is None:
            await _tolerant(stream.reset(Reset.REFUSED_STREAM))
            return
        key = stream.headers.get("requestid") or _implied_key(stream, kind)
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = _Pair(port, asyncio.Event())
            task = tasks.create_task(self._serve(key, pair), name=f"port-forward {port}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if getattr(pair, kind) is not None or pair.port != port:
            await _tolerant(stream.reset(Reset.REFUSED_STREAM))
            return
        setattr(pair, kind, stream)
        if pair.error is not None and pair.data is not None:
            pair.is_complete.set()
        await _tolerant(stream.reply())

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _serve(self, key: str, pair: _Pair) -> None:
        try:
            async with asyncio.timeout(PAIR_TIMEOUT_S):
                await pair.is_complete.wait()
        except TimeoutError:
            for stream in (pair.error, pair.data):
                if stream is not None:
                    await stream.reset()
            return
        finally:
            if not pair.is_complete.is_set():
                self._pairs.pop(key, None)
        assert pair.error is not None and pair.data is not None
        try:
            await _forward(pair.port, pair.error, pair.data, self._dial)
        finally:
            self._pairs.pop(key, None)


async def _forward(port: int, error: SpdyStream, data: SpdyStream, dial: Dial) -> None:
    try:
        pod = await dialed(dial, port)
    except (WherryError, OSError) as failure:
        await _tolerant(error.write(f"error forwarding port {port} to pod: {failure}".encode()))
        await error.finish()
        await data.finish()
        return
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_to_pod(data, pod), name=f"port-forward {port} in")
            while received := await pod.read():
                await data.write(received)
            sending.cancel()
    except* ConnectionError:
        pass  # the client gave this connection up
    finally:
        await pod.close()
    data.stop_reading()
    await data.finish()
    await error.finish()


async def _to_pod(data: SpdyStream, pod: StreamConnection) -> None:
    try:
        while received := await data.read():
            await pod.write(received)
    except ConnectionError:
        return  # the pod reads no more; what it still sends is passed on
    if data.reset_status or not await pod.end_writing():
        await pod.close()


def _implied_key(stream: SpdyStream, kind: str) -> str:
    """Clients of before 1.1 send no requestID: the error stream comes first, the data stream has the next id."""
    return f"implied {stream.id if kind == 'error' else stream.id - 2}"


async def _tolerant(sending: Awaitable[None]) -> None:
    """Send to a client that may be gone; the session's end tells the rest."""
    try:
        await sending
    except ConnectionError:
        return



"""Ports of a pod behind a port-forward: how they are named, dialled, and carried by the old WebSocket form.

In:    a request's `port` or `ports`, a `WebSocket`, `dial(port)`.
Out:   bytes both ways: channel 2i carries port i, channel 2i+1 its errors. Each begins with the port (two bytes,
       little-endian) from the server.
Spec:  kubelet portforward websocket.go (v4.channel.k8s.io, v4.base64.channel.k8s.io).
"""

import asyncio
import base64
import binascii
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from wherry.kit.errors import Unavailable, WherryError
from wherry.kit.http import answering
from wherry.kit.http.byte_stream import StreamConnection
from wherry.kit.http.message import Request, Response
from wherry.kit.http.websocket import CLOSE_PROTOCOL_ERROR, WebSocket

DIAL_TIMEOUT_S = 30.0
PORTS_MAX = 100

Dial = Callable[[int], Awaitable[tuple[object, object]]]


def parse_port(text: str) -> int | None:
    """1 to 65535, else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536 else None


def asked_ports(request: Request) -> tuple[int, ...] | Response:
    """The ports named in the query, or a refusal."""
    texts = [text for name in ("port", "ports") for value in request.query.get(name, []) for text in value.split(",")]
    if not texts:
        return answering.plain(400, 'query parameter "port" is required')
    if len(texts) > PORTS_MAX:
        return answering.plain(400, f"more than {PORTS_MAX} ports")
    ports: list[int] = []
    for text in texts:
        port = parse_port(text)
        if port is None:
            return answering.plain(400, f"unable to parse {text[:20]!r} as a port")
        ports.append(port)
    return tuple(ports)


async def dialed(dial: Dial, port: int) -> StreamConnection:
    """A connection to `port` in the pod. Raises `OSError` or a `WherryError` (no answer in time included)."""
    try:
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            reader, writer = await dial(port)
    except TimeoutError:
        raise Unavailable(f"no connection to port {port} within {DIAL_TIMEOUT_S:g} s") from None
    return StreamConnection(cast(asyncio.StreamReader, reader), cast(asyncio.StreamWriter, writer))


async def serve(socket: WebSocket, ports: tuple[int, ...], dial: Dial) -> None:
    """Connect all ports and move bytes until the client leaves or every pod side has ended."""
    channels = _Channels(socket)
    connections: dict[int, StreamConnection] = {}
    for index, port in enumerate(ports):
        await channels.send(2 * index, struct.pack("<H", port))
        await channels.send(2 * index + 1, struct.pack("<H", port))
        try:
            connections[2 * index] = await dialed(dial, port)
        except (WherryError, OSError) as error:
            await channels.send(2 * index + 1, f"error forwarding port {port} to pod: {error}".encode())
    try:
        async with asyncio.TaskGroup() as tasks:
            outputs = [
                tasks.create_task(_from_pod(channels, channel, pod), name=f"port channel {channel}")
                for channel, pod in connections.items()
            ]
            receiving = tasks.create_task(_to_pods(channels, connections), name="port channels in")
            receiving.add_done_callback(lambda _: [output.cancel() for output in outputs])
            if outputs:
                await asyncio.wait(outputs)
            receiving.cancel()
    except* ConnectionError:
        pass  # the client left
    finally:
        for pod in connections.values():
            await pod.close()


async def _from_pod(channels: "_Channels", channel: int, pod: StreamConnection) -> None:
    while data := await pod.read():
        await channels.send(channel, data)


async def _to_pods(channels: "_Channels", connections: dict[int, StreamConnection]) -> None:
    while (received := await channels.receive()) is not None:
        channel, data = received
        pod = connections.get(channel)
        if pod is not None and data:
            try:
                await pod.write(data)
            except ConnectionError:
                del connections[channel]


class _Channels:
    """Messages whose first byte (or digit, in base64) is the channel."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._is_base64 = "base64" in socket.subprotocol

    async def send(self, channel: int, data: bytes) -> None:
        if self._is_base64:
            await self._socket.send(f"{chr(ord('0') + channel)}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send(bytes([channel]) + data)

    async def receive(self) -> tuple[int, bytes] | None:
        while (message := await self._socket.receive()) is not None:
            if not message:
                continue
            raw = message.encode() if isinstance(message, str) else message
            if not self._is_base64:
                return raw[0], raw[1:]
            try:
                return raw[0] - ord("0"), base64.b64decode(raw[1:], validate=True)
            except (binascii.Error, ValueError):
                await self._socket.close(CLOSE_PROTOCOL_ERROR, "malformed channel message")
        return None

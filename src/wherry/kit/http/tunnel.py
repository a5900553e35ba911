"""A WebSocket as a byte stream: what another protocol needs to run inside binary messages.

In:    an open `WebSocket`.
Out:   a `Connection`; message borders mean nothing.
Used:  SPDY frames of port-forward (`SPDY/3.1+portforward.k8s.io`).
"""

from wherry.kit.http.websocket import CLOSE_UNSUPPORTED_DATA, WebSocket


class TunnelConnection:
    """The `Connection` protocol over a WebSocket. A text message ends it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message is None:
                return b""
            if isinstance(message, str):
                await self._socket.close(CLOSE_UNSUPPORTED_DATA, "only binary messages carry bytes")
                return b""
            if message:
                return message

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)

    async def close(self) -> None:
        await self._socket.close()

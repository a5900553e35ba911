"""A byte stream as WebSocket messages: logs for clients that ask for them so.

In:    a request for a WebSocket, an iterator of bytes.
Out:   binary messages (`binary.k8s.io`, or no subprotocol), or text with base64 (`base64.binary.k8s.io`); then close 1000.
Spec:  k8s.io/apiserver util/wsstream (Reader).
"""

import asyncio
import base64
from collections.abc import AsyncIterator

from wherry.kit.http import websocket
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.websocket import WebSocket

PROTOCOLS = ("binary.k8s.io", "base64.binary.k8s.io", "")


def send_as_messages(request: Request, chunks: AsyncIterator[bytes]) -> Upgrade | Response:
    """Agree to a WebSocket and send `chunks` on it; `chunks` is closed when the client leaves."""

    async def serve(socket: WebSocket) -> None:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send(socket, chunks), name="websocket bytes")
            receiving = tasks.create_task(_discard(socket), name="websocket client")
            receiving.add_done_callback(lambda _: sending.cancel())
            await asyncio.wait([sending])
            receiving.cancel()

    return websocket.accept(request, PROTOCOLS, serve)


async def _send(socket: WebSocket, chunks: AsyncIterator[bytes]) -> None:
    is_base64 = socket.subprotocol.startswith("base64")
    try:
        async for chunk in chunks:
            if chunk:
                await socket.send(base64.b64encode(chunk).decode() if is_base64 else chunk)
        await socket.close()
    except ConnectionError:
        return
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _discard(socket: WebSocket) -> None:
    while await socket.receive() is not None:
        pass

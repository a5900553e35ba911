"""Open a WebSocket to a server: the client's handshake.

In:    an address, a target with its query, subprotocols in order of preference, further headers.
Out:   `async with connect(...) as socket` yields a `WebSocket`; leaving closes it and the connection.
Spec:  RFC 6455 section 4.1.
"""

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from wherry.kit.http import upstream
from wherry.kit.http.websocket import MESSAGE_BYTES_MAX, WebSocket, accept_token

HANDSHAKE_TIMEOUT_S = 30.0
REFUSAL_BYTES_MAX = 2000


class HandshakeRefused(upstream.UpstreamFailed):
    """The server answered something else than 101. `status` and `text` say what."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"websocket refused with status {status}: {text[:200]}")


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    target: str,
    *,
    tls: ssl.SSLContext | None = None,
    protocols: Sequence[str] = (),
    headers: Sequence[tuple[str, str]] = (),
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> AsyncIterator[WebSocket]:
    """See the module docstring. Raises `HandshakeRefused`, `UpstreamFailed`, `UpstreamTimedOut`."""
    reader, writer = await upstream.dial(host, port, tls=tls, timeout_s=HANDSHAKE_TIMEOUT_S)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        asked = [
            ("host", f"{host}:{port}"), ("connection", "Upgrade"), ("upgrade", "websocket"),
            ("sec-websocket-version", "13"), ("sec-websocket-key", key), *headers,
        ]
        if protocols:
            asked.append(("sec-websocket-protocol", ", ".join(protocols)))
        writer.write(upstream.request_head("GET", target, asked))
        answer = upstream.Answer(reader, writer, is_head=False)
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await answer.read_head()
            await _check(answer, key)
        chosen = next((value for name, value in answer.headers if name == "sec-websocket-protocol"), "")
        socket = WebSocket(
            answer.connection(), is_client=True, subprotocol=chosen, message_bytes_max=message_bytes_max
        )
        yield socket
        await socket.close()
    finally:
        writer.close()


async def _check(answer: upstream.Answer, key: str) -> None:
    if answer.status != 101:
        text = b""
        async for part in answer:
            text += part
            if len(text) > REFUSAL_BYTES_MAX:
                break
        raise HandshakeRefused(answer.status, text.decode(errors="replace").strip())
    if ("sec-websocket-accept", accept_token(key)) not in answer.headers:
        raise upstream.UpstreamFailed("websocket handshake: the accept token is wrong")

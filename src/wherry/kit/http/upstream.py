"""The client's side of one HTTP/1.1 exchange: dial, send a head, read the answer as it comes.

In:    an address, method, target, headers, a body of bytes or parts.
Out:   an `Answer`: status, headers and either a stream of body parts or, after 101, the connection itself.
Spec:  RFC 9112. One request per connection ("connection: close"), no redirects, no retries.
Used:  by `splice.forward` and the tests' WebSocket client; components use orchestration/client.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence

import httptools

from wherry.kit.errors import TimedOut, Unavailable
from wherry.kit.http import head
from wherry.kit.http.byte_stream import StreamConnection

HEAD_BYTES_MAX = 256 * 1024
READ_BYTES = 64 * 1024


class UpstreamFailed(Unavailable):
    """The other server cannot be reached, or its answer is broken."""


class UpstreamTimedOut(TimedOut):
    """The other server did not answer in time."""


async def dial(
    host: str, port: int, *, tls: ssl.SSLContext | None, server_name: str = "", timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect over TCP. Raises `UpstreamFailed` or `UpstreamTimedOut`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=(server_name or host) if tls is not None else None
            )
    except TimeoutError:
        raise UpstreamTimedOut(f"dial tcp {host}:{port}: no connection within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError) as error:
        raise UpstreamFailed(f"dial tcp {host}:{port}: {error}") from error


def request_head(method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The request line and headers. Raises `Broken` on a line break in a header."""
    rendered = head.render(200, headers, "")
    _, _, fields = rendered.partition(b"\r\n")
    if any(character in target for character in "\r\n "):
        raise UpstreamFailed(f"request target {target!r} holds white space")
    return f"{method} {target} HTTP/1.1\r\n".encode("latin-1") + fields


class Answer:
    """What comes back on one connection. Call `read_head` first, then iterate for the body or take `connection`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_head: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._is_head = is_head
        self._parser = httptools.HttpResponseParser(self)
        self._parts: deque[bytes] = deque()
        self._has_head = False
        self._is_complete = False
        self._rest = b""
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    async def read_head(self) -> None:
        """Wait for the final head (interim 1xx are skipped; 101 is final)."""
        size = 0
        while not self._has_head:
            size += await self._read_some()
            if size > HEAD_BYTES_MAX and not self._has_head:
                raise UpstreamFailed(f"head of the answer is longer than {HEAD_BYTES_MAX} bytes")
        if self._is_head or head.has_no_body(self.status):
            self._is_complete = True

    async def read_ahead(self, limit_bytes: int) -> None:
        """Keep what comes while the request is still being sent, so that neither side waits for the other.

        Returns at the end, at `limit_bytes`, or at a refusal (status 400 and up): then sending on is useless.
        """
        size = 0
        try:
            while size < limit_bytes and not (self._has_head and (self._is_complete or self.status >= 400)):
                size += await self._read_some()
        except UpstreamFailed:
            return  # `read_head` or the body's reader meets it again and tells

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> bytes:
        """The next decoded part of the body."""
        while not self._parts:
            if self._is_complete:
                self.close()
                raise StopAsyncIteration
            await self._read_some()
        return self._parts.popleft()

    async def aclose(self) -> None:
        """Whoever was reading the body is gone. Works before the first part too, unlike a generator's."""
        self.close()

    @property
    def has_body(self) -> bool:
        return not self._is_complete or bool(self._parts)

    def connection(self) -> StreamConnection:
        """After 101: the byte stream, beginning with what was read past the head."""
        return StreamConnection(self._reader, self._writer, self._rest)

    def close(self) -> None:
        self._writer.close()

    async def _read_some(self) -> int:
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise UpstreamFailed(f"connection lost before the answer was complete: {error}") from error
        if not data:
            if self._has_head and self._is_until_close():
                self._is_complete = True
                return 0
            raise UpstreamFailed("connection ended before the answer was complete")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not (self._has_head and self._is_complete):
                raise UpstreamFailed(f"answer is not HTTP: {error}") from error
        return len(data)

    def _is_until_close(self) -> bool:
        return not any(name in ("content-length", "transfer-encoding") for name, _ in self.headers)

    # -- the parser's callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._has_head:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._has_head and (status >= 200 or status == 101):
            self._has_head = True
            self.status = status

    def on_body(self, part: bytes) -> None:
        if not self._is_complete:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_complete = True

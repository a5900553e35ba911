"""HTTP messages as the components see them: what the front parses into and writes from.

In:    one `Request` per call; the body is a stream so that blobs of any size pass.
Out:   a `Response` (bytes, many bytes, or a stream), or an `Upgrade` that takes over the connection.
Spec:  RFC 9110, RFC 9112 section 7.8 (Upgrade).
Never: I/O; `kit/http/server.py` owns the sockets.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wherry.kit.errors import WherryError

Headers = Sequence[tuple[str, str]]


class BodyTooLarge(WherryError):
    """The request body is longer than the handler allows; answered as 413."""


@dataclass(slots=True)
class Request:
    """One request. Header names are lower-case; `path` is percent-decoded, `raw_target` is as received.

    Repeated headers are joined with ", " (cookies with "; "). A body of up to `Limits.small_body_bytes` with a length comes
    whole, as bytes. `remote_address` is the client's IP address, "" on a UNIX socket.

    `query` keeps repeated keys in order. `peer_certificate` is the DER of a client certificate that the TLS layer
    has verified against the server's client CA, else None. `identity` is set by in-process callers only: they
    skip authentication and say who they are (an `orchestration.apiserver.user.User`).
    """

    method: str
    path: str
    raw_target: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: AsyncIterator[bytes] | bytes = b""
    peer_certificate: bytes | None = None
    remote_address: str = ""
    identity: object | None = None

    def param(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; raise `BodyTooLarge` past `limit_bytes`, before anything is read when its length says so."""
        if isinstance(self.body, bytes):
            if len(self.body) > limit_bytes:
                raise BodyTooLarge(f"request body is longer than {limit_bytes} bytes")
            return self.body
        if int(self.headers.get("content-length", 0)) > limit_bytes:
            raise BodyTooLarge(f"request body is longer than {limit_bytes} bytes")
        parts: list[bytes] = []
        size = 0
        async for part in self.body:
            size += len(part)
            if size > limit_bytes:
                raise BodyTooLarge(f"request body is longer than {limit_bytes} bytes")
            parts.append(part)
        return b"".join(parts)


@dataclass(slots=True)
class Response:
    """An answer. `body` as a stream is sent chunked and flushed part by part (watch, logs, blobs).

    `on_close` of a stream: the front calls `aclose()` on the iterator when the client goes away.
    A `content-length` header together with a stream body means: send as is, not chunked.
    `stall_s`: how long the client may take nothing before it is cut off; None is the server's `write_stall_s`.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Sequence[bytes] | AsyncIterator[bytes] = b""
    stall_s: float | None = None


class Connection(Protocol):
    """The raw byte stream of an upgraded connection; back-pressure in both directions."""

    async def read(self) -> bytes:
        """The next bytes, or b"" at the end of the peer's side."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`; waits while the peer is slow. Raises `ConnectionError` when it is gone."""

    async def close(self) -> None:
        """End both directions. Idempotent."""


@dataclass(slots=True)
class Upgrade:
    """Answer 101 with `headers`, then hand the connection to `run`; it is closed when `run` ends."""

    headers: list[tuple[str, str]]
    run: Callable[[Connection], Awaitable[None]]
    status: int = 101


Handler = Callable[[Request], Awaitable[Response | Upgrade]]

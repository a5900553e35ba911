"""Forward one request to another server: stream its answer back, or join both connections after an upgrade.

In:    the client's request, where to, the target to ask for, headers to set.
Out:   a `Response` whose body streams, or an `Upgrade` that moves bytes both ways until either side ends.
Spec:  RFC 9110 section 7.6 (hop-by-hop fields are not passed on), 7.8 (Upgrade).
Fails: `Unavailable` (cannot connect, broken answer), `TimedOut` (no head in time), before anything was sent back.
Never: retries; reads what it carries.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from wherry.kit.errors import Unavailable
from wherry.kit.http import upstream
from wherry.kit.http.body import BodyBroken
from wherry.kit.http.byte_stream import StreamConnection
from wherry.kit.http.message import Connection, Request, Response, Upgrade

CONNECT_TIMEOUT_S = 10.0
HEAD_TIMEOUT_S = 300.0  # an application behind a proxy may think this long before it answers
READ_AHEAD_BYTES = 16 * 1024 * 1024  # answer kept in memory while the request is still being sent
HALF_CLOSED_S = 30.0  # after the client has ended its side, time for the server to end its own

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "http2-settings"}
)
_NOT_ANSWERED = _HOP_BY_HOP | {"date"}  # our own front writes its date
_NOTHING: Mapping[str, str] = {}


async def forward(
    request: Request,
    *,
    host: str,
    port: int,
    target: str,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    headers: Mapping[str, str] = _NOTHING,
    more: Sequence[tuple[str, str]] = (),
    drop: Collection[str] = ("authorization",),
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    head_timeout_s: float = HEAD_TIMEOUT_S,
) -> Response | Upgrade:
    """Ask `host:port` for `target` with the request's method, body and headers.

    `headers` (lower-case names) replace the request's of the same name; those in `drop` are not passed on: the client's
    credentials are for us. `more` are headers that may come several times. `server_name` is the name expected in the
    certificate when it is not `host`.
    """
    reader, writer = await upstream.dial(host, port, tls=tls, server_name=server_name, timeout_s=connect_timeout_s)
    answer = upstream.Answer(reader, writer, is_head=request.method == "HEAD")
    is_kept = False
    try:
        writer.write(upstream.request_head(request.method, target, [*_asked(request, host, port, headers, drop), *more]))
        await _send_body(request, writer, answer)
        async with asyncio.timeout(head_timeout_s):
            await answer.read_head()
        is_kept = answer.status == 101 or answer.has_body
    except TimeoutError:
        raise upstream.UpstreamTimedOut(f"{host}:{port} did not answer within {head_timeout_s:g} s") from None
    finally:
        if not is_kept:
            writer.close()
    return _answered(answer)


async def whole(answer: Response | Upgrade, limit_bytes: int) -> bytes:
    """The body of a short answer. Raise `Unavailable` when it is longer, or none at all but an upgrade."""
    if not isinstance(answer, Response):
        raise Unavailable("the other server upgraded the connection")
    if isinstance(answer.body, bytes):
        return answer.body
    parts: list[bytes] = []
    size = 0
    async for part in _parts(answer.body):
        size += len(part)
        if size > limit_bytes:
            raise Unavailable(f"the answer is longer than {limit_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


async def _parts(body: AsyncIterator[bytes] | Sequence[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, AsyncIterator):
        async for part in body:
            yield part
    else:
        for part in body:
            yield part


async def join(one: Connection, other: StreamConnection) -> None:
    """Move bytes both ways until `other` ends, or `one` ends and `other` follows within `HALF_CLOSED_S`."""
    try:
        async with asyncio.TaskGroup() as tasks:
            outward = tasks.create_task(_outward(one, other), name="splice outward")
            await _pump(other, one)
            outward.cancel()
    except* ConnectionError:
        pass  # either side went away: that is how most of these end
    finally:
        await other.close()
        await one.close()


async def _outward(one: Connection, other: StreamConnection) -> None:
    await _pump(one, other)
    if not await other.end_writing():
        await other.close()  # TLS knows no half-close: the client's end is the end
        return
    await asyncio.sleep(HALF_CLOSED_S)
    await other.close()


async def _pump(source: Connection, sink: Connection) -> None:
    while data := await source.read():
        await sink.write(data)


async def _send_body(request: Request, writer: asyncio.StreamWriter, answer: upstream.Answer) -> None:
    """Send the body while reading ahead. A server that refuses or hangs up early ends it; its answer is kept."""
    if isinstance(request.body, bytes):
        writer.write(request.body)
        return
    is_chunked = "content-length" not in request.headers
    broken: list[BodyBroken] = []
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send_parts(request.body, writer, is_chunked, broken), name="forward body")
        reading = tasks.create_task(answer.read_ahead(READ_AHEAD_BYTES), name="forward answer")
        sending.add_done_callback(lambda _: reading.cancel())
        reading.add_done_callback(lambda _: sending.cancel() if answer.status >= 400 else None)
    if broken:
        raise broken[0]


async def _send_parts(
    body: AsyncIterator[bytes], writer: asyncio.StreamWriter, is_chunked: bool, broken: list[BodyBroken]
) -> None:
    try:
        async for part in body:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
            await writer.drain()
        if is_chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
    except BodyBroken as error:
        broken.append(error)
    except OSError:
        return  # the server hung up; it may have answered before


def _asked(
    request: Request, host: str, port: int, headers: Mapping[str, str], drop: Collection[str]
) -> list[tuple[str, str]]:
    left_out = _HOP_BY_HOP | _listed_in_connection(request) | set(headers) | set(drop) | {"expect"}
    asked = [(name, value) for name, value in request.headers.items() if name not in left_out]
    if "host" not in request.headers and "host" not in headers:
        asked.append(("host", f"{host}:{port}"))
    asked.extend(headers.items())
    upgrade = request.headers.get("upgrade")
    if upgrade and "upgrade" in request.headers.get("connection", "").lower():
        asked += [("connection", "Upgrade"), ("upgrade", upgrade)]
    else:
        asked.append(("connection", "close"))
    if "content-length" not in request.headers:
        if not isinstance(request.body, bytes):
            asked.append(("transfer-encoding", "chunked"))
        elif request.body or request.method in ("POST", "PUT", "PATCH"):
            asked.append(("content-length", str(len(request.body))))
    return asked


def _listed_in_connection(request: Request) -> set[str]:
    return {part.strip().lower() for part in request.headers.get("connection", "").split(",")}


def _answered(answer: upstream.Answer) -> Response | Upgrade:
    if answer.status == 101:
        connection = answer.connection()

        async def run(client: Connection) -> None:
            await join(client, connection)

        return Upgrade([pair for pair in answer.headers if pair[0] not in ("date", "content-length")], run)
    kept = [(name, value) for name, value in answer.headers if name not in _NOT_ANSWERED]
    return Response(answer.status, kept, answer if answer.has_body else b"")

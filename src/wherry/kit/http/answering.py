"""Answers as bytes on the wire: heads with framing headers, and bodies of many parts or without a known end.

In:    a `Response` or `Upgrade` and what the request allows (HEAD, HTTP/1.0, keep-alive).
Out:   bytes for one write, or a paced series of writes through a `Sink`.
Spec:  RFC 9112 sections 6 and 7.1 (chunked), RFC 9110 section 6.6.1 (Date).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from typing import Protocol, cast

from wherry.kit.http import head
from wherry.kit.http.message import Response, Upgrade

JOINED_BYTES_MAX = 256 * 1024  # parts are gathered into writes of about this size
PIECE_BYTES_MAX = 64 * 1024  # of a streamed part that is written at once


class Sink(Protocol):
    """The connection as an answer needs it."""

    def write(self, data: bytes) -> None:
        """Hand `data` to the socket."""

    async def drain(self) -> None:
        """Wait while the socket is full; raise when the client is gone."""

    def begin_stream(self, *, is_endless: bool) -> None:
        """Bytes of a streamed answer follow."""


class Terms(Protocol):
    """What the request asks of its answer."""

    keep_alive: bool
    is_head: bool
    is_old: bool


class _DateLine:
    """The Date header, made at most once a second."""

    second = -1
    text = ""

    @classmethod
    def now(cls) -> str:
        second = int(asyncio.get_running_loop().time())
        if second != cls.second:
            cls.second = second
            cls.text = f"date: {formatdate(usegmt=True)}\r\n"
        return cls.text


def plain(status: int, text: str = "") -> Response:
    """A short text for a person: the phrase of the status when nothing better is known."""
    body = (text or head.phrase(status).lower()).encode() + b"\n"
    headers = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")]
    return Response(status, headers, body)


def plain_bytes(status: int, text: str = "") -> bytes:
    """The same as bytes that end the connection."""
    answer = plain(status, text)
    assert isinstance(answer.body, bytes)
    return whole_head(answer, len(answer.body), False, False) + answer.body


def whole_head(answer: Response, length: int, keep_alive: bool, is_old: bool) -> bytes:
    """The head of an answer whose body length is known."""
    if head.has_no_body(answer.status) or any(name.lower() == "content-length" for name, _ in answer.headers):
        return head.render(answer.status, answer.headers, _DateLine.now() + _persistence(keep_alive, is_old))
    framing = f"content-length: {length}\r\n{_DateLine.now()}{_persistence(keep_alive, is_old)}"
    return head.render(answer.status, answer.headers, framing)


def upgrade_head(upgrade: Upgrade) -> bytes:
    """The head that switches protocols; `Connection: Upgrade` is added when the handler left it out."""
    has_connection = any(name.lower() == "connection" for name, _ in upgrade.headers)
    return head.render(upgrade.status, upgrade.headers, "" if has_connection else "connection: Upgrade\r\n")


async def send_parts(sink: Sink, terms: Terms, answer: Response) -> None:
    """Send a body that is a sequence or a stream of parts."""
    body = answer.body
    if isinstance(body, Sequence):
        await _send_sequence(sink, terms, answer, cast(Sequence[bytes], body))
        return
    try:
        await _send_stream(sink, terms, answer, body)
    finally:
        await _close(body)


async def _send_sequence(sink: Sink, terms: Terms, answer: Response, parts: Sequence[bytes]) -> None:
    length = sum(map(len, parts))
    first = whole_head(answer, length, terms.keep_alive, terms.is_old)
    if terms.is_head:
        sink.write(first)
        return
    if length <= JOINED_BYTES_MAX:
        sink.write(b"".join([first, *parts]))
        return
    gathered, size = [first], len(first)
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= JOINED_BYTES_MAX:
            sink.write(b"".join(gathered))
            gathered, size = [], 0
            await sink.drain()
    sink.write(b"".join(gathered))
    await sink.drain()


async def _send_stream(sink: Sink, terms: Terms, answer: Response, parts: AsyncIterator[bytes]) -> None:
    has_length = any(name.lower() == "content-length" for name, _ in answer.headers)
    is_bodyless = terms.is_head or head.has_no_body(answer.status)
    is_chunked = not has_length and not terms.is_old and not head.has_no_body(answer.status)
    if not has_length and not is_chunked and not is_bodyless:
        terms.keep_alive = False  # HTTP/1.0: the end of the connection is the end of the body
    framing = "transfer-encoding: chunked\r\n" if is_chunked else ""
    tail = framing + _DateLine.now() + _persistence(terms.keep_alive, terms.is_old)
    sink.write(head.render(answer.status, answer.headers, tail))
    if is_bodyless:
        return
    sink.begin_stream(is_endless=not has_length)
    async for part in parts:
        # In pieces: what a client that reads nothing costs is a piece, and a thousand that get the same large part take turns.
        for start in range(0, len(part), PIECE_BYTES_MAX):
            piece = part if len(part) <= PIECE_BYTES_MAX else part[start : start + PIECE_BYTES_MAX]
            sink.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await sink.drain()
            if piece is not part:
                await asyncio.sleep(0)
    if is_chunked:
        sink.write(b"0\r\n\r\n")


def _persistence(keep_alive: bool, is_old: bool) -> str:
    if not keep_alive:
        return "connection: close\r\n"
    return "connection: keep-alive\r\n" if is_old else ""


async def _close(parts: AsyncIterator[bytes]) -> None:
    close = getattr(parts, "aclose", None)
    if close is not None:
        await close()

"""SPDY/3 frames as values: bytes in, frames out, and back. Header blocks are compressed with the protocol's dictionary.

In:    bytes in any cut (`FrameReader.feed`).
Out:   `Control` frames whole, `Data` in the pieces they came in; encoders for everything a session sends.
Spec:  SPDY Protocol Draft 3.1, section 2.2 (framing), 2.6 (control frames), 2.6.10 (header block).
Never: I/O; keeps no stream state.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from wherry.kit.errors import Invalid

VERSION = 3
CONTROL_BYTES_MAX = 1024 * 1024
HEADER_BLOCK_BYTES_MAX = 64 * 1024  # after decompression
HEADER_PAIRS_MAX = 256
FLAG_FIN = 0x01
FLAG_UNIDIRECTIONAL = 0x02


class Kind(IntEnum):
    """Types of control frames."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Reset(IntEnum):
    """Why a stream was reset."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    CANCEL = 5
    INTERNAL_ERROR = 6
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9


class SpdyBroken(Invalid):
    """The peer sent what is not SPDY/3; the session ends."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame; `body` is what follows the eight bytes of its head."""

    kind: int
    flags: int
    body: bytes

    @property
    def number(self) -> int:
        """The stream id or ping id that most bodies begin with."""
        if len(self.body) < 4:
            raise SpdyBroken(f"control frame of type {self.kind} is too short")
        return int.from_bytes(self.body[:4], "big") & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a data frame; `is_last` on the last piece of a frame with FIN."""

    stream_id: int
    payload: bytes
    is_last: bool


class FrameReader:
    """Cuts a byte stream into frames. Data is never gathered: a 16 MiB frame costs no memory."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data_left = 0
        self._data_stream = 0
        self._data_flags = 0

    def feed(self, received: bytes) -> Iterator[Control | Data]:
        """The frames that `received` completes. Raises `SpdyBroken`."""
        self._buffer += received
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Control | Data | None:
        buffer = self._buffer
        if self._data_left:
            return self._piece() if buffer else None
        if len(buffer) < 8:
            return None
        first, second = struct.unpack_from("!II", buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first & 0x80000000:
            del buffer[:8]
            self._data_stream, self._data_flags, self._data_left = first, flags, length
            return self._piece() if buffer or not length else None
        if first >> 16 & 0x7FFF != VERSION:
            raise SpdyBroken(f"spdy version {first >> 16 & 0x7FFF}, want {VERSION}")
        if length > CONTROL_BYTES_MAX:
            raise SpdyBroken(f"control frame of {length} bytes")
        if len(buffer) < 8 + length:
            return None
        frame = Control(first & 0xFFFF, flags, bytes(buffer[8 : 8 + length]))
        del buffer[: 8 + length]
        return frame

    def _piece(self) -> Data:
        payload = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(payload)]
        self._data_left -= len(payload)
        return Data(self._data_stream, payload, not self._data_left and bool(self._data_flags & FLAG_FIN))


class HeaderReader:
    """Decompresses the header blocks of one direction of one session; their order matters."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """Names (lower-case) to values. Raises `SpdyBroken`."""
        try:
            plain = self._zlib.decompress(block, HEADER_BLOCK_BYTES_MAX)
        except zlib.error as error:
            raise SpdyBroken(f"header block: {error}") from None
        if self._zlib.unconsumed_tail:
            raise SpdyBroken(f"header block is longer than {HEADER_BLOCK_BYTES_MAX} bytes")
        return _parse_pairs(plain)


class HeaderWriter:
    """Compresses the header blocks of one direction of one session."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(level=6, zdict=DICTIONARY)

    def write(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack("!I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts.append(struct.pack("!I", len(text)) + text)
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


def control(kind: Kind, body: bytes, flags: int = 0) -> bytes:
    """One control frame."""
    return struct.pack("!HHI", 0x8000 | VERSION, kind, flags << 24 | len(body)) + body


def data(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    """One data frame of less than 16 MiB."""
    return struct.pack("!II", stream_id, flags << 24 | len(payload)) + payload


def syn_stream(stream_id: int, block: bytes, flags: int = 0) -> bytes:
    return control(Kind.SYN_STREAM, struct.pack("!IIH", stream_id, 0, 0) + block, flags)


def syn_reply(stream_id: int, block: bytes, flags: int = 0) -> bytes:
    return control(Kind.SYN_REPLY, struct.pack("!I", stream_id) + block, flags)


def rst_stream(stream_id: int, status: int) -> bytes:
    return control(Kind.RST_STREAM, struct.pack("!II", stream_id, status))


def goaway(last_stream_id: int, status: int = 0) -> bytes:
    return control(Kind.GOAWAY, struct.pack("!II", last_stream_id, status))


def ping(number: int) -> bytes:
    return control(Kind.PING, struct.pack("!I", number))


def _parse_pairs(plain: bytes) -> dict[str, str]:
    try:
        (count,) = struct.unpack_from("!I", plain)
        if count > HEADER_PAIRS_MAX:
            raise SpdyBroken(f"header block of {count} pairs")
        texts, at = [], 4
        for _ in range(2 * count):
            (length,) = struct.unpack_from("!I", plain, at)
            if at + 4 + length > len(plain):
                raise SpdyBroken("header block ends inside a text")
            texts.append(plain[at + 4 : at + 4 + length].decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise SpdyBroken(f"header block: {error}") from None
    return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


_WORDS = (  # "_" stands for a space
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)


def _dictionary() -> bytes:
    """Section 2.6.10.1: length-prefixed words, then text without lengths."""
    statuses = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    )
    values = (
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    words = [word.replace("_", " ").encode() for word in _WORDS.split()]
    return b"".join(struct.pack("!I", len(word)) + word for word in words) + (statuses + values).encode()


DICTIONARY = _dictionary()

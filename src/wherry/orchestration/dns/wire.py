"""DNS messages: read a query, write an answer, find the lifetimes in somebody else's answer.

In:    datagrams from anybody: malformed input raises `Malformed`, never anything else.
Out:   bytes.
Spec:  RFC 1035 section 4, RFC 2181 section 5, RFC 6891 (EDNS0).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.kit.errors import Invalid

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
RESPONSE, AUTHORITATIVE, TRUNCATED, RECURSION_DESIRED, RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
UDP_BYTES_PLAIN = 512
UDP_BYTES_MAX = 1232  # what EDNS0 is offered: never fragmented on any sane path (DNS flag day 2020)
NAME_BYTES_MAX = 255
RECORDS_MAX = 4096
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")


class Malformed(Invalid):
    """Not a DNS message, or not one we can answer. `id` is 0 when not even that could be read."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `question` is its bytes as received, to be sent back unchanged (mixed case is a client's defence)."""

    id: int
    flags: int
    name: str  # lower case, no final dot
    kind: int
    question: bytes
    udp_bytes: int  # how large an answer may be
    has_edns: bool

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15


@dataclass(frozen=True, slots=True)
class Record:
    """`name` "" means: the name that was asked for."""

    name: str
    kind: int
    ttl_s: int
    data: bytes


def read_query(message: bytes) -> Query:
    """Raise `Malformed` for anything that is not one query with one question."""
    if len(message) < _HEADER.size:
        raise Malformed("shorter than a header")
    ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
    if flags & RESPONSE:
        raise Malformed("a response")
    if questions != 1 or answers or authorities:
        raise Malformed(f"{questions} questions and {answers + authorities} records in a query")
    labels, end = _plain_name(message, _HEADER.size)
    if len(message) < end + 4:
        raise Malformed("question cut short")
    kind, _ = struct.unpack_from("!HH", message, end)
    size, has_edns = _edns(message, end + 4, additional)
    return Query(ident, flags, ".".join(labels), kind, message[_HEADER.size : end + 4], size, has_edns)


def _plain_name(message: bytes, at: int) -> tuple[list[str], int]:
    """An uncompressed name in lower case, and where it ends."""
    labels: list[str] = []
    start = at
    while True:
        if at >= len(message):
            raise Malformed("name cut short")
        length = message[at]
        if length == 0:
            return labels, at + 1
        if length > 63 or at + 1 + length > len(message) or at - start > NAME_BYTES_MAX:
            raise Malformed("bad label")
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length


def _edns(message: bytes, at: int, additional: int) -> tuple[int, bool]:
    if not additional or len(message) < at + 11 or message[at] != 0:
        return UDP_BYTES_PLAIN, False
    kind, size, _, _ = _RECORD.unpack_from(message, at + 1)
    if kind != OPT:
        return UDP_BYTES_PLAIN, False
    return max(UDP_BYTES_PLAIN, min(size, UDP_BYTES_MAX)), True


def write_answer(
    query: Query, code: int, answers: Sequence[Record] = (), authority: Sequence[Record] = (), additional: Sequence[Record] = (),
    *, authoritative: bool = True,
) -> bytes:  # fmt: skip
    """The whole answer, however long; see `fitted`."""
    flags = RESPONSE | (query.flags & (0x7800 | RECURSION_DESIRED)) | RECURSION_AVAILABLE | code
    flags |= AUTHORITATIVE if authoritative else 0
    counts = (1, len(answers), len(authority), len(additional) + query.has_edns)
    parts = [_HEADER.pack(query.id, flags, *counts), query.question]
    parts += [_record(record) for record in (*answers, *authority, *additional)]
    if query.has_edns:
        parts.append(b"\0" + _RECORD.pack(OPT, UDP_BYTES_MAX, 0, 0))
    return b"".join(parts)


def fitted(query: Query, answer: bytes) -> bytes:
    """The answer, or, when it is too long for a datagram, an empty one that sends the client to TCP."""
    if len(answer) <= query.udp_bytes:
        return answer
    return truncated(query, answer)


def truncated(query: Query, answer: bytes) -> bytes:
    """Header and question of `answer` with the TC bit."""
    ident, flags, *_ = _HEADER.unpack_from(answer)
    return _HEADER.pack(ident, flags | TRUNCATED, 1, 0, 0, 0) + query.question


def refusal(message: bytes, code: int) -> bytes:
    """An answer to a message whose question could not be read."""
    ident, flags = struct.unpack_from("!HH", message)
    return _HEADER.pack(ident, RESPONSE | (flags & 0x7900) | code, 0, 0, 0, 0)


def name_bytes(name: str) -> bytes:
    """A name on the wire. Raise `Malformed` when a label is empty or longer than 63 bytes."""
    out = bytearray()
    for label in name.rstrip(".").split(".") if name.strip(".") else ():
        raw = label.encode("latin-1", "replace")
        if not 0 < len(raw) < 64:
            raise Malformed(f"label {label!r} in {name!r}")
        out += bytes((len(raw),)) + raw
    return bytes(out) + b"\0"


def _record(record: Record) -> bytes:
    owner = name_bytes(record.name) if record.name else b"\xc0\x0c"
    return owner + _RECORD.pack(record.kind, IN, record.ttl_s, len(record.data)) + record.data


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Of a foreign answer: its shortest TTL, and where all TTLs stand so that they can be aged."""

    shortest_s: int
    offsets: tuple[int, ...]


def lifetimes(message: bytes) -> Lifetimes:
    """Raise `Malformed` for an answer that cannot be walked to its end."""
    if len(message) < _HEADER.size:
        raise Malformed("shorter than a header")
    _, _, questions, *counts = _HEADER.unpack_from(message)
    if sum(counts) > RECORDS_MAX:
        raise Malformed("too many records")
    at = _HEADER.size
    for _ in range(questions):
        at = _skip_name(message, at) + 4
    shortest, offsets = 0xFFFFFFFF, []
    for _ in range(sum(counts)):
        at = _skip_name(message, at)
        if at + _RECORD.size > len(message):
            raise Malformed("record cut short")
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        if kind != OPT:
            shortest = min(shortest, ttl)
            offsets.append(at + 4)
        at += _RECORD.size + length
    if at > len(message):
        raise Malformed("record cut short")
    return Lifetimes(shortest if offsets else 0, tuple(offsets))


def aged(message: bytes, offsets: Sequence[int], age_s: int) -> bytes:
    """The answer with every TTL `age_s` shorter."""
    out = bytearray(message)
    for offset in offsets:
        ttl = struct.unpack_from("!I", out, offset)[0]
        struct.pack_into("!I", out, offset, max(0, ttl - age_s))
    return bytes(out)


def _skip_name(message: bytes, at: int) -> int:
    for _ in range(NAME_BYTES_MAX):
        if at >= len(message):
            break
        length = message[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    raise Malformed("name cut short")

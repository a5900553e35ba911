"""Bytes of one connection into requests: heads checked, bodies whole or as streams, everything doubtful refused.

In:    `feed` with bytes in any cut.
Out:   `Exchange`s in order, ready to be answered; a refusal is an exchange too and ends the reading.
Spec:  RFC 9112: 3.2 (Host), 5.2 (no folding), 6.3 (length and chunked exclude each other), 7.1, 11.2 (smuggling).
Never: I/O, the clock. Never guesses: lenient parsing is how two servers come to disagree about one message.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import httptools

from wherry.kit.errors import Invalid
from wherry.kit.http import head
from wherry.kit.http.body import BodyStream
from wherry.kit.http.limits import Limits
from wherry.kit.http.message import Request

_ONCE_ONLY = frozenset({"host", "content-length", "transfer-encoding", "authorization", "expect", "content-type"})
_NAMES: dict[bytes, str] = {}  # header names as seen -> lower-case text
_NAMES_MAX = 1000


class Phase(Enum):
    """What the next byte belongs to."""

    BETWEEN = auto()
    HEAD = auto()
    SMALL_BODY = auto()  # gathered; the request is not ready before it is whole
    BODY = auto()  # streamed to a request that is already being answered


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way to the handler, or the refusal that takes its place."""

    request: Request | None
    keep_alive: bool = False
    is_head: bool = False
    is_old: bool = False  # HTTP/1.0: no chunked coding, persistence only when said
    body: BodyStream | None = None
    refusal: int = 0  # a status; the connection ends with it

    @property
    def name(self) -> str:
        """For the log when the handler fails. The query stays out of it: it may hold a token."""
        return f"{self.request.method} {self.request.path!r}" if self.request is not None else "refusal"


class _Refused(Invalid):
    """Stops the parser from inside a callback."""


class RequestReader:
    """See the module docstring. `on_demand` and `on_room` are for the bodies it makes (body.py)."""

    def __init__(
        self, limits: Limits, on_demand: Callable[[], None], on_room: Callable[[], None],
        *, remote_address: str, peer_certificate: bytes | None,
    ) -> None:
        self._limits = limits
        self._on_demand = on_demand
        self._on_room = on_room
        self._remote_address = remote_address
        self._certificate = peer_certificate
        self._parser = httptools.HttpRequestParser(self)
        self._ready: list[Exchange] = []
        self._receiving: Exchange | None = None
        self._newest: Exchange | None = None  # the last one received whole
        self._small_body: list[bytes] = []
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._has_just_begun = False  # a head began in the bytes being parsed
        self._refusal = 0  # set in a callback that raises
        self.phase = Phase.BETWEEN
        self.heads_begun = 0
        self.is_deaf = False  # nothing more is read
        self.asking: Exchange | None = None  # the one that may switch protocols; then `rest` holds what follows it
        self.rest: list[bytes] = []

    def feed(self, data: bytes) -> list[Exchange]:
        """The exchanges that `data` makes ready."""
        if self.asking is not None:
            self.rest.append(data)
            return []
        if self.is_deaf:
            return []
        ready = self._ready = []
        self._has_just_begun = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.asking = self._newest
            self.rest = [data[upgrade.args[0] :]]
        except httptools.HttpParserError:
            return ready + self.refuse(self._refusal or 400)
        if self.phase is Phase.HEAD:
            # The read in which a head begins may hold earlier requests; it is bounded by itself.
            self._unparsed_bytes = 0 if self._has_just_begun else self._unparsed_bytes + len(data)
            if self._unparsed_bytes > self._limits.head_bytes_max:
                return ready + self.refuse(431)
        return ready

    def refuse(self, status: int) -> list[Exchange]:
        """Read no more. The refusal is an exchange of its own, unless a handler is in the middle of the body."""
        if self.is_deaf:
            return []
        self.is_deaf = True
        self.phase = Phase.BETWEEN
        broken, self._receiving = self._receiving, None
        if broken is not None and broken.body is not None:
            broken.body.fail("the body is malformed")
            return []
        return [Exchange(None, refusal=status)]

    def go_on(self) -> list[Exchange]:
        """The handler did not switch protocols: what came after the request is requests again."""
        data, self.rest, self.asking = b"".join(self.rest), [], None
        self._parser = httptools.HttpRequestParser(self)
        return self.feed(data) if data else []

    @property
    def body(self) -> BodyStream | None:
        """The streamed body that is being received."""
        return self._receiving.body if self._receiving is not None else None

    # -- the parser's callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.phase = Phase.HEAD
        self.heads_begun += 1
        self._has_just_begun = True
        self._head_bytes = 0
        self._target = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _NAMES.get(name) or _remember_name(name)
        self._count_head(len(name) + len(value) + 4)
        headers = self._headers
        if key not in headers:
            headers[key] = value.decode("latin-1")
            if len(headers) > self._limits.headers_max:
                self._stop(431)
        elif key in _ONCE_ONLY:
            self._stop(400)
        else:
            headers[key] += ("; " if key == "cookie" else ", ") + value.decode("latin-1")

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._stop(505)
        is_old = version == "1.0"
        method = parser.get_method().decode("ascii")
        self._check_head(method, is_old)
        try:
            target, path, query = head.split_target(self._target)
            fields = head.parse_query(query) if query else {}
        except head.BadTarget:
            self._stop(400)
        request = Request(method, path, target, fields, headers, b"", self._certificate, self._remote_address)
        exchange = self._receiving = Exchange(request, parser.should_keep_alive(), method == "HEAD", is_old)
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return
        if "expect" not in headers and length is not None and int(length) <= self._limits.small_body_bytes:
            self.phase = Phase.SMALL_BODY
            self._small_body = []
            return
        self.phase = Phase.BODY
        exchange.body = request.body = BodyStream(self._on_demand, self._on_room)
        self._ready.append(exchange)

    def on_body(self, part: bytes) -> None:
        if self.phase is Phase.SMALL_BODY:
            self._small_body.append(part)
        elif self._receiving is not None and self._receiving.body is not None:
            self._receiving.body.feed(part)

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        assert exchange is not None and exchange.request is not None
        self._newest = exchange
        phase, self.phase = self.phase, Phase.BETWEEN
        if exchange.body is not None:
            exchange.body.end()
            return
        if phase is Phase.SMALL_BODY:
            exchange.request.body = b"".join(self._small_body)
        self._ready.append(exchange)

    def _check_head(self, method: str, is_old: bool) -> None:
        headers = self._headers
        if "host" not in headers and not is_old:
            self._stop(400)
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if "content-length" in headers or is_old:
                self._stop(400)
            if coding.strip().lower() != "chunked":
                self._stop(501)
        if method in ("CONNECT", "PRI"):
            self._stop(501)
        expected = headers.get("expect")
        if expected is not None and expected.lower() != "100-continue":
            self._stop(417)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            self._stop(431)

    def _stop(self, status: int) -> None:
        self._refusal = status
        raise _Refused(f"refused with {status}")


def _remember_name(name: bytes) -> str:
    text = name.lower().decode("latin-1")
    if len(_NAMES) < _NAMES_MAX:
        _NAMES[name] = text
    return text

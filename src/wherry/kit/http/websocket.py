"""WebSocket messages over a `Connection`: both roles, fragments joined, pings answered, closes shaken.

In:    a request that asks for a WebSocket (server), or a connection that switched to one (client).
Out:   whole messages, `bytes` for binary and `str` for text; None once the peer has closed.
Spec:  RFC 6455 sections 4.2 (handshake), 5 (framing), 7 (closing).
Never: compresses (no extension is agreed to); buffers more than `message_bytes_max`.
"""

import base64
import binascii
import hashlib
import os
import struct
from collections.abc import Awaitable, Callable, Sequence

from wherry.kit.http import answering
from wherry.kit.http.byte_stream import PeerGone
from wherry.kit.http.message import Connection, Request, Response, Upgrade

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
CLOSE_NORMAL = 1000
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_UNSUPPORTED_DATA = 1003
CLOSE_NO_STATUS = 1005  # never on the wire: the close frame had no code
CLOSE_ABNORMAL = 1006  # never on the wire: the connection ended without a close frame
CLOSE_BAD_TEXT = 1007
CLOSE_TOO_BIG = 1009
CLOSE_INTERNAL_ERROR = 1011

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class _Violation(Exception):
    """The peer broke the protocol; carries the close code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class WebSocket:
    """One WebSocket. One reader; `send` may be called by many. A ping is answered only while `receive` runs."""

    def __init__(
        self, connection: Connection, *, is_client: bool, subprotocol: str = "",
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self._connection = connection
        self._is_client = is_client
        self._message_bytes_max = message_bytes_max
        self._buffer = bytearray()
        self._has_sent_close = False
        self.subprotocol = subprotocol
        self.close_code = 0  # 0 while open; then the peer's code, or CLOSE_ABNORMAL
        self.close_reason = ""

    async def receive(self) -> bytes | str | None:
        """The next message, or None when the peer closed or vanished (`close_code` says which)."""
        if self.close_code:
            return None
        try:
            return await self._message()
        except _Violation as violation:
            await self.close(violation.code, str(violation))
            self.close_code = violation.code
        except EOFError:
            self.close_code = CLOSE_ABNORMAL
        return None

    async def send(self, message: bytes | str) -> None:
        """Send one message. Raises `ConnectionError` when the peer is gone or a close was sent."""
        if self._has_sent_close or self.close_code:
            raise PeerGone("websocket is closed")
        if isinstance(message, str):
            await self._connection.write(self._frame(_TEXT, message.encode()))
        else:
            await self._connection.write(self._frame(_BINARY, message))

    async def ping(self, data: bytes = b"") -> None:
        await self._connection.write(self._frame(_PING, data))

    async def close(self, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """Send a close frame once. The connection itself is closed by whoever owns it."""
        if self._has_sent_close:
            return
        self._has_sent_close = True
        payload = b"" if code == CLOSE_NO_STATUS else struct.pack("!H", code) + reason.encode()[:120]
        try:
            await self._connection.write(self._frame(_CLOSE, payload))
        except ConnectionError:
            return

    async def _message(self) -> bytes | str | None:
        kind, parts, size = 0, [], 0
        while True:
            is_final, opcode, payload = await self._next_frame(self._message_bytes_max - size)
            if opcode == _PING:
                await self._pong(payload)
            elif opcode == _CLOSE:
                await self._closed_by_peer(payload)
                return None
            elif opcode in (_TEXT, _BINARY, _CONTINUATION):
                if (opcode == _CONTINUATION) == (kind == 0):
                    raise _Violation(CLOSE_PROTOCOL_ERROR, "continuation frame out of place")
                kind = kind or opcode
                parts.append(payload)
                size += len(payload)
                if is_final:
                    return _as_message(kind, parts)

    async def _next_frame(self, room: int) -> tuple[bool, int, bytes]:
        first, second = await self._take(2)
        opcode, length = first & 0x0F, second & 0x7F
        if first & 0x70 or opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise _Violation(CLOSE_PROTOCOL_ERROR, "reserved bits or opcode")
        if bool(second & 0x80) == self._is_client:
            raise _Violation(CLOSE_PROTOCOL_ERROR, "clients mask their frames, servers do not")
        is_final = bool(first & 0x80)
        if opcode >= _CLOSE and (length > 125 or not is_final):
            raise _Violation(CLOSE_PROTOCOL_ERROR, "control frame is fragmented or too long")
        if length == 126:
            (length,) = struct.unpack("!H", await self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._take(8))
        if opcode < _CLOSE and length > room:
            raise _Violation(CLOSE_TOO_BIG, f"message is longer than {self._message_bytes_max} bytes")
        mask = b"" if self._is_client else await self._take(4)
        payload = await self._take(length)
        return is_final, opcode, masked(payload, mask) if mask else payload

    async def _take(self, count: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < count:
            data = await self._connection.read()
            if not data:
                raise EOFError
            buffer += data
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    async def _pong(self, payload: bytes) -> None:
        try:
            await self._connection.write(self._frame(_PONG, payload))
        except ConnectionError:
            raise EOFError from None

    async def _closed_by_peer(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise _Violation(CLOSE_PROTOCOL_ERROR, "close frame with half a code")
        code = struct.unpack("!H", payload[:2])[0] if payload else CLOSE_NO_STATUS
        if payload and not _may_be_sent(code):
            raise _Violation(CLOSE_PROTOCOL_ERROR, f"close code {code} is reserved")
        try:
            self.close_reason = payload[2:].decode()
        except UnicodeDecodeError:
            raise _Violation(CLOSE_BAD_TEXT, "close reason is not UTF-8") from None
        await self.close(code)
        self.close_code = code

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        length = len(payload)
        mask_bit = 0x80 if self._is_client else 0
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, mask_bit | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, mask_bit | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, mask_bit | 127, length)
        if not self._is_client:
            return head + payload
        mask = os.urandom(4)
        return head + mask + masked(payload, mask)


def is_asked_for(request: Request) -> bool:
    """Whether the request wants to become a WebSocket."""
    return "websocket" in _tokens(request.headers.get("upgrade", "")) and "upgrade" in _tokens(
        request.headers.get("connection", "")
    )


def offered(request: Request) -> tuple[str, ...]:
    """The subprotocols the client offers, in its order of preference."""
    text = request.headers.get("sec-websocket-protocol", "")
    return tuple(part.strip() for part in text.split(",") if part.strip())


def accept(
    request: Request,
    protocols: Sequence[str],
    serve: Callable[[WebSocket], Awaitable[None]],
    *,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> Upgrade | Response:
    """Agree to a WebSocket and run `serve` on it, or answer why not.

    The first protocol of the client's list that is in `protocols` is chosen; "" in `protocols` also admits a client
    that names none. When `serve` returns a close frame (1000) is sent, unless it has sent one.
    """
    key = request.headers.get("sec-websocket-key", "")
    if request.method != "GET" or not is_asked_for(request):
        return answering.plain(400, "not a websocket request")
    if request.headers.get("sec-websocket-version") != "13":
        answer = answering.plain(426, "websocket version 13 is needed")
        answer.headers.append(("sec-websocket-version", "13"))
        return answer
    if not _is_key(key):
        return answering.plain(400, "sec-websocket-key is not 16 bytes in base64")
    names = offered(request)
    chosen = next((name for name in names if name in protocols), None)
    if chosen is None and (names or "" not in protocols):
        return answering.plain(400, f"no common websocket subprotocol: offered {list(names)}, known {list(protocols)}")

    async def run(connection: Connection) -> None:
        socket = WebSocket(
            connection, is_client=False, subprotocol=chosen or "", message_bytes_max=message_bytes_max
        )
        await serve(socket)
        await socket.close()

    headers = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept_token(key))]
    if chosen:
        headers.append(("sec-websocket-protocol", chosen))
    return Upgrade(headers, run)


def accept_token(key: str) -> str:
    """The server's proof that it read the client's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def masked(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask; its own inverse."""
    length = len(payload)
    pattern = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")).to_bytes(length, "little")


def _as_message(kind: int, parts: Sequence[bytes]) -> bytes | str:
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    if kind == _BINARY:
        return whole
    try:
        return whole.decode()
    except UnicodeDecodeError:
        raise _Violation(CLOSE_BAD_TEXT, "text message is not UTF-8") from None


def _may_be_sent(code: int) -> bool:
    return 1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code < 5000


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _tokens(text: str) -> set[str]:
    return {part.strip().lower() for part in text.split(",")}

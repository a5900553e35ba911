"""Text of heads: the response head written, request targets and queries read.

In:    status, header pairs, lengths; raw targets.
Out:   bytes ready for the socket; path and query as text.
Spec:  RFC 9112 sections 3, 4 and 6; RFC 9110 section 8.6; WHATWG URL "application/x-www-form-urlencoded".
Never: I/O.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote, unquote_plus

from wherry.kit.errors import Broken, Invalid

QUERY_FIELDS_MAX = 1000
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class BadTarget(Invalid):
    """The request target is not a path this server can read."""


def render(status: int, headers: Sequence[tuple[str, str]], trailer: str) -> bytes:
    """The whole head with its empty line. `trailer` holds further complete header lines, each with CRLF.

    Raises `Broken` when a header would smuggle a line break.
    """
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status\r\n"
    if not headers:
        return f"{line}{trailer}\r\n".encode("latin-1")
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise Broken(f"a response header holds a line break: {[name for name, _ in headers]}")
    return f"{line}{text}{trailer}\r\n".encode("latin-1", "replace")


def has_no_body(status: int) -> bool:
    """Statuses that never carry a body nor a length."""
    return status < 200 or status in (204, 304)


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def split_target(raw: bytes) -> tuple[str, str, str]:
    """(raw target as text, decoded path, raw query). Absolute form loses scheme and authority."""
    try:
        target = raw.decode("ascii")
    except UnicodeDecodeError:
        raise BadTarget("request target holds bytes outside ASCII; percent-encode them") from None
    text = target
    if not text.startswith("/") and text != "*":
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise BadTarget(f"request target {target[:80]!r} is neither a path nor an absolute URL")
        slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        text = rest[slash:] if rest[slash : slash + 1] == "/" else "/" + rest[slash:]
    if "#" in text:
        text = text[: text.index("#")]
    path, _, query = text.partition("?")
    return target, unquote(path) if "%" in path else path, query


def parse_query(query: str) -> dict[str, list[str]]:
    """Repeated keys keep their order; a key without "=" has the value ""."""
    fields: dict[str, list[str]] = {}
    parts = query.split("&")
    if len(parts) > QUERY_FIELDS_MAX:
        raise BadTarget(f"query has more than {QUERY_FIELDS_MAX} fields")
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            fields.setdefault(_decoded(name), []).append(_decoded(value))
    return fields


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text

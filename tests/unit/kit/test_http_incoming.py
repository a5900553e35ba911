"""Requests come out of the reader as they went in, however they were cut; targets and queries are read as browsers write them."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.http import head
from wherry.kit.http.incoming import Exchange, RequestReader
from wherry.kit.http.limits import Limits

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
FIELDS = st.lists(st.tuples(st.text("abcdefg é&=+%/", max_size=5), st.text("abcdefg é&=+%/", max_size=5)), max_size=5)
BODIES = st.one_of(st.binary(max_size=200), st.just(b"x" * 3000))


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, dict[str, str], dict[str, list[str]], bytes]:
    """(wire form, headers, query, body)"""
    headers = {f"x-{name}": value for name, value in draw(st.dictionaries(TOKEN, VALUE, max_size=4)).items()}
    fields = draw(FIELDS)
    body = draw(BODIES)
    framing, coded = f"content-length: {len(body)}\r\n", body
    if draw(st.booleans()):
        size = draw(st.integers(1, 100))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        framing = "transfer-encoding: chunked\r\n"
    lines = "".join(f"{name.title()}: {value}\r\n" for name, value in headers.items())
    query: dict[str, list[str]] = {}
    for name, value in fields:
        query.setdefault(name, []).append(value)
    text = f"POST /a?{urlencode(fields)} HTTP/1.1\r\nHost: h\r\n{lines}{framing}\r\n".encode() + coded
    return text, headers, query, body


def reader() -> RequestReader:
    return RequestReader(
        Limits(small_body_bytes=1000), lambda: None, lambda: None, remote_address="", peer_certificate=None
    )


def body_of(exchange: Exchange) -> bytes:
    assert exchange.request is not None
    if isinstance(exchange.request.body, bytes):
        return exchange.request.body
    assert exchange.body is not None and exchange.body.complete
    return b"".join(exchange.body._parts)


@given(st.lists(messages(), min_size=1, max_size=4), st.integers(1, 400))
def test_requests_survive_any_cut(sent: list[tuple[bytes, dict[str, str], dict[str, list[str]], bytes]], size: int):
    text = b"".join(message[0] for message in sent)
    incoming = reader()
    got = [each for at in range(0, len(text), size) for each in incoming.feed(text[at : at + size])]
    assert len(got) == len(sent) and not any(exchange.refusal for exchange in got)
    for exchange, (_, headers, query, body) in zip(got, sent, strict=True):
        assert exchange.request is not None
        assert headers.items() <= dict(exchange.request.headers).items()
        assert exchange.request.query == query
        assert body_of(exchange) == body


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        pytest.param(b"/", "/", "", id="root"),
        pytest.param(b"/a%2Fb%20c?x=%20", "/a/b c", "x=%20", id="the path is decoded, the query not yet"),
        pytest.param(b"http://host:1/p?q", "/p", "q", id="absolute form"),
        pytest.param(b"HTTPS://host", "/", "", id="absolute form without a path"),
        pytest.param(b"http://host?q=/", "/", "q=/", id="absolute form with a query only"),
        pytest.param(b"*", "*", "", id="OPTIONS *"),
        pytest.param(b"/a?b#c?d", "/a", "b", id="fragment"),
        pytest.param(b"//host/a", "//host/a", "", id="two slashes are a path"),
        pytest.param(b"/%zz", "/%zz", "", id="what is no escape stays"),
    ],
)
def test_target(raw: bytes, path: str, query: str):
    assert head.split_target(raw) == (raw.decode(), path, query)


@pytest.mark.parametrize("raw", [b"a/b", b"ftp://h/", b"", b"host:80", "/ü".encode()])
def test_bad_target_is_refused(raw: bytes):
    with pytest.raises(head.BadTarget):
        head.split_target(raw)

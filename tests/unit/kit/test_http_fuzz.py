"""Properties of the HTTP front: however bytes are cut or damaged, it answers or closes, never hangs, never says 500."""

import asyncio
import re
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.kit.http.limits import Limits
from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve

Loop = Callable[[], asyncio.AbstractEventLoop]

QUICK = Limits(head_timeout_s=0.1, idle_timeout_s=0.1, body_stall_s=0.1, half_closed_s=0.1, linger_s=0.05)
# For whole requests: the server, not a limit, decides when it has answered all. A busy machine stalls either side for a tenth of a second.
PATIENT = Limits(head_timeout_s=20, idle_timeout_s=20, body_stall_s=20, half_closed_s=20, linger_s=20)
GOOD = [
    b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
    b"POST /r HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    b"GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"DELETE /d HTTP/1.1\r\nHost: x\r\n\r\n",
]
SCRAPS = [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
          b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"HTTP/1.1", b"\xff\xfe", b"%", b"%00", b"#", b"\r\n folded"]
loops = st.sampled_from([asyncio.new_event_loop, uvloop.new_event_loop])
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


async def echo(request: Request) -> Response:
    return Response(200, [], f"{request.method} {request.path} ".encode() + await request.read(1 << 20))


def run(loop_factory: Loop, pieces: list[bytes], limits: Limits = QUICK) -> bytes:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(talk(pieces, limits))


async def talk(pieces: list[bytes], limits: Limits) -> bytes:
    async with serve(echo, limits=limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            async with asyncio.timeout(20):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                writer.write_eof()
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    text = b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 6))
        text = text[:at] + draw(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=4))) + text[at + length :]
    return text


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in zip(edges, edges[1:], strict=False)]


@quick
@given(loops, damaged(), st.lists(st.integers(0, 1000), max_size=5))
@pytest.mark.slow
def test_damaged_requests_are_answered_or_cut_off(loop: Loop, text: bytes, places: list[int]):
    received = run(loop, cut(text, places))
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert not re.search(rb"HTTP/1\.1 5(?!01|05)", received)


@quick
@given(loops, st.lists(st.sampled_from(GOOD), min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=12))
@pytest.mark.slow
def test_answers_do_not_depend_on_how_the_bytes_were_cut(loop: Loop, requests: list[bytes], places: list[int]):
    text = b"".join(requests)
    received = run(loop, cut(text, places), PATIENT)
    answers = re.findall(rb"(?:GET|POST|PUT|DELETE) /(\w)", received)
    assert answers == [re.match(rb"\w+ /(\w)", request).group(1) for request in requests]  # type: ignore[union-attr]


@quick
@given(loops, st.binary(max_size=300))
def test_noise_is_answered_or_cut_off(loop: Loop, noise: bytes):
    received = run(loop, [noise])
    assert received == b"" or re.match(rb"HTTP/1\.1 4|HTTP/1\.1 5(01|05)", received)

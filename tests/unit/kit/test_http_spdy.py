"""SPDY/3.1: frames survive any cut, sessions carry many streams, a hostile peer ends only its own session."""

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.http import spdy_frames as frames
from wherry.kit.http.byte_stream import PeerGone
from wherry.kit.http.spdy import STREAMS_MAX, UNREAD_BYTES_MAX, SpdySession, SpdyStream, StreamReset
from wherry.kit.http.spdy_frames import Control, Data, FrameReader, HeaderReader, HeaderWriter, Kind, Reset, SpdyBroken

DICTIONARY_CHECKSUM = 0xE3C6A7C2  # appears as the dictionary id in every SPDY/3 header block on the wire
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=10)
blocks = st.dictionaries(names, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=5)


class Pipe:
    """Two `Connection`s joined in memory; a small buffer so that back-pressure shows."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(8)
        self.other: Pipe
        self.is_closed = False

    async def read(self) -> bytes:
        return b"" if self.is_closed and self.queue.empty() else await self.queue.get()

    async def write(self, data: bytes) -> None:
        if self.is_closed or self.other.is_closed:
            raise PeerGone("closed")
        await self.other.queue.put(data)

    async def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            for pipe in (self, self.other):
                if pipe.queue.full():
                    pipe.queue.get_nowait()
                pipe.queue.put_nowait(b"")


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[SpdySession, SpdySession]]:
    one, two = Pipe(), Pipe()
    one.other, two.other = two, one
    client, server = SpdySession(one, is_client=True), SpdySession(two)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(session.run()) for session in (client, server)]
        yield client, server
        for task in running:
            task.cancel()


async def a_stream(client: SpdySession, server: SpdySession) -> tuple[SpdyStream, SpdyStream]:
    ours = await client.open({"streamType": "data"})
    theirs = await server.accept()
    assert theirs is not None
    await theirs.reply()
    await ours.replied()
    return ours, theirs


async def read_all(stream: SpdyStream) -> bytes:
    parts = []
    while part := await stream.read():
        parts.append(part)
    return b"".join(parts)


def test_dictionary_is_the_one_of_the_specification():
    assert zlib.adler32(frames.DICTIONARY) == DICTIONARY_CHECKSUM


@given(st.lists(blocks, min_size=1, max_size=5))
def test_header_blocks_come_back(headers: list[dict[str, str]]):
    writer, reader = HeaderWriter(), HeaderReader()
    assert [reader.read(writer.write(block)) for block in headers] == headers


@given(st.lists(st.tuples(st.integers(1, 99), st.binary(max_size=50), st.booleans()), max_size=8), st.integers(1, 30))
def test_frames_survive_any_cut(sent: list[tuple[int, bytes, bool]], size: int):
    text = b"".join(
        frames.data(number, payload, frames.FLAG_FIN if fin else 0) + frames.ping(number) for number, payload, fin in sent
    )
    reader = FrameReader()
    got = [frame for at in range(0, len(text), size) for frame in reader.feed(text[at : at + size])]
    assert [frame.number for frame in got if isinstance(frame, Control)] == [number for number, _, _ in sent]
    pieces = [frame for frame in got if isinstance(frame, Data)]
    assert b"".join(piece.payload for piece in pieces) == b"".join(payload for _, payload, _ in sent)
    assert sum(piece.is_last for piece in pieces) == sum(fin for _, _, fin in sent)


@given(st.binary(max_size=200))
def test_noise_is_frames_or_broken(noise: bytes):
    try:
        list(FrameReader().feed(noise))
    except SpdyBroken:
        pass


def test_header_bomb_is_refused():
    bomb = zlib.compressobj(zdict=frames.DICTIONARY)
    block = bomb.compress(bytes(50_000_000)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(SpdyBroken):
        HeaderReader().read(block)


async def test_bytes_pass_both_ways_and_halves_close_by_themselves():
    blob = os.urandom(300_000)
    async with joined() as (client, server):
        ours, theirs = await a_stream(client, server)
        assert theirs.headers == {"streamtype": "data"}
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_all(theirs))
            await ours.write(blob)
            await ours.finish()
        assert reading.result() == blob
        await theirs.write(b"still open")
        await theirs.finish()
        assert await read_all(ours) == b"still open"
        with pytest.raises(PeerGone):
            await ours.write(b"late")


async def test_reset_reaches_the_peer():
    async with joined() as (client, server):
        ours, theirs = await a_stream(client, server)
        await theirs.reset(Reset.CANCEL)
        assert await ours.read() == b""
        with pytest.raises(StreamReset):
            await ours.write(b"x")
        refused = await client.open({"a": "b"})
        offered = await server.accept()
        assert offered is not None
        await offered.reset(Reset.REFUSED_STREAM)
        with pytest.raises(StreamReset):
            await refused.replied()


async def test_unread_stream_stops_the_peer_and_reading_sets_it_free():
    async with joined() as (client, server):
        ours, theirs = await a_stream(client, server)
        blob = bytes(2 * UNREAD_BYTES_MAX + 500_000)

        async def push() -> None:
            await ours.write(blob)
            await ours.finish()

        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(push())
            while theirs.unread_bytes <= UNREAD_BYTES_MAX:
                await asyncio.sleep(0)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not pushing.done() and theirs.unread_bytes < 2 * UNREAD_BYTES_MAX
            assert len(await read_all(theirs)) == len(blob)


async def test_abandoned_stream_does_not_hold_up_the_others():
    async with joined() as (client, server):
        ours, theirs = await a_stream(client, server)
        theirs.stop_reading()
        await ours.write(bytes(3 * UNREAD_BYTES_MAX))
        other, other_there = await a_stream(client, server)
        await other.write(b"x")
        assert await other_there.read() == b"x"


async def test_end_of_the_session_ends_every_stream():
    async with joined() as (client, server):
        ours, theirs = await a_stream(client, server)
        await client.close()
        assert await theirs.read() == b"" and await server.accept() is None
        with pytest.raises(PeerGone):
            await theirs.write(b"x")
        waiting = SpdyStream(client, 99, {})
        waiting.end_reading()
        with pytest.raises(PeerGone):
            await waiting.replied()


async def frames_sent_to(*received: bytes) -> list[Control | Data]:
    """What a server session says to these bytes."""
    ours, theirs = Pipe(), Pipe()
    ours.other, theirs.other = theirs, ours
    theirs.queue = asyncio.Queue()
    ours.queue = asyncio.Queue()
    for data in received:
        await ours.write(data)
    ours.is_closed = True
    theirs.queue.put_nowait(b"")
    ours.is_closed = False
    session = SpdySession(theirs)
    async with asyncio.timeout(10):
        await session.run()
    said = b"".join(ours.queue.get_nowait() for _ in range(ours.queue.qsize()))
    return list(FrameReader().feed(said))


async def test_ping_is_echoed():
    (frame,) = await frames_sent_to(frames.ping(7), frames.ping(8))
    assert isinstance(frame, Control) and (frame.kind, frame.number) == (Kind.PING, 7)


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"\x80\x02" + frames.ping(1)[2:], id="version 2"),
        pytest.param(frames.syn_stream(1, b"not zlib"), id="headers that are not compressed"),
        pytest.param(frames.syn_stream(2, HeaderWriter().write({})), id="id of the wrong parity"),
        pytest.param(frames.control(Kind.PING, b"1"), id="short ping"),
        pytest.param(frames.control(Kind.SYN_STREAM, b"")[:5] + b"\xff\xff\xff", id="control frame too long"),
    ],
)
async def test_broken_session_says_goodbye(received: bytes):
    *_, last = await frames_sent_to(received)
    assert isinstance(last, Control) and last.kind == Kind.GOAWAY and last.body[-1] == Reset.PROTOCOL_ERROR


async def test_repeated_stream_id_ends_the_session():
    writer = HeaderWriter()
    *_, last = await frames_sent_to(*(frames.syn_stream(1, writer.write({})) for _ in range(2)))
    assert isinstance(last, Control) and last.kind == Kind.GOAWAY


async def test_too_many_streams_are_refused():
    writer = HeaderWriter()
    opening = b"".join(frames.syn_stream(1 + 2 * n, writer.write({"a": "b"})) for n in range(STREAMS_MAX + 1))
    (refused,) = await frames_sent_to(opening)
    assert isinstance(refused, Control) and refused.kind == Kind.RST_STREAM and refused.number == 2 * STREAMS_MAX + 1

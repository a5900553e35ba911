"""Streamed answers as they are handed to the connection."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from wherry.kit.http import answering
from wherry.kit.http.message import Response


@dataclass
class Sink:
    """A connection that takes everything at once, and remembers when."""

    turns: list[int] = field(default_factory=lambda: [0])
    written: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.written.append((self.turns[0], data))

    async def drain(self) -> None:
        pass

    def begin_stream(self, *, is_endless: bool) -> None:
        pass


@dataclass
class Terms:
    is_head: bool = False
    is_old: bool = False
    keep_alive: bool = True


async def test_a_large_part_is_written_in_pieces_between_which_others_have_their_turn() -> None:
    large, small = os.urandom(1_000_000), b"small"
    sink, is_over = Sink(), asyncio.Event()

    async def others() -> None:
        while not is_over.is_set():
            sink.turns[0] += 1
            await asyncio.sleep(0)

    async def parts() -> AsyncIterator[bytes]:
        yield large
        yield small

    counting = asyncio.create_task(others())
    await answering.send_parts(sink, Terms(), Response(200, [], parts()))
    is_over.set()
    await counting
    chunks = [(turn, data) for turn, data in sink.written[1:]]
    assert all(len(data) <= answering.PIECE_BYTES_MAX + 16 for _, data in chunks)
    assert len({turn for turn, data in chunks if len(data) > answering.PIECE_BYTES_MAX}) == len(large) // answering.PIECE_BYTES_MAX
    body = b"".join(data for _, data in chunks)
    assert unchunked(body) == large + small


def unchunked(body: bytes) -> bytes:
    out, at = b"", 0
    while found := re.match(rb"([0-9a-f]+)\r\n", body[at : at + 16]):
        size, begin = int(found[1], 16), at + found.end()
        out, at = out + body[begin : begin + size], begin + size + 2
    return out

"""How a call reaches an API server: the seam between `Client` and a socket or a function.

In:    one `Call`.
Out:   one `Reply`, or a `Stream` of bytes for watches and logs.
Never: interprets a Status: 4xx and 5xx are replies like any other.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `silence_s` bounds how long a stream may say nothing, 0 for ever."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """The begin of an answer and the iterator over the rest."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """A way to one API server as one user. Raises `client.errors.Unreachable` when there is no answer."""

    async def send(self, call: Call) -> Reply:
        """Do the call and return its whole answer, within `REQUEST_TIMEOUT_S`."""

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        """Do the call and hand out its body part by part; leaving the block ends the call."""

    async def close(self) -> None:
        """Give connections back. Idempotent."""


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    """All of a stream, for error bodies."""
    return b"".join([chunk async for chunk in chunks])

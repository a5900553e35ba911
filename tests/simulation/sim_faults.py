"""The wire between a component and the API server, with faults by dice.

Faults: refused before anything happened (429, 500, 503, 409); the answer lost after the server did it; a slow answer; a watch that
drops or lags behind; a server that is away; a caller that has stopped, after which nothing of it reaches the server.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from wherry.kit.http.message import Request, Response, Upgrade
from wherry.orchestration.client.errors import Unreachable
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.client.transport import Call, Reply, Stream

REFUSALS = ((503, "ServiceUnavailable"), (500, "InternalError"), (429, "TooManyRequests"), (409, "Conflict"))


@dataclass(slots=True)
class Odds:
    """How likely each fault of one call is; all zero when the world heals."""

    refused: float = 0.02
    lost: float = 0.02
    slow: float = 0.05
    slow_s_max: float = 3.0
    dropped: float = 0.01  # of a watch, at each piece it gets
    late: float = 0.1

    def heal(self) -> None:
        """No faults from now on."""
        self.refused = self.lost = self.slow = self.dropped = self.late = 0.0


@dataclass(slots=True)
class Front:
    """Where the API server listens: calls of one life end with it."""

    handler: Callable[[Request], object] | None = None
    calls: "set[asyncio.Task[object]]" = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # of this life; the next one has another

    def close(self) -> None:
        """The server is gone, and every connection with it."""
        self.handler = None
        for call in [*self.calls]:
            call.cancel()
        self.ended.set()
        self.ended = asyncio.Event()

    async def handle(self, request: Request) -> Response | Upgrade:
        if self.handler is None:
            raise Unreachable("connection refused")
        task = asyncio.ensure_future(self.handler(request))  # type: ignore[arg-type]
        self.calls.add(task)
        try:
            return await task  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if task.cancelled() and self.handler is None:
                raise Unreachable("connection reset by peer") from None
            raise
        finally:
            self.calls.discard(task)
            task.cancel()


@dataclass(slots=True)
class Wire:
    """A `Transport` of one component as one user. `cut`: the component has stopped."""

    front: Front
    user: object
    dice: random.Random
    odds: Odds
    acknowledged: Callable[[Call, Reply], None]
    lost: Callable[[Call], None]
    cut: bool = False

    async def send(self, call: Call) -> Reply:
        self._must_be_whole()
        inner = LocalTransport(self.front.handle, self.user)
        if self.dice.random() < self.odds.refused:
            code, reason = self.dice.choice(REFUSALS)
            return Reply(code, {"content-type": "application/json"}, orjson.dumps({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "dice"}))
        if self.dice.random() < self.odds.slow:
            await asyncio.sleep(self.dice.uniform(0, self.odds.slow_s_max))
            self._must_be_whole()
        try:
            reply = await inner.send(call)
        except Unreachable:
            self.lost(call)
            raise
        self._must_be_whole()
        if self.dice.random() < self.odds.lost:
            self.lost(call)
            raise Unreachable("connection reset by peer")
        self.acknowledged(call, reply)
        return reply

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        self._must_be_whole()
        async with LocalTransport(self.front.handle, self.user).stream(call) as stream:
            yield Stream(stream.status, stream.headers, self._pieces(stream.chunks))

    async def close(self) -> None:
        """Nothing is held."""

    async def _pieces(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        ended = asyncio.ensure_future(self.front.ended.wait())
        try:
            while (chunk := await self._next(chunks, ended)) is not None:
                self._must_be_whole()
                if self.dice.random() < self.odds.dropped:
                    raise Unreachable("connection reset by peer")
                if self.dice.random() < self.odds.late:
                    await asyncio.sleep(self.dice.uniform(0, self.odds.slow_s_max))
                yield chunk
        finally:
            ended.cancel()

    @staticmethod
    async def _next(chunks: AsyncIterator[bytes], ended: "asyncio.Future[object]") -> bytes | None:
        """The next piece, None at the end. The server's end is the stream's."""

        async def piece() -> bytes | None:
            return await anext(chunks, None)

        coming = asyncio.ensure_future(piece())
        try:
            await asyncio.wait((coming, ended), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise Unreachable("connection reset by peer")
            return coming.result()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _must_be_whole(self) -> None:
        if self.cut:
            raise Unreachable("this component has stopped")

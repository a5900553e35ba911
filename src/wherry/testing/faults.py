"""A way to an API server that breaks as it is told: a test's script says of each call what goes wrong, the rest is the server's.

    faults = Faults(first(2, CONFLICT, lambda call: call.method == "PATCH"))
    client = Client(FaultyTransport(LocalTransport(api.server.handle, ADMIN), faults))

In:    calls, and a script that is asked once for each of them.
Out:   the server's answers but where the script has another fate for them; `Faults.calls` lists all that was asked.
Never: makes answers up that are not failures.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from wherry.orchestration.client.errors import Unreachable
from wherry.orchestration.client.transport import Call, Reply, Stream, Transport


@dataclass(frozen=True, slots=True)
class Refused:
    """A Status instead of what was asked for; nothing is done. A watch gets 410 as its first event."""

    code: int
    reason: str
    message: str = "no"
    retry_after_s: int = 0  # the header; 0: none

    @property
    def headers(self) -> dict[str, str]:
        retry = {"retry-after": str(self.retry_after_s)} if self.retry_after_s else {}
        return {"content-type": "application/json", **retry}

    @property
    def status(self) -> bytes:
        return orjson.dumps({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": self.message, "reason": self.reason,
            "code": self.code})  # fmt: skip


@dataclass(frozen=True, slots=True)
class LostBefore:
    """The call does not arrive, and there is no answer."""


@dataclass(frozen=True, slots=True)
class LostAfter:
    """The call is done, and its answer does not arrive; or `instead` does, as from a proxy between the two."""

    instead: Refused | None = None


@dataclass(frozen=True, slots=True)
class SlowCall:
    """The call arrives this much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SlowAnswer:
    """The call is done at once, its answer (of a watch: its begin) comes this much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ends:
    """A watch ends after so many events; `in_the_middle`: of the text of the next one."""

    after_events: int = 0
    in_the_middle: bool = False


Fault = Refused | LostBefore | LostAfter | SlowCall | SlowAnswer | Ends
Script = Callable[[Call], Fault | None]

CONFLICT = Refused(409, "Conflict", "the object has been modified")
GONE = Refused(410, "Expired", "too old resource version")
TOO_MANY = Refused(429, "TooManyRequests", "slow down", retry_after_s=1)
BROKEN = Refused(500, "InternalError", "lost")
UNAVAILABLE = Refused(503, "ServiceUnavailable", "down")


def nothing(_: Call) -> None:
    """All goes well."""


def always(fault: Fault, matches: Callable[[Call], bool] = lambda _: True) -> Script:
    """Every call that matches."""
    return lambda call: fault if matches(call) else None


def first(count: int, fault: Fault, matches: Callable[[Call], bool] = lambda _: True) -> Script:
    """The first `count` calls that match."""
    left = count

    def script(call: Call) -> Fault | None:
        nonlocal left
        if not left or not matches(call):
            return None
        left -= 1
        return fault

    return script


def is_watch(call: Call) -> bool:
    """True for the begin of a watch."""
    return ("watch", "true") in call.query


@dataclass(slots=True)
class Faults:
    """What goes wrong from now on, for every transport that shares it, and what was asked."""

    script: Script = nothing
    calls: list[Call] = field(default_factory=list)

    def of(self, call: Call) -> Fault | None:
        """Note the call, and ask the script."""
        self.calls.append(call)
        return self.script(call)


@dataclass(frozen=True, slots=True)
class FaultyTransport:
    """A `client.transport.Transport` over another."""

    inner: Transport
    faults: Faults

    async def send(self, call: Call) -> Reply:
        fault = self.faults.of(call)
        if isinstance(fault, Refused):
            return Reply(fault.code, fault.headers, fault.status)
        if isinstance(fault, LostBefore):
            raise Unreachable(f"{call.method} {call.path}: connection refused")
        if isinstance(fault, SlowCall):
            await asyncio.sleep(fault.seconds)
        reply = await self.inner.send(call)
        if isinstance(fault, SlowAnswer):
            await asyncio.sleep(fault.seconds)
        if isinstance(fault, LostAfter):
            if fault.instead is None:
                raise Unreachable(f"{call.method} {call.path}: connection reset by peer")
            return Reply(fault.instead.code, fault.instead.headers, fault.instead.status)
        assert not isinstance(fault, Ends), f"{call.method} {call.path} is answered whole, it has no events to end after"
        return reply

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        fault = self.faults.of(call)
        if isinstance(fault, Refused):
            yield _refused(call, fault)
            return
        if isinstance(fault, LostBefore):
            raise Unreachable(f"{call.method} {call.path}: connection refused")
        if isinstance(fault, SlowCall):
            await asyncio.sleep(fault.seconds)
        async with self.inner.stream(call) as stream:
            if isinstance(fault, SlowAnswer):
                await asyncio.sleep(fault.seconds)
            if isinstance(fault, LostAfter):
                raise Unreachable(f"{call.method} {call.path}: connection reset by peer")
            chunks = _until_the_end(stream.chunks, fault) if isinstance(fault, Ends) else stream.chunks
            yield Stream(stream.status, stream.headers, chunks)

    async def close(self) -> None:
        """Give the inner transport's connections back."""
        await self.inner.close()


def _refused(call: Call, fault: Refused) -> Stream:
    if fault.code == GONE.code and is_watch(call):  # the server begins the answer before it looks at its history
        return Stream(200, fault.headers, _once(b'{"type":"ERROR","object":' + fault.status + b"}\n"))
    return Stream(fault.code, fault.headers, _once(fault.status))


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def _until_the_end(chunks: AsyncIterator[bytes], end: Ends) -> AsyncIterator[bytes]:
    left = end.after_events
    if not left and not end.in_the_middle:
        return
    async for chunk in chunks:
        for line in chunk.splitlines(keepends=True):
            if not left:  # in the middle, or this would have been the end
                yield line[: len(line) // 2]
                return
            yield line
            left -= 1
            if not left and not end.in_the_middle:
                return

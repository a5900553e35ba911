"""Calls to an API server in this process: the same requests and answers as over HTTP, without a socket.

In:    the server's handler and the identity the calls carry (it skips authentication, not authorization).
Out:   `transport.Transport`.
Never: shares an object with the server: both sides see bytes only.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlencode

from wherry.kit.http.message import Handler, Request, Response
from wherry.orchestration.client.errors import Unreachable
from wherry.orchestration.client.transport import REQUEST_TIMEOUT_S, Call, Reply, Stream


class LocalTransport:
    """Calls `handler` as `user` (an `apiserver.user.User`)."""

    def __init__(self, handler: Handler, user: object) -> None:
        self._handler = handler
        self._user = user

    async def send(self, call: Call) -> Reply:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                response = await self._answer(call)
                return Reply(response.status, dict(response.headers), await _whole(response))
        except TimeoutError as error:
            raise Unreachable(f"{call.method} {call.path}: no answer in {REQUEST_TIMEOUT_S:.0f} s") from error

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        response = await self._answer(call)
        chunks = _chunks(response)
        try:
            yield Stream(response.status, dict(response.headers), chunks)
        finally:
            await _close(chunks)
            await _close(response.body)

    async def close(self) -> None:
        """Nothing is held."""

    async def _answer(self, call: Call) -> Response:
        query: dict[str, list[str]] = {}
        for name, value in call.query:
            query.setdefault(name, []).append(value)
        target = quote(call.path) + (f"?{urlencode(call.query)}" if call.query else "")
        request = Request(
            method=call.method,
            path=call.path,
            raw_target=target,
            query=query,
            headers={"content-length": str(len(call.body)), **call.headers},
            body=call.body,
            remote_address="127.0.0.1",
            identity=self._user,
        )
        response = await self._handler(request)
        if not isinstance(response, Response):
            raise Unreachable(f"{call.method} {call.path}: the server upgraded the connection, which only a socket can do")
        return response


async def _chunks(response: Response) -> AsyncIterator[bytes]:
    if isinstance(response.body, bytes):
        yield response.body
    elif isinstance(response.body, AsyncIterator):
        async for chunk in response.body:
            yield chunk
    else:
        for chunk in response.body:
            yield chunk


async def _whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in _chunks(response)])


async def _close(body: object) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()

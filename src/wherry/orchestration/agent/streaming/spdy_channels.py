"""Remote command over SPDY: one stream each for error, stdin, stdout, stderr and terminal sizes.

In:    a running `SpdySession`, the protocol version, the streams wanted. The client opens the streams.
Out:   the `Channels` protocol.
Spec:  k8s.io/apimachinery util/remotecommand; stream header `streamType`. v1 and v2: no sizes; before v4 the error stream
       carries text.
"""

import asyncio

from wherry.kit.errors import TimedOut
from wherry.kit.http.spdy import SpdySession, SpdyStream
from wherry.kit.http.spdy_frames import Reset
from wherry.orchestration.agent.streaming import outcome
from wherry.orchestration.agent.streaming.outcome import Status
from wherry.orchestration.agent.streaming.protocols import Wanted

OPENING_TIMEOUT_S = 30.0  # upstream's DefaultStreamCreationTimeout
_WITH_SIZES = ("v4.channel.k8s.io", "v3.channel.k8s.io")


class StreamsMissing(TimedOut):
    """The client did not open all the streams it asked for."""


class SpdyChannels:
    """See the module docstring. Call `opened` before anything but `run`."""

    def __init__(self, session: SpdySession, version: str, wanted: Wanted) -> None:
        self._session = session
        self._has_json_status = version == "v4.channel.k8s.io"
        names = {"error": True, "stdin": wanted.stdin, "stdout": wanted.stdout, "stderr": wanted.stderr}
        names["resize"] = wanted.tty and version in _WITH_SIZES
        self._expected = {name for name, is_wanted in names.items() if is_wanted}
        self._streams: dict[str, SpdyStream] = {}

    async def run(self) -> None:
        await self._session.run()

    async def opened(self) -> None:
        """Wait until the client has opened its streams. Raises `StreamsMissing`, or `ConnectionError` if it left."""
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_S):
                while self._expected - set(self._streams):
                    await self._take_one()
        except TimeoutError:
            raise StreamsMissing("timed out waiting for client to create streams") from None

    async def read_stdin(self) -> bytes:
        return await self._read("stdin")

    async def read_size(self) -> bytes:
        return await self._read("resize")

    async def send(self, stream: str, data: bytes) -> None:
        if target := self._streams.get(stream):
            await target.write(data)

    async def finish(self, status: Status) -> None:
        text = outcome.encoded(status, as_json=self._has_json_status)
        for name in ("stdout", "stderr"):
            if stream := self._streams.get(name):
                await stream.finish()
        if error := self._streams.get("error"):
            try:
                await error.write(text)
            except ConnectionError:
                pass  # the client no longer cares
            await error.finish()
        await self._session.close()

    async def _take_one(self) -> None:
        stream = await self._session.accept()
        if stream is None:
            raise ConnectionResetError("client left before it opened its streams")
        kind = stream.headers.get("streamtype", "")
        if kind not in self._expected or kind in self._streams:
            await stream.reset(Reset.REFUSED_STREAM)
            return
        self._streams[kind] = stream
        await stream.reply()

    async def _read(self, name: str) -> bytes:
        stream = self._streams.get(name)
        return await stream.read() if stream is not None else b""

"""Remote command over WebSocket: the first byte of a message says which channel it is for.

In:    a `WebSocket` whose subprotocol was agreed, the streams wanted.
Out:   the `Channels` protocol.
Spec:  channels 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize; from v5 on [255, channel] ends a channel (KEP-4006).
       In the base64 variants messages are text: the channel as a digit, then base64.
"""

import base64
import binascii

from wherry.kit.http.websocket import CLOSE_PROTOCOL_ERROR, WebSocket
from wherry.orchestration.agent.streaming import outcome
from wherry.orchestration.agent.streaming.channels import Inbox
from wherry.orchestration.agent.streaming.outcome import Status
from wherry.orchestration.agent.streaming.protocols import Wanted

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255


class WebSocketChannels:
    """See the module docstring."""

    def __init__(self, socket: WebSocket, wanted: Wanted) -> None:
        self._socket = socket
        self._is_base64 = "base64" in socket.subprotocol
        self._knows_close = socket.subprotocol.startswith("v5.")
        self._has_json_status = socket.subprotocol.startswith(("v4.", "v5."))
        self._channel_of = {
            name: number
            for name, number, is_wanted in (("stdout", _STDOUT, wanted.stdout), ("stderr", _STDERR, wanted.stderr))
            if is_wanted
        }
        self._stdin = Inbox()
        self._sizes = Inbox()

    async def run(self) -> None:
        try:
            # Upstream's greeting: an empty message on the lowest channel that will be written.
            await self._write(min(self._channel_of.values(), default=_ERROR), b"")
            while (message := await self._socket.receive()) is not None:
                if not await self._take(message):
                    await self._socket.close(CLOSE_PROTOCOL_ERROR, "malformed channel message")
                    return
        except ConnectionError:
            return
        finally:
            await self._stdin.end()
            await self._sizes.end()

    async def read_stdin(self) -> bytes:
        return await self._stdin.get()

    async def read_size(self) -> bytes:
        return await self._sizes.get()

    async def send(self, stream: str, data: bytes) -> None:
        channel = self._channel_of.get(stream)
        if channel is not None and data:
            await self._write(channel, data)

    async def finish(self, status: Status) -> None:
        text = outcome.encoded(status, as_json=self._has_json_status)
        try:
            if text:
                await self._write(_ERROR, text)
            await self._socket.close()
        except ConnectionError:
            return

    async def _take(self, message: bytes | str) -> bool:
        """Sort one message in. False when it is malformed. Empty ones and unknown channels are ignored."""
        if not message:
            return True
        if self._is_base64:
            try:
                channel, data = int(message[:1]), base64.b64decode(message[1:], validate=True)
            except (binascii.Error, ValueError):
                return False
        else:
            raw = message.encode() if isinstance(message, str) else message  # some clients send input as text
            channel, data = raw[0], raw[1:]
        if channel == _CLOSE and self._knows_close:
            if data == bytes([_STDIN]):
                await self._stdin.end()
            return len(data) == 1
        if channel == _STDIN:
            await self._stdin.put(data)
        elif channel == _RESIZE:
            await self._sizes.put(data)
        return True

    async def _write(self, channel: int, data: bytes) -> None:
        if self._is_base64:
            await self._socket.send(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send(bytes([channel]) + data)

"""exec and attach as the node serves them: a client's channels joined with a `Session` of the container engine.

In:    a request with stdin/stdout/stderr/tty (or the kubelet's input/output/error/tty), a way to open the session.
Out:   an `Upgrade` to WebSocket (v5, v4, v1, their base64 forms) or SPDY/3.1 (v4 to v1), or a refusal.
Spec:  KEP-4006; kubelet and CRI streaming remotecommand.
Order: all output, then the status on the error stream, then the close: `kubectl cp` relies on it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from wherry.container.runtime.engine import Session
from wherry.kit.errors import WherryError
from wherry.kit.http import answering, websocket
from wherry.kit.http.message import Connection, Request, Response, Upgrade
from wherry.kit.http.spdy import SpdySession
from wherry.kit.http.websocket import WebSocket
from wherry.orchestration.agent.streaming import outcome, protocols
from wherry.orchestration.agent.streaming.channels import Channels
from wherry.orchestration.agent.streaming.protocols import Wanted
from wherry.orchestration.agent.streaming.spdy_channels import SpdyChannels, StreamsMissing
from wherry.orchestration.agent.streaming.websocket_channels import WebSocketChannels

LEFT_GRACE_S = 1.0  # after the client left or its input ended, time for the process to end by itself
SIDE_MAX = 1 << 16  # columns or rows; a terminal's size has 16 bits

OpenSession = Callable[[], Awaitable[Session]]


@dataclass(frozen=True, slots=True)
class CommandCall:
    """How to get the session, and whether the end of the input is its end."""

    open_session: OpenSession
    ends_with_input: bool


def remote_command(
    request: Request, open_session: OpenSession, *, ends_with_input: bool = False
) -> Upgrade | Response:
    """Agree to an exec or attach. `open_session` is awaited once the streams stand; its error goes to the client.

    `ends_with_input`: a caller that sends input has had enough at its end, whether or not the process ends (success).
    """
    wanted = protocols.wanted(request)
    if isinstance(wanted, Response):
        return wanted
    call = CommandCall(open_session, ends_with_input=ends_with_input and wanted.stdin)
    if websocket.is_asked_for(request):
        return websocket.accept(
            request, protocols.WEBSOCKET_COMMAND_VERSIONS, lambda socket: _over_websocket(socket, wanted, call)
        )
    if not protocols.asks_for_spdy(request):
        return answering.plain(400, protocols.NOT_AN_UPGRADE)
    version = protocols.choose(request, protocols.SPDY_COMMAND_VERSIONS, if_none="")
    if isinstance(version, Response):
        return version

    async def run(connection: Connection) -> None:
        await _over_spdy(connection, version, wanted, call)

    return Upgrade(protocols.switch_headers(version), run)


async def _over_websocket(socket: WebSocket, wanted: Wanted, call: CommandCall) -> None:
    channels = WebSocketChannels(socket, wanted)
    async with asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(channels.run(), name="command input")
        await _serve(channels, receiving, call)
        receiving.cancel()


async def _over_spdy(connection: Connection, version: str, wanted: Wanted, call: CommandCall) -> None:
    session = SpdySession(connection)
    channels = SpdyChannels(session, version, wanted)
    async with asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(channels.run(), name="command input")
        try:
            await channels.opened()
            await _serve(channels, receiving, call)
        except StreamsMissing as error:
            await channels.finish(outcome.of_error(error))
        except ConnectionError:
            pass  # the client left before it began
        receiving.cancel()


async def _serve(channels: Channels, receiving: asyncio.Task[None], call: CommandCall) -> None:
    try:
        session = await call.open_session()
    except (WherryError, OSError) as error:
        await channels.finish(outcome.of_error(error))
        return
    try:
        code = await _joined(channels, session, receiving, ends_with_input=call.ends_with_input)
    except (WherryError, OSError) as error:
        await channels.finish(outcome.of_error(error))
    else:
        await channels.finish(outcome.of_exit_code(code))
    finally:
        await session.close()


async def _joined(
    channels: Channels, session: Session, receiving: asyncio.Task[None], *, ends_with_input: bool
) -> int:
    """Move everything until the process ends; return its exit code, 0 when the client had enough before."""
    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(_feed_stdin(channels, session), name="command stdin")
        running = tasks.create_task(_until_exit(channels, session), name="command output")
        sizing = tasks.create_task(_follow_size(channels, session), name="command terminal")
        leaving = tasks.create_task(_end_when_left(session, receiving), name="command client")
        enough = [running, leaving, feeding] if ends_with_input else [running, leaving]
        await asyncio.wait(enough, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():  # an attached container may outlive its client: nobody waits for its exit then
            await asyncio.wait([running], timeout=LEFT_GRACE_S)
        is_over = running.done()
        for task in (running, feeding, sizing, leaving):
            task.cancel()
    outcome_of_run = running.result() if is_over else 0
    if isinstance(outcome_of_run, int):
        return outcome_of_run
    raise outcome_of_run


async def _until_exit(channels: Channels, session: Session) -> int | WherryError | OSError:
    """All output, then the exit code; an error is returned, for the caller's task group must not fail by it."""
    try:
        await _send_output(channels, session)
        return await session.wait()
    except (WherryError, OSError) as error:
        return error


async def _send_output(channels: Channels, session: Session) -> None:
    output = session.output()
    try:
        async for stream, data in output:
            await channels.send(stream, data)
    finally:
        close = getattr(output, "aclose", None)
        if close is not None:
            await close()  # a client that left mid-way must not leave a generator to the garbage collector


async def _feed_stdin(channels: Channels, session: Session) -> None:
    """Input until its end. A process that no longer reads ends nothing: what follows is dropped."""
    is_taken = True
    while data := await channels.read_stdin():
        if is_taken:
            try:
                await session.write_stdin(data)
            except (WherryError, OSError, RuntimeError):  # RuntimeError: uvloop's, for a write to a closed pipe
                is_taken = False
    try:
        await session.close_stdin()
    except (WherryError, OSError, RuntimeError):
        return


async def _follow_size(channels: Channels, session: Session) -> None:
    # A stream cuts anywhere: sizes come as JSON objects one after the other.
    text = b""
    while data := await channels.read_size():
        text += data
        while b"}" in text:
            document, _, text = text.partition(b"}")
            if size := parse_size(document + b"}"):
                try:
                    await session.resize(*size)
                except (WherryError, OSError):
                    return


def parse_size(document: bytes) -> tuple[int, int] | None:
    """(width, height) of `{"Width":80,"Height":24}`; None for anything else."""
    try:
        size = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(size, dict):
        return None
    width, height = size.get("Width"), size.get("Height")
    if not isinstance(width, int) or not isinstance(height, int):
        return None
    return (width, height) if 0 < width < SIDE_MAX and 0 < height < SIDE_MAX else None


async def _end_when_left(session: Session, receiving: asyncio.Task[None]) -> None:
    """A client that went away has no use for the process: it gets the end of its input, then is let go."""
    await asyncio.wait([receiving])
    await asyncio.sleep(LEFT_GRACE_S)
    await session.close()

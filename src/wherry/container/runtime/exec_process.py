"""Start a further process in a running container, by pipes or on a terminal, and collect one to its end.

In:    the bundle of a running container, a command.
Out:   an `ExecSession`; `ExecResult` for probes and hooks.
With a terminal the runtime sends us the master side over a unix socket (`--console-socket`), so that the size is set by
ioctl and no process stands between.
"""

import array
import asyncio
import itertools
import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL

from wherry.container.runtime import container_parts, oci_spec
from wherry.container.runtime.engine import ExecResult
from wherry.container.runtime.oci_runtime import OciRuntime
from wherry.container.runtime.sessions import ExecSession, Output
from wherry.kit import process
from wherry.kit.errors import Invalid, TimedOut

OUTPUT_BYTES_MAX = 16 << 20
DRAIN_S = 0.5  # a child of the command may hold the pipes open; its output does not count after this
CONSOLE_TIMEOUT_S = 30.0
_numbers = itertools.count()


async def start(
    runtime: OciRuntime, bundle: Path, container_id: str, argv: tuple[str, ...], *, tty: bool, stdin: bool
) -> ExecSession:
    """Start it. A command that cannot be run ends with code 126 or 127 and says why on stderr."""
    if not argv:
        raise Invalid("no command to execute")
    name = f"exec-{os.getpid()}-{next(_numbers)}"
    spec_file, pid_file = bundle / f"{name}.json", bundle / f"{name}.pid"
    document = oci_spec.process_for_exec(container_parts.read_spec(bundle), argv, tty=tty)
    spec_file.write_text(json.dumps(document), encoding="utf-8")
    words = ("exec", "--process", str(spec_file), "--pid-file", str(pid_file))
    files = (pid_file, spec_file)
    if tty:
        return await _on_terminal(runtime, bundle / f"{name}.s", files, words, container_id, stdin=stdin)
    return await _by_pipes(runtime, files, words, container_id, stdin=stdin)


async def collect(session: ExecSession, command: str, timeout_s: float) -> ExecResult:
    """Read all output and the exit code. Raise `TimedOut` after killing it; 0 is no limit."""
    streams = {"stdout": bytearray(), "stderr": bytearray()}

    async def read() -> None:
        async for name, data in session.output():
            room = OUTPUT_BYTES_MAX - len(streams[name])
            streams[name] += data[: max(room, 0)]

    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(), name="output")
            code = await _wait(session, command, timeout_s)
            await asyncio.wait((reading,), timeout=DRAIN_S)
            reading.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        await session.close()
    return ExecResult(code, bytes(streams["stdout"]), bytes(streams["stderr"]))


async def _wait(session: ExecSession, command: str, timeout_s: float) -> int:
    try:
        async with asyncio.timeout(timeout_s or None):
            return await session.wait()
    except TimeoutError as error:
        await session.kill()
        raise TimedOut(f"command {command[:200]!r} timed out after {timeout_s:g} s") from error


async def _by_pipes(
    runtime: OciRuntime, files: tuple[Path, Path], words: tuple[str, ...], container_id: str, *, stdin: bool
) -> ExecSession:
    with ExitStack() as stack:  # holds what must be closed here: the child's ends always, ours on failure
        ours = stack.enter_context(ExitStack())
        ends = [os.pipe() for _ in range(3 if stdin else 2)]
        for reader, writer in ends[:2]:
            stack.callback(os.close, writer)
            ours.callback(os.close, reader)
        child_stdin, our_stdin = ends[2] if stdin else (DEVNULL, -1)
        if stdin:
            stack.callback(os.close, child_stdin)
            ours.callback(os.close, our_stdin)
            os.set_blocking(our_stdin, False)
        child = process.start(
            runtime.argv(*words, container_id), stdin=child_stdin, stdout=ends[0][1], stderr=ends[1][1], new_session=True
        )
        ours.pop_all()
    output = Output({ends[0][0]: "stdout", ends[1][0]: "stderr"})
    return ExecSession(child, output, stdin=our_stdin, terminal=-1, files=files)


async def _on_terminal(
    runtime: OciRuntime, console: Path, files: tuple[Path, Path], words: tuple[str, ...], container_id: str, *, stdin: bool
) -> ExecSession:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.bind(str(console))
        try:
            listener.listen(1)
            listener.setblocking(False)
            reader, writer = os.pipe()
            try:
                child = process.start(
                    runtime.argv(*words, "--console-socket", str(console), container_id), stderr=writer, new_session=True
                )
            finally:
                os.close(writer)
            terminal = await _terminal_from(listener, child)
        finally:
            console.unlink(missing_ok=True)
    streams = {reader: "stdout"} if terminal < 0 else {reader: "stdout", os.dup(terminal): "stdout"}
    our_stdin = os.dup(terminal) if stdin and terminal >= 0 else -1
    return ExecSession(child, Output(streams), stdin=our_stdin, terminal=terminal, files=files)


async def _terminal_from(listener: socket.socket, child: process.Child) -> int:
    """The terminal's master side, or -1 when the runtime ended without sending one (it says why on stderr)."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        accepted = tasks.create_task(loop.sock_accept(listener), name="terminal accepted")
        ended = tasks.create_task(child.wait(), name="child ended")
        await asyncio.wait((accepted, ended), timeout=CONSOLE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not accepted.done():
            accepted.cancel()
        ended.cancel()
    if accepted.cancelled():
        return -1
    connection, _ = accepted.result()
    with connection:
        connection.setblocking(True)
        connection.settimeout(CONSOLE_TIMEOUT_S)
        _, ancillary, _, _ = await asyncio.to_thread(connection.recvmsg, 4096, socket.CMSG_SPACE(4))
    received = array.array("i")
    for _, _, data in ancillary:
        received.frombytes(data[:4])
    if not received:
        return -1
    os.set_blocking(received[0], False)
    return received[0]

"""conmon: one small process per container that holds its streams, writes its log and keeps its exit code.

In:    a bundle with config.json.
Out:   the container's and conmon's process ids; files in the bundle (`attach` socket, `ctl` fifo) and the exit folder.
Spec:  conmon(8) 2.1. Log lines are CRI's: `<RFC3339Nano> <stream> <P|F> <text>`.
conmon starts in a session and a cgroup of its own, so that nothing that ends this process ends it.
"""

import asyncio
import errno
import json
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.container.runtime.engine import ContainerConfig
from wherry.container.runtime.oci_runtime import OciRuntime, message_of
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import descriptors
from wherry.infrastructure.linux.cgroups import Cgroups
from wherry.kit import process
from wherry.kit.errors import Broken, Invalid, TimedOut

REPLY_BYTES_MAX = 1 << 20
CONTROL_RESIZE, CONTROL_REOPEN_LOG = 1, 2


@dataclass(frozen=True, slots=True)
class Created:
    """Process ids of a created container and of its conmon."""

    pid: int
    conmon_pid: int


class CreateRefused(Invalid):
    """The runtime did not create the container; the message is its own."""


def argv(settings: RuntimeSettings, runtime: OciRuntime, config: ContainerConfig) -> tuple[str, ...]:
    """conmon's command line for one container."""
    bundle = settings.bundle(config.id)
    program, *first = runtime.creation
    words = [
        settings.conmon, "--api-version", "1", "--cid", config.id, "--cuuid", config.id, "--name", config.name,
        "--runtime", program, "--bundle", str(bundle), "--persist-dir", str(bundle),
        "--container-pidfile", str(bundle / "pid"), "--conmon-pidfile", str(bundle / "conmon.pid"),
        "--exit-dir", str(settings.exit_dir), "--log-path", f"k8s-file:{config.log_path}", "--log-level", "error",
        "--full-attach", "--no-sync-log",
    ]  # fmt: skip
    for option in (*first, *runtime.options):
        words += ["--runtime-arg", option]
    if config.tty:
        words.append("--terminal")
    if config.stdin:
        words.append("--stdin")
        if not config.stdin_once:
            words.append("--leave-stdin-open")
    return tuple(words)


async def create(settings: RuntimeSettings, runtime: OciRuntime, cgroups: Cgroups, config: ContainerConfig) -> Created:
    """Start conmon, which has the runtime create the container. Raise `CreateRefused`, `TimedOut`."""
    bundle = settings.bundle(config.id)
    with ExitStack() as stack:
        reply_end, reply_child = _pipe(stack)
        start_child, start_end = _pipe(stack)
        pipes = {"_OCI_SYNCPIPE": str(reply_child.fileno()), "_OCI_STARTPIPE": str(start_child.fileno())}
        first = process.start(
            argv(settings, runtime, config), cwd=bundle, new_session=True,
            pass_fds=(reply_child.fileno(), start_child.fileno()), env={**os.environ, **pipes},
        )  # fmt: skip
        reply_child.close()
        # conmon waits for this byte before it forks, so that it is whole in its cgroup.
        cgroups.add_process(f"{settings.cgroup_root}/conmon", first.pid)
        start_end.write(b"\0")
        reply = await _reply(reply_end.fileno(), settings.command_timeout_s)
        await first.wait()  # it ends as soon as the lasting one is forked
    if reply.pid <= 0:
        raise CreateRefused(message_of(reply.message))
    try:
        return Created(reply.pid, int((bundle / "conmon.pid").read_text(encoding="ascii")))
    except (FileNotFoundError, ValueError) as error:
        raise CreateRefused(f"conmon has not written its pid into {str(bundle)!r}: is there space left?") from error


def end_creators(settings: RuntimeSettings, cgroups: Cgroups, container_id: str) -> None:
    """SIGKILL to a conmon, and its runtime, that still create a container for a process that is gone."""
    for pid in cgroups.processes(f"{settings.cgroup_root}/conmon"):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if container_id.encode() in words:
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


async def control(bundle: Path, kind: int, height: int = 0, width: int = 0) -> None:
    """Tell a running conmon to resize the terminal or to open its log anew. Nothing when it is gone."""
    try:
        descriptor = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise
    try:
        os.write(descriptor, f"{kind} {height} {width}\n".encode())
    finally:
        os.close(descriptor)


def exit_code(settings: RuntimeSettings, container_id: str) -> tuple[int, int] | None:
    """The exit code and when it was written (Unix nanoseconds), or None while there is none."""
    path = settings.exit_dir / container_id
    try:
        return int(path.read_text(encoding="ascii")), path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Broken(f"exit file {str(path)!r} holds no number: {error}") from error


@dataclass(frozen=True, slots=True)
class _Reply:
    pid: int
    message: str


def _pipe(stack: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    ends = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
    for end in ends:
        stack.enter_context(end)
    return ends


async def _reply(descriptor: int, timeout_s: float) -> _Reply:
    """conmon's one line about the creation; an empty one when it died before."""
    os.set_blocking(descriptor, False)
    text = b""
    try:
        async with asyncio.timeout(timeout_s):
            while b"\n" not in text and len(text) < REPLY_BYTES_MAX:
                await descriptors.readable(descriptor)
                piece = os.read(descriptor, 65536)
                if not piece:
                    break
                text += piece
    except TimeoutError as error:
        raise TimedOut(f"the container runtime did not create the container within {timeout_s:g} s") from error
    try:
        data = json.loads(text or b"{}")
        return _Reply(int(data.get("data", -1)), str(data.get("message", "conmon ended without a word")))
    except (ValueError, TypeError, AttributeError) as error:
        raise Broken(f"conmon answered {text[:200]!r}, which is not its protocol") from error

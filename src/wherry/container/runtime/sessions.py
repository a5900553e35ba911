"""Streams of running containers: exec (pipes or a terminal) and attach, as `engine.Session`.

In:    a started runtime process and our ends of its pipes, or conmon's attach socket.
Out:   bytes as they come; a slow reader stops the writer (at most `BUFFERED_BYTES_MAX` wait here).
Spec:  conmon's attach socket: SOCK_SEQPACKET, first byte of each packet 2 is stdout, 3 is stderr.
"""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import struct
import termios
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from wherry.container.runtime import conmon
from wherry.infrastructure.linux import descriptors, processes
from wherry.kit.process import Child

READ_BYTES = 1 << 16
BUFFERED_BYTES_MAX = 1 << 20
ATTACH_STREAMS = {2: "stdout", 3: "stderr"}
ATTACH_PACKET_BYTES = 8192  # conmon reads no more of one packet

Decode = Callable[[str, bytes], tuple[str, bytes]]


class Output:
    """Reads several descriptors into one bounded queue of (stream, bytes). Owns and closes them."""

    def __init__(self, streams: Mapping[int, str], decode: Decode = lambda name, data: (name, data)) -> None:
        self._open = dict(streams)
        self._decode = decode
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for descriptor in self._open:
            os.set_blocking(descriptor, False)
        self._resume()

    async def pieces(self) -> AsyncIterator[tuple[str, bytes]]:
        """What was read, until all descriptors are at their end."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting_bytes -= len(piece[1])
                if self._paused and self._waiting_bytes < BUFFERED_BYTES_MAX // 2:
                    self._resume()
                yield piece
            if not self._open:
                return
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Stop reading and close. Idempotent."""
        for descriptor in tuple(self._open):
            self._end(descriptor)

    def _resume(self) -> None:
        self._paused = False
        for descriptor in self._open:
            self._loop.add_reader(descriptor, self._read, descriptor)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ECONNRESET):  # EIO: the last process left the terminal
                raise
            data = b""
        if not data:
            self._end(descriptor)
            return
        self._pieces.append(self._decode(self._open[descriptor], data))
        self._waiting_bytes += len(data)
        self._changed.set()
        if self._waiting_bytes >= BUFFERED_BYTES_MAX:
            self._paused = True
            for other in self._open:
                self._loop.remove_reader(other)

    def _end(self, descriptor: int) -> None:
        if self._open.pop(descriptor, None) is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._changed.set()


class ExecSession:
    """A further process in a container. `terminal` is our side of its terminal, or -1; `files` go with it (pid, spec)."""

    def __init__(
        self, process: Child, output: Output, *, stdin: int, terminal: int, files: tuple[Path, Path]
    ) -> None:
        self._process = process
        self._output = output
        self._stdin = stdin
        self._terminal = terminal
        self._pid_file, self._spec_file = files

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        return self._output.pieces()

    async def write_stdin(self, data: bytes) -> None:
        if self._stdin >= 0:
            try:
                await descriptors.write_all(self._stdin, data)
            except (BrokenPipeError, OSError):
                await self.close_stdin()  # the process stopped reading; what it says and its exit code still count

    async def close_stdin(self) -> None:
        descriptor, self._stdin = self._stdin, -1
        if descriptor >= 0:
            if self._terminal >= 0:
                _end_of_terminal_input(descriptor)
            os.close(descriptor)

    async def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("=HHHH", height, width, 0, 0))

    async def wait(self) -> int:
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    async def close(self) -> None:
        await self.kill()
        descriptor, self._stdin = self._stdin, -1
        if descriptor >= 0:
            os.close(descriptor)
        terminal, self._terminal = self._terminal, -1
        if terminal >= 0:
            os.close(terminal)
        self._output.close()
        for file in (self._pid_file, self._spec_file):
            file.unlink(missing_ok=True)

    async def kill(self) -> None:
        """SIGKILL to the process, its group and the runtime that waits for it (which is of that group without a terminal)."""
        if self._process.returncode is not None:
            return
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            pid = 0
        for target in (*_with_group(pid), -self._process.pid):
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class AttachSession:
    """A container's own streams by conmon. Letting go leaves the container running."""

    def __init__(self, connection: socket.socket, bundle: Path, *, stdin: bool, ended: asyncio.Event) -> None:
        self._connection = connection
        self._bundle = bundle
        self._stdin = stdin
        self._ended = ended
        self._output = Output({os.dup(connection.fileno()): "stdout"}, _decode_packet)

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        return self._output.pieces()

    async def write_stdin(self, data: bytes) -> None:
        if self._stdin:
            try:
                await descriptors.write_all(self._connection.fileno(), data, ATTACH_PACKET_BYTES)
            except OSError:
                self._stdin = False  # the container ended; wait() tells

    async def close_stdin(self) -> None:
        if self._stdin:
            self._stdin = False
            try:
                self._connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise

    async def resize(self, width: int, height: int) -> None:
        await conmon.control(self._bundle, conmon.CONTROL_RESIZE, height, width)

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    async def close(self) -> None:
        self._output.close()
        self._connection.close()


def _with_group(pid: int) -> tuple[int, ...]:
    """kill(2) targets for a process and those that stayed in its group; the group's leader is the runtime's, long gone."""
    if pid <= 1 or processes.start_ticks(pid) is None:
        return ()
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:
        return ()
    return (pid,) if group == os.getpgrp() else (-group, pid)


def _decode_packet(_: str, data: bytes) -> tuple[str, bytes]:
    return ATTACH_STREAMS.get(data[0], "stdout"), data[1:]


def _end_of_terminal_input(descriptor: int) -> None:
    """A terminal has no end of file: send what the user would type (^D)."""
    try:
        os.write(descriptor, b"\x04")
    except OSError:
        pass

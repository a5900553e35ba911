"""Start a command without holding the loop up, or run one to its end with a time limit, leaving no child behind.

In:    argv (never a shell string), stdin bytes or descriptors, a limit in seconds.
Out:   `Child`, or the bytes of stdout, or `CommandFailed` with exit code and the tail of stderr.
Never: logs, retries.
Cost:  about 1 ms a start. uvloop's own start of a process forks the whole address space (7-10 ms in the node agent, all of
it on the loop); Popen uses vfork.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from subprocess import DEVNULL
from typing import IO

from wherry.kit.errors import TimedOut, WherryError

ERROR_TEXT_MAX = 2000
ARGV_TEXT_MAX = 120


class CommandFailed(WherryError):
    """A command ended with a code other than 0. `code` is negative for a signal."""

    def __init__(self, argv: Sequence[str], code: int, stderr: bytes) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr.decode(errors="replace").strip()[-ERROR_TEXT_MAX:]
        super().__init__(f"{argv[0]} ended with code {code}: {self.stderr or 'no message'}")


class CommandTimedOut(TimedOut, TimeoutError):
    """A command did not end within its limit and was killed."""

    def __init__(self, argv: Sequence[str], limit_s: float) -> None:
        self.argv = tuple(argv)
        super().__init__(f"{' '.join(argv)[:ARGV_TEXT_MAX]!r} did not end within its limit of {limit_s:g} s and was killed")


class Child:
    """A started process. It is reaped as soon as it ends, whether anybody waits or not."""

    def __init__(self, started: "subprocess.Popen[bytes]") -> None:
        self._started = started
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(started.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._started.returncode

    async def wait(self) -> int:
        """Return the exit code once it has ended. May be awaited by several, and cancelled."""
        await self._ended.wait()
        return self._started.returncode

    def kill(self) -> None:
        """SIGKILL; nothing when it has ended."""
        self._started.kill()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._started.wait()
        self._ended.set()


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] = DEVNULL,
    stderr: int | IO[bytes] = DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    new_session: bool = False,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start `argv`. Raises `OSError` when it cannot be executed. Its streams are files or descriptors, never pipes to here."""
    return Child(subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, start_new_session=new_session, pass_fds=tuple(pass_fds)
    ))  # fmt: skip


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> bytes:
    """Return what `argv` wrote to stdout. Raise `CommandFailed`, or `CommandTimedOut` (a `TimeoutError`) after killing it.

    What a process it leaves behind writes later is not waited for.
    """
    with _memory(stdin) as feed, _memory() as out, _memory() as err:
        child = start(argv, stdin=feed, stdout=out, stderr=err, env=env, cwd=cwd)
        try:
            async with asyncio.timeout(timeout_s):
                await child.wait()
        except TimeoutError as error:
            raise CommandTimedOut(argv, timeout_s) from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise CommandFailed(argv, child.returncode, _content(err))
        return _content(out)


@contextmanager
def _memory(content: bytes = b"") -> Iterator[int]:
    """A file in memory as a stream of a child: unlike a pipe it needs no reading while the child runs."""
    descriptor = os.memfd_create("stream", os.MFD_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read(size)

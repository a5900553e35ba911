"""Run a command to its end, with a time limit, leaving no child behind.

In:    argv (never a shell string), stdin bytes, a limit in seconds.
Out:   the bytes of stdout, or `CommandFailed` with exit code and the tail of stderr.
Never: logs, retries.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence

from wherry.kit.errors import WherryError

ERROR_TEXT_MAX = 2000


class CommandFailed(WherryError):
    """A command ended with a code other than 0. `code` is negative for a signal."""

    def __init__(self, argv: Sequence[str], code: int, stderr: bytes) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr.decode(errors="replace").strip()[-ERROR_TEXT_MAX:]
        super().__init__(f"{argv[0]} ended with code {code}: {self.stderr or 'no message'}")


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> bytes:
    """Return what `argv` wrote to stdout. Raise `CommandFailed`, or `TimeoutError` after killing it."""
    # No pipe for nothing: uvloop raises when it writes to a command that has already ended.
    feed = PIPE if stdin else DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdin=feed, stdout=PIPE, stderr=PIPE, env=env, cwd=cwd)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin or None)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CommandFailed(argv, process.returncode, err)
    return out

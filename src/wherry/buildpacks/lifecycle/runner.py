"""How the lifecycle runs a program of a buildpack.

`ProcessRunner` runs it on this machine, without any isolation: for tests. `platform.container_runner` is the real one.
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Output = Callable[[bytes], None]
_READ_BYTES = 64 << 10


class Runner(Protocol):
    """Paths in argv, environment and cwd are those inside (`Folder.inside`)."""

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: Output) -> int:
        """Run to the end, handing over stdout and stderr as they come; return the exit code.

        The environment is exactly `env`. A program that cannot be executed has code 126 or 127.
        """


class ProcessRunner:
    """Plain child processes."""

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: Output) -> int:
        try:
            process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=env, cwd=cwd)
        except OSError as error:
            output(f"{argv[0]}: {error.strerror}\n".encode())
            return 127 if isinstance(error, FileNotFoundError) else 126
        assert process.stdout is not None
        try:
            while part := await process.stdout.read(_READ_BYTES):
                output(part)
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

"""How the lifecycle runs a program of a buildpack.

`ProcessRunner` runs it on this machine, without any isolation: for tests. `platform.container_runner` is the real one.
"""

import asyncio
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Callable, Coroutine, Mapping, Sequence
from tempfile import TemporaryFile
from typing import Any, Protocol

Output = Callable[[bytes], None]
DRAIN_S = 0.5


class Runner(Protocol):
    """Paths in argv, environment and cwd are those inside (`Folder.inside`)."""

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: Output) -> int:
        """Run to the end, handing over stdout and stderr as they come; return the exit code.

        The environment is exactly `env`. A program that cannot be executed has code 126 or 127.
        """


class ProcessRunner:
    """Plain child processes; what they write is handed over at their end."""

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: Output) -> int:
        with TemporaryFile() as file:
            try:
                process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=file, stderr=STDOUT, env=env, cwd=cwd)
            except OSError as error:
                output(f"{argv[0]}: {error.strerror}\n".encode())
                return 127 if isinstance(error, FileNotFoundError) else 126
            try:
                return await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                file.seek(0)
                output(file.read())


async def until_end(reading: Coroutine[Any, Any, None], ending: Coroutine[Any, Any, int]) -> int:
    """The exit code, with what was written until then.

    A program may leave others behind that hold its output open; their words are waited for `DRAIN_S` and no longer.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(reading, name="reading")
            code = await ending
            await asyncio.wait((reader,), timeout=DRAIN_S)
            reader.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return code


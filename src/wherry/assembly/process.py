"""One component in one process: event loop, signals, and the component's own `run`.

In:    the cluster's settings, a component's name.
Out:   runs until TERM or INT, then cancels the component and returns when it has cleaned up.
"""

import asyncio
import importlib
import signal
from collections.abc import Awaitable, Callable
from typing import cast

import uvloop

from wherry.assembly.settings import ClusterSettings

Start = Callable[[ClusterSettings], Awaitable[None]]


async def until_signal(work: Awaitable[None]) -> None:
    """Await `work`; on TERM or INT cancel it and wait for its end."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_as_coroutine(work))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def run(settings: ClusterSettings, component: str) -> None:
    """Run `wherry.assembly.<component>.run(settings)` under uvloop."""
    start = cast(Start, importlib.import_module(f"wherry.assembly.{component}").run)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_signal(start(settings)))

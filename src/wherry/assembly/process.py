"""One process: event loop, signals, and the `run` of each of its components.

In:    the node's settings, the process's name.
Out:   runs until TERM or INT, then cancels the components and returns when they have cleaned up. While it runs, a supervisor
       that dies is started again: every component watches it as it watches them. What it has loaded when it has settled is
       not looked at again by the collector, and heap that is free goes back to the kernel.
"""

import asyncio
import importlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import cast

import uvloop

from wherry.assembly import daemon, log_files, supervisor
from wherry.assembly.components import Component
from wherry.assembly.node import NodeSettings
from wherry.assembly.shared import Process
from wherry.kit.collector import keep_memory_given_back, tune_collector
from wherry.kit.errors import Broken
from wherry.kit.supervise import keep_running

log = logging.getLogger(__name__)

CANNOT_RUN = 5  # exit code: only a person can mend it
SETTLED_S = 5.0  # after the start; what is loaded by then stays
SUPERVISOR_START_S = 2.0  # until a new supervisor holds its lock

Start = Callable[[Process], Awaitable[None]]


async def until_signal(work: Awaitable[None]) -> None:
    """Await `work`; on TERM or INT cancel it and wait for its end."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_as_coroutine(work), name="work")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


async def keep_supervised(settings: NodeSettings) -> None:
    """Start the supervisor again whenever it dies, until `wherry down` ends the cluster."""
    while not supervisor.stopping_file(settings).exists():
        if pid := supervisor.holder(supervisor.lock_path(settings, "supervisor")):
            await supervisor.gone(pid)
        else:
            daemon.start_supervisor(settings)
            await asyncio.sleep(SUPERVISOR_START_S)


async def keep_lean() -> None:
    """Tune the collector once what stays is loaded; from then on give free memory back."""
    await asyncio.sleep(SETTLED_S)
    tune_collector()
    await keep_memory_given_back()


async def run_components(settings: NodeSettings, name: str) -> None:
    """The rows of one process, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        process = Process(settings, name, tasks)
        for row in process.rows:
            tasks.create_task(_component(process, row), name=row.name)


async def _component(process: Process, row: Component) -> None:
    start = cast(Start, importlib.import_module(f"wherry.assembly.{row.module}").run)
    if row.is_vital:
        await start(process)
    else:
        await keep_running(row.name, lambda: start(process))


async def _watched(settings: NodeSettings, work: Awaitable[None], name: str) -> None:
    path = settings.log_dir / f"{name}.log"
    async with asyncio.TaskGroup() as tasks:
        besides = [
            tasks.create_task(keep_running("watch of the supervisor", lambda: keep_supervised(settings)), name="supervisor"),
            tasks.create_task(keep_running(
                "log rotation", lambda: log_files.keep_rotated(path, settings.log_bytes_max, settings.log_files_max)
            ), name="log rotation"),
            tasks.create_task(keep_running("memory", keep_lean), name="memory"),
        ]  # fmt: skip
        await work
        for task in besides:
            task.cancel()


def run(settings: NodeSettings, name: str) -> int:
    """Run the components of one process under uvloop.

    Returns 0 after TERM; CANNOT_RUN when the data of a vital one is damaged, with the reason in the process's `broken_file`.
    """
    reason = supervisor.broken_file(settings, name)
    reason.unlink(missing_ok=True)
    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_signal(_watched(settings, run_components(settings, name), name)))
    except* Broken as errors:
        text = str(_first(errors))
        log.error("%s cannot run: %s", name, text)
        reason.write_text(text, encoding="utf-8")
        code = CANNOT_RUN
    return code


def _first(errors: BaseExceptionGroup[Broken]) -> Broken:
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner

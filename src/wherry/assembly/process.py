"""One component in one process: event loop, signals, and the component's own `run`.

In:    the cluster's settings, a component's name.
Out:   runs until TERM or INT, then cancels the component and returns when it has cleaned up. While it runs, a supervisor
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
from wherry.assembly.settings import ClusterSettings
from wherry.kit.clock import Clock, SystemClock
from wherry.kit.collector import keep_memory_given_back, tune_collector
from wherry.kit.errors import Broken
from wherry.kit.supervise import keep_running

log = logging.getLogger(__name__)

CANNOT_RUN = 5  # exit code: only a person can mend it
SETTLED_S = 5.0  # after the start; what is loaded by then stays
SUPERVISOR_START_S = 2.0  # until a new supervisor holds its lock

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


async def keep_supervised(settings: ClusterSettings) -> None:
    """Start the supervisor again whenever it dies, until `wherry down` ends the cluster."""
    while not supervisor.stopping_file(settings).exists():
        if pid := supervisor.holder(supervisor.lock_path(settings, "supervisor")):
            await supervisor.gone(pid)
        else:
            daemon.start_supervisor(settings)
            await asyncio.sleep(SUPERVISOR_START_S)


async def keep_lean(clock: Clock) -> None:
    """Tune the collector once what stays is loaded; from then on give free memory back."""
    await clock.sleep(SETTLED_S)
    tune_collector()
    await keep_memory_given_back(clock)


async def _watched(settings: ClusterSettings, work: Awaitable[None], component: str) -> None:
    path = settings.log_dir / f"{component}.log"
    async with asyncio.TaskGroup() as tasks:
        besides = [
            tasks.create_task(keep_running("watch of the supervisor", lambda: keep_supervised(settings))),
            tasks.create_task(keep_running(
                "log rotation", lambda: log_files.keep_rotated(path, settings.log_bytes_max, settings.log_files_max)
            )),
            tasks.create_task(keep_running("memory", lambda: keep_lean(SystemClock()))),
        ]  # fmt: skip
        await work
        for task in besides:
            task.cancel()


def run(settings: ClusterSettings, component: str) -> int:
    """Run `wherry.assembly.<component>.run(settings)` under uvloop.

    Returns 0 after TERM; CANNOT_RUN when its data is damaged, with the reason in the component's `broken_file`.
    """
    reason = supervisor.broken_file(settings, component)
    reason.unlink(missing_ok=True)
    start = cast(Start, importlib.import_module(f"wherry.assembly.{component}").run)
    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_signal(_watched(settings, start(settings), component)))
    except* Broken as errors:
        text = str(_first(errors))
        log.error("%s cannot run: %s", component, text)
        reason.write_text(text, encoding="utf-8")
        code = CANNOT_RUN
    return code


def _first(errors: BaseExceptionGroup[Broken]) -> Broken:
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner

"""Keep the processes of one node running: those of its rows in `components.py`.

In:    the node's settings; a command line per process.
Out:   each process started, restarted with a doubling delay when it dies, adopted when it outlived an earlier supervisor.
Spec:  DESIGN decision 11. Linux pidfd_open(2), flock(2).

A process holds a lock on `<run dir>/<name>.lock` with its pid inside for as long as it lives. That lock, not the
parent-child relation, says whether it runs: so the supervisor itself can be killed at any moment.
"""

import asyncio
import fcntl
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from wherry.assembly import log_files
from wherry.assembly.components import awaited_port, processes
from wherry.assembly.node import NodeSettings

log = logging.getLogger(__name__)

RESTART_DELAY_S_MIN = 0.05  # a killed component is back before a client's first retry
RESTART_DELAY_S_MAX = 30.0
HEALTHY_AFTER_S = 10.0
STOP_LIMIT_S = 10.0
CONNECT_RETRY_S = 0.05
HEAD_START_S_MAX = 10.0  # a node that cannot come up must not keep the gateway down


@dataclass(frozen=True, slots=True)
class Lock:
    """A held lock file; closing the descriptor, also by dying, frees it."""

    descriptor: int


def hold(path: Path) -> Lock | None:
    """Take the lock and write our pid into it, or None when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return Lock(descriptor)


def holder(path: Path) -> int:
    """The pid of the process that holds the lock, 0 when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0)
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return 0


def lock_path(settings: NodeSettings, name: str) -> Path:
    return settings.run_dir / f"{name}.lock"


def broken_file(settings: NodeSettings, name: str) -> Path:
    """Why the component cannot run, in a sentence; there only while that is so."""
    return settings.run_dir / f"{name}.broken"


def stopping_file(settings: NodeSettings) -> Path:
    """There while `wherry down` stops the cluster: a supervisor that ends now was meant to."""
    return settings.run_dir / "stopping"


def command(settings: NodeSettings, name: str) -> list[str]:
    """The command line of a component's process."""
    return [sys.executable, "-m", "wherry.cli.main", "run", name, "--data-dir", str(settings.data_dir)]


def started(settings: NodeSettings, name: str) -> list[int]:
    """Processes of a component, also one that is so young that it does not hold its lock yet.

    Not those of another user, or of a container, that go by the same words: they could hold up whoever ends them.
    """
    wanted, found, here = command(settings, name)[1:], [], os.readlink("/proc/self/ns/pid")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[1:-1] == wanted and folder.stat().st_uid == os.geteuid() and os.readlink(folder / "ns/pid") == here:
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


async def gone(pid: int) -> None:
    """Return when process `pid`, ours or not, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _run_once(settings: NodeSettings, name: str) -> None:
    """Start the component, or adopt the one that runs, and return when it has ended."""
    pid = holder(lock_path(settings, name))
    if pid:
        log.info("%s adopted: pid=%d", name, pid)
        await gone(pid)
        return
    settings.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.log_dir / f"{name}.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command(settings, name), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    log.info("%s started: pid=%d", name, process.pid)
    code = await process.wait()
    log.warning("%s ended: code=%d", name, code)


async def listens(port: int) -> None:
    """Return when something on this machine accepts connections on `port`."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(CONNECT_RETRY_S)
        else:
            writer.close()
            return


async def keep_in_order(settings: NodeSettings, name: str) -> None:
    """As `keep`, but first let what it begins after come up. A process that runs already is adopted at once."""
    port = awaited_port(settings, name)
    if port and not holder(lock_path(settings, name)):
        try:
            async with asyncio.timeout(HEAD_START_S_MAX):
                await listens(port)
        except TimeoutError:
            log.warning("%s starts without waiting longer for port %d", name, port)
    await keep(settings, name)


async def keep(settings: NodeSettings, name: str) -> None:
    """Keep one component running until cancelled; then stop it with TERM, at last with KILL."""
    loop = asyncio.get_running_loop()
    delay_s = RESTART_DELAY_S_MIN
    try:
        while True:
            began_at = loop.time()
            try:
                await _run_once(settings, name)
            except OSError as error:  # no disk, no memory, no process left: the next attempt may find some
                log.warning("%s not started: %s", name, error)
            if loop.time() - began_at > HEALTHY_AFTER_S:
                delay_s = RESTART_DELAY_S_MIN
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RESTART_DELAY_S_MAX)
    finally:
        await stop(lock_path(settings, name))


async def stop(path: Path) -> None:
    """End the process that holds `path`: TERM, and KILL after STOP_LIMIT_S. Nothing when nobody does."""
    pid = holder(path)
    if not pid:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await gone(pid)
                return
        except TimeoutError:
            log.warning("pid %d did not end within %d s of %s", pid, STOP_LIMIT_S, number.name)


async def supervise(settings: NodeSettings) -> None:
    """Keep every process of the node running until TERM or INT; then stop them all, the server last."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        own_log = settings.log_dir / "supervisor.log"
        rotation = group.create_task(
            log_files.keep_rotated(own_log, settings.log_bytes_max, settings.log_files_max), name="log rotation"
        )
        tasks = [group.create_task(keep_in_order(settings, name), name=name) for name in processes(settings)]
        await stopping.wait()
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])
        rotation.cancel()

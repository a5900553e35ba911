"""Processes that are not our children: identify them beyond their number, signal them, await their end.

In:    pids.
Out:   `None`, False or silence for what is gone; numbers are reused, so a process is known by (pid, start time).
Spec:  pidfd_open(2), proc(5) stat field 22.
"""

import asyncio
import os
import signal
from pathlib import Path

from wherry.infrastructure.linux import capabilities


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def oom_score_adj_min() -> int:
    """The lowest oom_score_adj this process may give to a child."""
    if "CAP_SYS_RESOURCE" in capabilities.available():
        return -1000
    return int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))


def pids_max() -> int:
    """How many processes and threads the kernel allows on this machine."""
    limits = (Path("/proc/sys/kernel", name).read_text(encoding="ascii") for name in ("pid_max", "threads-max"))
    return min(map(int, limits))


def protect_from_oom(score_adj: int) -> bool:
    """Set this process's oom_score_adj, which its children inherit; False where its rights do not reach."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(score_adj), encoding="ascii")
    except OSError:
        return False
    return True


def is_same(pid: int, ticks: int) -> bool:
    """Is `pid` still the process that started at `ticks`?"""
    return pid > 0 and start_ticks(pid) == ticks


def send(pid: int, number: int, ticks: int) -> bool:
    """Signal the process if it is still the same one; False when it is not."""
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        if not is_same(pid, ticks):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


async def ended(pid: int, ticks: int) -> None:
    """Return when the process that started at `ticks` has ended; at once when it already has."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if not is_same(pid, ticks):
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_reader(descriptor, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)

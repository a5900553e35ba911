"""The `process_*` metrics every Prometheus client library has, read from /proc at each scrape."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

from wherry.kit.metrics import Collect, Registry


def add_process_metrics(registry: Registry) -> None:
    """CPU seconds, memory, file descriptors and start time of this process."""
    started_at = _start_time_s()
    rows: tuple[tuple[str, str, str, Callable[[], float]], ...] = (
        ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter", _cpu_s),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", lambda: _memory_pages(1)),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", lambda: _memory_pages(0)),
        ("process_open_fds", "Number of open file descriptors.", "gauge", lambda: len(os.listdir("/proc/self/fd"))),
        ("process_max_fds", "Maximum number of open file descriptors.", "gauge",
         lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge",
         lambda: started_at),
    )
    for name, help_text, kind, read in rows:
        registry.collected(name, help_text, (), _single(read), kind)


def _single(read: Callable[[], float]) -> Collect:
    return lambda: {(): read()}


def _cpu_s() -> float:
    times = os.times()
    return round(times.user + times.system, 2)


def _memory_pages(field: int) -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[field])
    return pages * resource.getpagesize()


def _start_time_s() -> float:
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks = int(stat[19])  # field 22 of proc(5), counted from the state
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")

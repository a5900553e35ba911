"""What a cluster costs that does nothing: memory (PSS) and CPU of supervisor, server and agent; the gateway is not counted.

Usage: python bench/idle.py [--settle 60] [--seconds 60] [--small] [--record]    needs root
Waits `--settle` seconds after Ready, then counts CPU time over `--seconds`, then reads /proc/<pid>/smaps_rollup.
"""

import asyncio
from pathlib import Path

import figures
from cluster import cluster


def pss_mib(pid: int) -> float:
    """Private memory and the process's share of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no Pss of process {pid}")


def schedstat_s(pid: int) -> float:
    """Seconds on a core, of all threads, to the nanosecond: proc_pid_schedstat."""
    return sum(int(file.read_text(encoding="ascii").split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def measure(options: figures.Options) -> figures.Figures:
    settle, seconds = (1.0, 1.0) if options.small else (options.settle, options.seconds)
    found: dict[str, tuple[float, str]] = {}
    async with cluster(image=False) as one:
        await one.client.close()
        await asyncio.sleep(settle)
        pids = one.pids()
        before = {name: schedstat_s(pid) for name, pid in pids.items()}
        await asyncio.sleep(seconds)
        for name, pid in pids.items():
            found[f"idle_cpu_{name}"] = ((schedstat_s(pid) - before[name]) / seconds * 100, "% of a core")
        for name, pid in pids.items():
            found[f"idle_memory_{name}"] = (pss_mib(pid), "MiB")
    for what in ("cpu", "memory"):
        parts = [value for name, value in found.items() if name.startswith(f"idle_{what}_")]
        found[f"idle_{what}"] = (sum(value for value, _ in parts), parts[0][1])
    return found


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--settle", type=float, default=60)
    flags.add_argument("--seconds", type=float, default=60)
    figures.run(flags, measure)

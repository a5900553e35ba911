"""What a cluster keeps of pods that came and went: memory (PSS) and descriptors of server and agent, then idle CPU.

Usage: python bench/churn.py [--minutes 10] [--at-once 10] [--trace FOLDER] [--small] [--record]    needs root
`--at-once` workers each create a pod, wait for Running, delete it, wait until it is gone. Growth is a line through the
samples of the last half. `--trace`: tracemalloc differences, objects by type and open files of both processes, at a
quarter of the time and at the end, as text in FOLDER; the figures are then slower and fatter than they are.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import figures
from cluster import Cluster, cluster, default_account, pod
from idle import pss_mib, schedstat_s

from wherry.kit.errors import NotFound
from wherry.orchestration.objects.kinds import PODS

SAMPLE_S = 10.0
STEP_S = 0.1
LIMIT_S = 120.0
TRACE_S = 20.0  # both processes have written theirs by then
WATCHED = ("server", "agent")
TRACER = '''
import collections, gc, os, signal, sys, tracemalloc
if os.environ.get("WHERRY_TRACE"):
    tracemalloc.start(6)
    _seen = []
    def _dump(*_):
        gc.collect()
        now = tracemalloc.take_snapshot().filter_traces((tracemalloc.Filter(False, tracemalloc.__file__),))
        kinds = collections.Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())
        with open(os.environ["WHERRY_TRACE"] + f"/{os.getpid()}-{len(_seen)}.txt", "w") as out:
            if _seen:
                for line in now.compare_to(_seen[-1][0], "traceback")[:40]:
                    print(line, *line.traceback.format(), sep="\\n", file=out)
                print(*((kinds - _seen[-1][1]).most_common(60)), sep="\\n", file=out)
            for fd in sorted(os.listdir("/proc/self/fd"), key=int):
                try:
                    print(fd, os.readlink("/proc/self/fd/" + fd), file=out)
                except OSError:
                    pass
        _seen.append((now, kinds))
    signal.signal(signal.SIGUSR2, _dump)
'''


async def one_pod(one: Cluster, name: str) -> None:
    """Created, Running, deleted, gone."""
    await one.client.create(PODS, pod(name))
    async with asyncio.timeout(LIMIT_S):
        while ((await one.client.get(PODS, name, "default")).get("status") or {}).get("phase") != "Running":
            await asyncio.sleep(STEP_S)
        await one.client.delete(PODS, name, "default", grace_s=1)
        while await exists(one, name):
            await asyncio.sleep(STEP_S)


async def exists(one: Cluster, name: str) -> bool:
    try:
        await one.client.get(PODS, name, "default")
    except NotFound:
        return False
    return True


async def churn(one: Cluster, until: float, worker: int) -> int:
    """Pods one after the other until that moment; how many."""
    count = 0
    while time.perf_counter() < until:
        await one_pod(one, f"w{worker}-{count}")
        count += 1
    return count


def sample(one: Cluster) -> dict[str, float]:
    found = {}
    for name, pid in one.pids().items():
        if name in WATCHED:
            found[f"memory_{name}"] = pss_mib(pid)
            found[f"descriptors_{name}"] = float(len(os.listdir(f"/proc/{pid}/fd")))
    return found


def per_minute(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through (seconds, value), by least squares."""
    middle = sum(x for x, _ in points) / len(points)
    mean = sum(y for _, y in points) / len(points)
    width = sum((x - middle) ** 2 for x, _ in points)
    return 60 * sum((x - middle) * (y - mean) for x, y in points) / width if width else 0.0


def trace(one: Cluster) -> None:
    for name, pid in one.pids().items():
        if name in WATCHED:
            os.kill(pid, signal.SIGUSR2)


async def measure(options: figures.Options) -> figures.Figures:
    seconds, idle_s = (6.0, 1.0) if options.small else (options.minutes * 60, 60.0)
    found: dict[str, tuple[float, str]] = {}
    samples: list[tuple[float, dict[str, float]]] = []
    with tempfile.TemporaryDirectory(prefix="wherry-trace-") as folder:
        if options.trace:
            (Path(folder) / "sitecustomize.py").write_text(TRACER, encoding="utf-8")
            os.environ |= {"PYTHONPATH": folder, "WHERRY_TRACE": str(Path(options.trace).resolve())}
        async with cluster() as one:
            await default_account(one.client)
            began_at = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(churn(one, began_at + seconds, n)) for n in range(options.at_once)]
                is_traced = not options.trace
                while (passed := time.perf_counter() - began_at) < seconds:
                    samples.append((passed, sample(one)))
                    if not is_traced and passed > seconds / 4:
                        is_traced = True
                        trace(one)
                    await asyncio.sleep(min(SAMPLE_S, seconds / 4))
            found["churn_pods"] = (sum(task.result() for task in made), "pods")
            found |= await after(one, idle_s)
            if options.trace:
                trace(one)
                await asyncio.sleep(TRACE_S)
    half = [(at, values) for at, values in samples if at >= seconds / 2]
    for name in samples[0][1]:
        unit = "MiB" if name.startswith("memory") else "descriptors"
        found[f"churn_{name}_first"] = (samples[0][1][name], unit)
        found[f"churn_{name}_last"] = (samples[-1][1][name], unit)
        found[f"churn_{name}_growth"] = (max(0.0, per_minute([(at, values[name]) for at, values in half])), f"{unit}/min")
    return found


async def after(one: Cluster, idle_s: float) -> dict[str, tuple[float, str]]:
    """Idle CPU in the time right after the last pod went."""
    pids = one.pids()
    before = {name: schedstat_s(pid) for name, pid in pids.items()}
    await asyncio.sleep(idle_s)
    return {
        f"after_churn_cpu_{name}": ((schedstat_s(pid) - before[name]) / idle_s * 100, "% of a core")
        for name, pid in pids.items()
    }


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--minutes", type=float, default=10)
    flags.add_argument("--at-once", type=int, default=10)
    flags.add_argument("--trace", default="")
    figures.run(flags, measure)

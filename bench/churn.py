"""What a cluster keeps of pods that came and went: memory (PSS) and descriptors of server and agent, then idle CPU.

Usage: python bench/churn.py [--minutes 10] [--at-once 10] [--trace FOLDER] [--small] [--record]    needs root
`--at-once` workers each create a pod, wait for Running, delete it, wait until it is gone. Growth is a line through the
samples of the last half. `--trace`: what was allocated since a quarter of the time and is still held (tracemalloc), objects by type, the largest
containers, glibc's view of the heap and open files of both processes, at half, three quarters and the end of the time, and
what ran in the idle minute, as text in FOLDER; the figures are then slower and fatter. `samples.csv` there has every sample.
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
import collections, ctypes, gc, os, signal, sys, tracemalloc
if os.environ.get("WHERRY_TRACE"):
    _seen = []
    class _Malloc(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
    def _malloc():
        libc = ctypes.CDLL(None)
        libc.mallinfo2.restype = _Malloc
        now = libc.mallinfo2()
        return {name: getattr(now, name) for name in ("arena", "hblkhd", "uordblks", "fordblks", "keepcost")}
    def _holder(held):
        for one in gc.get_referrers(held):
            if isinstance(one, dict) and "__name__" in one:
                return "module " + str(one["__name__"])
            if hasattr(type(one), "__module__") and type(one).__module__.startswith("wherry"):
                return type(one).__module__ + "." + type(one).__qualname__
        return "?"
    def _dump(*_):
        gc.collect()
        if not _seen:
            tracemalloc.start(6)
        now = tracemalloc.take_snapshot().filter_traces((tracemalloc.Filter(False, tracemalloc.__file__),))
        objects = gc.get_objects()
        kinds = collections.Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in objects)
        large = [o for o in objects if isinstance(o, (dict, list, set, collections.deque)) and len(o) >= 100]
        with open(os.environ["WHERRY_TRACE"] + f"/{os.getpid()}-{len(_seen)}.txt", "w") as out:
            print(sys.argv, _malloc(), "traced", tracemalloc.get_traced_memory(), file=out)
            for one in sorted(large, key=len)[-60:]:
                print(len(one), type(one).__name__, _holder(one), repr(next(iter(one)))[:100], file=out)
            if _seen:
                for line in now.compare_to(_seen[-1][0], "traceback")[:40]:
                    print(line, *line.traceback.format(), sep="\\n", file=out)
                print(*((kinds - _seen[-1][1]).most_common(60)), sep="\\n", file=out)
            for fd in sorted(os.listdir("/proc/self/fd"), key=int):
                try:
                    print(fd, os.readlink("/proc/self/fd/" + fd), file=out)
                except OSError:
                    pass
        del objects, large
        _seen.append((now, kinds))
    signal.signal(signal.SIGUSR2, _dump)
    _stacks = collections.Counter()
    def _look(_, frame):
        names = []
        while frame is not None and len(names) < 12:
            names.append(f"{frame.f_code.co_filename[-40:]}:{frame.f_code.co_name}")
            frame = frame.f_back
        _stacks[" < ".join(names)] += 1
    def _profile(*_):
        signal.signal(signal.SIGPROF, _look)
        if signal.setitimer(signal.ITIMER_PROF, 0.004, 0.004)[1]:
            signal.setitimer(signal.ITIMER_PROF, 0)
            with open(os.environ["WHERRY_TRACE"] + f"/{os.getpid()}-idle.txt", "w") as out:
                print(*(f"{count} {stack}" for stack, count in _stacks.most_common()), sep="\\n", file=out)
    signal.signal(signal.SIGUSR1, _profile)
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


def trace(one: Cluster, number: int = signal.SIGUSR2) -> None:
    for name, pid in one.pids().items():
        if name in WATCHED:
            os.kill(pid, number)


def write_samples(path: Path, samples: Sequence[tuple[float, dict[str, float]]]) -> None:
    names = list(samples[0][1])
    lines = [",".join(f"{value:.2f}" for value in (at, *(values[name] for name in names))) for at, values in samples]
    path.write_text("\n".join([",".join(["seconds", *names]), *lines]) + "\n", encoding="utf-8")


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
                traces = [seconds * part for part in (0.25, 0.5, 0.75)] if options.trace else []
                while (passed := time.perf_counter() - began_at) < seconds:
                    samples.append((passed, sample(one)))
                    if traces and passed > traces[0]:
                        del traces[0]
                        trace(one)
                    await asyncio.sleep(min(SAMPLE_S, seconds / 4))
            if options.trace:
                write_samples(Path(options.trace) / "samples.csv", samples)
            found["churn_pods"] = (sum(task.result() for task in made), "pods")
            if options.trace:
                trace(one, signal.SIGUSR1)
            found |= await after(one, idle_s)
            if options.trace:
                trace(one, signal.SIGUSR1)
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

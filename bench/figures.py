"""What every script of this folder shares: its flags, the shape of a result line, the file results go to.

In:    a script's `measure(Options)`, which returns {figure: (value, unit)}.
Out:   one JSON line a figure on stdout; with `--record` appended to results/<script>.jsonl too.

A line says what it needs to be judged by: commit ("+" when the tree has changes), machine, the load average before the
run, and what share of all cores was busy just before it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
BUSY_SAMPLE_S = 0.3

Figures = Mapping[str, tuple[float, str]]
Options = argparse.Namespace  # `small`, `record` and what the script added


def parser(doc: str) -> argparse.ArgumentParser:
    """The flags every script has."""
    flags = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--small", action="store_true", help="a smoke run: seconds, and figures that mean nothing")
    flags.add_argument("--record", action="store_true", help="append to bench/results/<script>.jsonl")
    return flags


def run(flags: argparse.ArgumentParser, measure: Callable[[Options], Awaitable[Figures]]) -> None:
    """Parse, measure under uvloop, print, record."""
    options = flags.parse_args()
    about = surroundings()
    emit(uvloop.run(_as_coroutine(measure(options))), about, record=options.record)


async def _as_coroutine(work: Awaitable[Figures]) -> Figures:
    return await work


def emit(figures: Figures, about: Mapping[str, Any], *, record: bool) -> None:
    """Print one line a figure; append them to the script's results when asked."""
    script = Path(sys.argv[0]).stem
    lines = [
        json.dumps({"bench": script, "figure": name, "value": _rounded(value), "unit": unit, **about}) + "\n"
        for name, (value, unit) in figures.items()
    ]
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    if record:
        RESULTS.mkdir(exist_ok=True)
        with (RESULTS / f"{script}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)


def surroundings() -> dict[str, Any]:
    """What the figures were taken on, and how quiet it was. Takes BUSY_SAMPLE_S."""
    return {
        "commit": commit(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 2),
        "busy_before_percent": busy_percent(BUSY_SAMPLE_S),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def commit() -> str:
    """Short hash, with "+" when tracked files differ from it."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, text=True, capture_output=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "none") + ("+" if git("status", "--porcelain", "-uno", "--", "src") else "")


def busy_percent(seconds: float) -> float:
    """The share of all cores' time that was not idle, over the next `seconds`."""
    before = _cpu_times()
    time.sleep(seconds)
    spent = [now - then for now, then in zip(_cpu_times(), before, strict=True)]
    return round(100 * (1 - (spent[3] + spent[4]) / max(sum(spent), 1)), 1)


def p99(values: Sequence[float]) -> float:
    """The value that one in a hundred is above; the largest of fewer than a hundred."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]


def spread(name: str, values: Sequence[float], unit: str) -> dict[str, tuple[float, str]]:
    """`<name>_p50` and `<name>_p99`."""
    return {f"{name}_p50": (statistics.median(values), unit), f"{name}_p99": (p99(values), unit)}


def _cpu_times() -> list[int]:
    # user nice system idle iowait irq softirq steal: proc_stat(5)
    return [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 1000 else round(value, 2)

"""A component's process stays lean by itself: nothing of the component asks for it."""

import subprocess
import sys
from pathlib import Path

COMPONENT = """
import asyncio, gc, pathlib, sys, types
from wherry.assembly import components, process, supervisor
from wherry.assembly.node import NodeSettings
from wherry.kit import collector

def pss():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:"))

async def until(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)

async def run(settings):
    await until(lambda: gc.get_freeze_count() > 1000 and gc.get_threshold() == collector.THRESHOLDS)
    print("frozen", flush=True)
    kept, dropped = [], []
    for _ in range(5_000):
        dropped.append(b"x" * 20_000)
        kept.append(b"y" * 600)
    full = pss()
    dropped.clear()
    await until(lambda: full - pss() > 40_000)
    print("given back", flush=True)

process.SETTLED_S, collector.GIVE_BACK_PERIOD_S = 0.0, 0.2
process.keep_supervised = lambda settings: asyncio.sleep(3600)
components.COMPONENTS = (components.Component("component", "server", "component", "component", is_vital=True),)
component = types.ModuleType("wherry.assembly.component")
component.run = run
sys.modules["wherry.assembly.component"] = component
sys.exit(process.run(NodeSettings(data_dir=pathlib.Path(sys.argv[1])), "component"))
"""


def test_a_process_freezes_what_it_has_loaded_and_gives_free_heap_back(tmp_path: Path) -> None:
    """Both were written, and no process did either: the heap of a churn of pods was half holes."""
    done = subprocess.run([sys.executable, "-c", COMPONENT, str(tmp_path)], text=True, capture_output=True, timeout=90, check=False)
    assert done.stdout.split("\n")[:2] == ["frozen", "given back"], done.stderr
    assert done.returncode == 0

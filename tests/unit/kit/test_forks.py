"""A process that is started under uvloop executes, whatever garbage lies in its parent."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent.parent.parent / "conftest.py"
PARENT = """
import asyncio, gc, os, runpy, sys
import uvloop

class Garbage:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("ended in the", "parent" if os.getpid() == parent else "child", flush=True)

def allocate():
    gc.set_threshold(1)
    kept = [[] for _ in range(100)]

async def start():
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()

parent = os.getpid()
os.register_at_fork(after_in_child=allocate)
if sys.argv[1:]:
    runpy.run_path(sys.argv[1])
gc.collect()
gc.set_threshold(1_000_000)
Garbage()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    assert runner.run(start()) == 0
assert gc.isenabled()
gc.collect()
"""


def ends(*arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PARENT, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_nothing_is_collected_between_fork_and_exec() -> None:
    """The suite hung: a completion queue of grpc, collected in the child, waited for a thread that was not there."""
    assert ends(str(CONFTEST)) == ["ended in the parent"]
    assert "ended in the child" in ends(), "this is what Python and uvloop do by themselves"

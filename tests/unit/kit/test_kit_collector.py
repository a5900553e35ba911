"""Memory that is free goes back to the kernel; what stays is not walked by the collector."""

import gc
import subprocess
import sys

SCRIPT = """
from wherry.kit.collector import give_back_memory
def pss():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:"))
kept, dropped = [], []
for _ in range(5_000):  # between blocks that stay: glibc gives none of this back by itself
    dropped.append(b"x" * 20_000)
    kept.append(b"y" * 600)
full = pss()
dropped.clear()
give_back_memory()
print(full - pss())
"""


def test_free_heap_between_blocks_that_stay_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], text=True, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) > 40_000  # KiB, of some 98,000


def test_what_is_there_when_tuned_is_frozen() -> None:
    script = "from wherry.kit.collector import tune_collector; import gc; tune_collector(); print(gc.get_freeze_count() > 1000, gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == "True (50000, 20, 50)"
    assert gc.get_threshold() != (50_000, 20, 50)  # not of this process

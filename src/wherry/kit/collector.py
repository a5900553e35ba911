"""The cyclic garbage collector and the heap, set for processes that hold many long-lived objects.

Never: collects by itself; reference counts free nearly everything, cycles wait for the threshold.
"""

import asyncio
import ctypes
import gc

GIVE_BACK_PERIOD_S = 60.0  # pods that come and go leave holes in the heap: half of it after ten minutes of them
THRESHOLDS = (50_000, 20, 50)  # Python's own 700 walks tens of thousands of objects many times a second


def tune_collector() -> None:
    """What lives now is not looked at again; the rest is, less often. Call it once what stays is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def give_back_memory() -> None:
    """Return free heap to the kernel: after a large list or a burst, glibc keeps it (malloc_trim(3)). Takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # another C library gives it back by itself
        trim(0)


async def keep_memory_given_back() -> None:
    """Once in a while, for ever, on a worker thread."""
    while True:
        await asyncio.sleep(GIVE_BACK_PERIOD_S)
        await asyncio.to_thread(give_back_memory)

"""The cyclic garbage collector, set for processes that hold many long-lived objects.

Never: collects by itself; reference counts free nearly everything, cycles wait for the threshold.
"""

import gc

THRESHOLDS = (50_000, 20, 50)  # Python's own 700 walks tens of thousands of objects many times a second


def tune_collector() -> None:
    """What lives now is not looked at again; the rest is, less often. Call it once what stays is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)

"""Run seeds: `python tests/simulation/run.py 0-99 [--jobs 2] [--steps 25] [--trail]`. A seed that fails is printed and replays.

Out:   one line for each seed that fails, a summary; exit code 1 if any did.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import sim_loop  # noqa: E402 - beside this file


def main() -> int:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", help="a number, or a range with both ends: 0-99")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--steps", type=int, default=0, help="events of a run")
    parser.add_argument("--planted", choices=("lying", "forgetful", "greedy"), help="break it first, to see that it is noticed")
    parser.add_argument("--digests", action="store_true", help="a line for every seed")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if options.jobs > 1:
        return _beside(options, seeds)
    sim_loop.same_every_time()
    return _run(options, seeds)


def _run(options: argparse.Namespace, seeds: range) -> int:
    from sim_scenario import STEPS, simulate
    from sim_world import quiet

    quiet()
    failed, writes, turns, virtual_s, began_at = 0, 0, 0, 0.0, time.monotonic()
    for seed in seeds:
        result = simulate(seed, steps=options.steps or STEPS, planted=options.planted)
        failed += bool(result.violation)
        writes, turns, virtual_s = writes + result.writes, turns + result.turns, virtual_s + result.virtual_s
        if options.digests:
            print(f"seed {seed}: {result.digest}", flush=True)
        if result.violation:
            print(f"seed {seed} FAILED: {result.violation}", flush=True)
    took_s = time.monotonic() - began_at
    print(f"{len(seeds)} seeds, {failed} failed; {writes} writes, {turns} turns of the loop, {virtual_s / 3600:.1f} hours in "
          f"{took_s:.1f} s: {turns / took_s:.0f} turns and {writes / took_s:.0f} writes a second", flush=True)
    return 1 if failed else 0


def _beside(options: argparse.Namespace, seeds: range) -> int:
    share = -(-len(seeds) // options.jobs)
    parts = [seeds[at:at + share] for at in range(0, len(seeds), share)]
    argv = [sys.executable, __file__, "--steps", str(options.steps), *(["--digests"] if options.digests else [])]
    running = [subprocess.Popen([*argv, f"{part[0]}-{part[-1]}"], env=os.environ) for part in parts]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    sys.exit(main())

"""The quick share of the simulation: some seeds, whether a seed replays, and whether what is broken is noticed at all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
LIMIT_S = 600

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 20)]


def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: hashes and addresses are the same every time there."""
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("seeds", ["0-4", "5-9"])
def test_the_control_plane_keeps_its_promises_and_settles(seeds: str) -> None:
    done = simulated(seeds)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_replays() -> None:
    first, second = (simulated("3", "--digests").stdout for _ in range(2))
    digest = re.search(r"seed 3: [0-9a-f]{64}", first)
    assert digest is not None and digest.group() in second


@pytest.mark.parametrize(("planted", "said"), [
    pytest.param("forgetful", "pods of a ReplicaSet that wanted", id="a controller that does not wait for what it wrote"),
    pytest.param("lying", "was acknowledged at revision", id="a server that answers before it has written"),
    pytest.param("greedy", r"(controllers|scheduler)-\w leads \S+ while", id="a candidate that does not wait for the Lease"),
])
def test_what_is_broken_is_noticed(planted: str, said: str) -> None:
    done = simulated("0-7", "--planted", planted)
    assert done.returncode == 1 and re.search(said, done.stdout), done.stdout + done.stderr

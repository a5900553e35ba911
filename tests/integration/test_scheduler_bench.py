"""The benchmark of the scheduler runs: a smoke run, its figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_small_run_gives_a_figure_for_each_kind_of_pod():
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "scheduler.py"), "--small"], capture_output=True, text=True, timeout=60, check=True)
    figures = {line["figure"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert set(figures) >= {"decide_basic", "decide_pod_affinity", "decide_pod_anti_affinity", "schedule_basic"}
    assert all(value > 0 for value in figures.values())

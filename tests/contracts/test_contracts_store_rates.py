"""The store's benchmark runs and gives every figure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "store_rates.py"


@pytest.mark.slow
def test_the_small_run_prints_one_line_a_figure(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--small", "--dir", str(tmp_path)],
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f["figure"] for f in found] == ["put_1_writers", "put_16_writers", "put_128_writers", "get", "list_entries"]
    assert all(f["value"] > 0 and f["unit"] == "1/s" for f in found)
    assert not list(tmp_path.iterdir())

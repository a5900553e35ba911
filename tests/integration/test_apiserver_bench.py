"""The bench script of the API server still runs and prints its figures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_the_bench_prints_a_json_line_a_figure() -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed (apt install wrk)")
    done = subprocess.run([sys.executable, str(ROOT / "bench" / "api_rates.py"), "--small"], capture_output=True, text=True,
                          timeout=100, check=True)
    figures = {line["figure"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert figures["get"] > 0 and figures["create_configmap"] > 0 and "watch_delivery_p99" in figures

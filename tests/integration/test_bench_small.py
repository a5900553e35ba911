"""Every script of bench/ still runs: its small run ends well and prints result lines of the one shape."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
NEEDS = {
    "api_peer": ("wrk", "openssl"), "api_rates": ("wrk",), "http_front": ("wrk", "openssl"), "gateway_throughput": ("wrk",), "etcd_rates": ("etcd",),
    "service_change": ("nft", "unshare"), "rebuild": ("crun", "conmon"),
}  # fmt: skip
ROOTLESS = ("api_peer", "api_rates", "apiserver_access", "controllers", "dns_qps", "etcd_rates", "http_front", "object_pipeline", "scheduler",
            "store_rates")  # fmt: skip
OWN_TESTS = ("rebuild",)  # reaches package registries
sys.path.insert(0, str(BENCH))

import run_all  # noqa: E402


def marked(name: str) -> object:
    marks = [pytest.mark.slow] if name in ROOTLESS else [pytest.mark.slow, pytest.mark.node]
    return pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", [marked(name) for name in run_all.scripts() if name not in OWN_TESTS])
def test_small_run_prints_figures(name: str) -> None:
    missing = [program for program in NEEDS.get(name, ()) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if name not in ROOTLESS and os.geteuid():
        pytest.skip("needs root")
    done = subprocess.run(
        [sys.executable, str(BENCH / f"{name}.py"), "--small"], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines
    for line in lines:
        assert line["bench"] == name and line["figure"] and line["unit"] and line["value"] >= 0, line
        assert {"commit", "machine", "load", "busy_before_percent", "at"} <= line.keys()


def test_every_budget_names_a_script() -> None:
    assert {bench for bench, _ in run_all.BUDGETS} <= set(run_all.scripts())


def test_table_says_met_missed_and_what_has_no_figure() -> None:
    lines = [
        {"bench": "cluster_up", "figure": "up_to_ready", "value": 0.7, "unit": "s"},
        {"bench": "dns_qps", "figure": "dns_answers", "value": 10, "unit": "1/s"},
        {"bench": "store_rates", "figure": "get", "value": 5, "unit": "1/s"},
    ]
    text = run_all.table(lines, ["idle"], is_small=False)
    rows = {row.split()[1]: row for row in text.splitlines()[1:4]}
    assert rows["up_to_ready"].endswith("met") and rows["dns_answers"].endswith("MISSED") and rows["get"].endswith("1/s")
    assert "failed: idle" in text and "without a figure in this run: api_rates" in text


def test_a_small_run_is_not_judged() -> None:
    lines = [{"bench": "dns_qps", "figure": "dns_answers", "value": 10, "unit": "1/s"}]
    assert "MISSED" not in run_all.table(lines, [], is_small=True)

"""Run every script of this folder in turn, each as a process of its own, and set the figures beside the budgets.

Usage: python bench/run_all.py [--record] [--small] [--only NAME ...]    `make bench` calls it with --record
Prints each script's lines as they come, then a table: figure, value, budget, met or not. Exit code 1 when a script failed; a
missed budget is a figure, not a failure. A budget says nothing in a --small run.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
NOT_SCRIPTS = ("figures", "cluster", "run_all")
SCRIPT_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Budget:
    """A row of DESIGN section 6. `sign` is "<=" or ">="."""

    sign: str
    limit: float
    about: str

    def is_met(self, value: float) -> bool:
        return value <= self.limit if self.sign == "<=" else value >= self.limit


BUDGETS: dict[tuple[str, str], Budget] = {
    ("cluster_up", "up_to_ready"): Budget("<=", 1.0, "k3d 19.9 s, kind 33.0 s"),
    ("cluster_up", "up_to_first_answer"): Budget("<=", 3.0, ""),
    ("idle", "idle_memory"): Budget("<=", 120, "k3s 535-565 MB"),
    ("idle", "idle_cpu"): Budget("<=", 1.0, "k3s 5-6 %"),
    ("pod_start_cluster", "pod_start_p50"): Budget("<=", 80, ""),
    ("pod_start_cluster", "pod_start_p99"): Budget("<=", 250, "upstream's SLO 5 s"),
    ("api_rates", "watch_delivery_p99"): Budget("<=", 5, ""),
    ("scheduler", "schedule_basic"): Budget(">=", 2500, "kube-scheduler 680-810"),
    ("service_change", "service_change_p50"): Budget("<=", 5, "141 ms"),
    ("dns_qps", "dns_answers"): Budget(">=", 34_000, "CoreDNS 33.7k on 2 vCPU"),
    ("gateway_routes", "visible_p99_5000_routes_5000_hosts"): Budget("<=", 50, "0.3-2 s in peers"),
    ("gateway_routes", "errors_5000_routes_5000_hosts"): Budget("<=", 0, "15k in 3,000 changes"),
    ("gateway_throughput", "gateway_1_route_to_bare"): Budget(">=", 0.95, ""),
    ("rebuild", "rebuild_unchanged"): Budget("<=", 0.5, "pack 1.16 s"),
    ("rebuild", "rebuild_one_line"): Budget("<=", 1.5, ""),
    ("volume_create", "volume_create_p50"): Budget("<=", 50, ""),
    ("volume_create", "volume_random_writes_16_ratio"): Budget(">=", 0.95, "Longhorn 0.12"),
}


def scripts() -> list[str]:
    """All but the shared modules, by name."""
    return [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem not in NOT_SCRIPTS]


def run(name: str, flags: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """The script's result lines, and whether it went well. What it says is passed on."""
    try:
        done = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py"), *flags], stdout=subprocess.PIPE, text=True, check=False,
            timeout=SCRIPT_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name}: not done after {SCRIPT_LIMIT_S:g} s\n")
        return [], False
    sys.stdout.write(done.stdout)
    sys.stdout.flush()
    return [{"bench": name, **json.loads(line)} for line in done.stdout.splitlines() if line.startswith("{")], done.returncode == 0


def table(lines: list[dict[str, Any]], failed: list[str], *, is_small: bool) -> str:
    """One row a figure; those with a budget say whether it is met, unless the run was a small one."""
    rows = [("figure", "value", "budget", "")]
    for line in lines:
        value = line.get("value", line.get("p50"))
        if value is None:
            continue
        budget = BUDGETS.get((line.get("bench", ""), line.get("figure", "")))
        limit = f"{budget.sign} {budget.limit:g}" if budget else ""
        verdict = "" if budget is None or is_small else "met" if budget.is_met(value) else "MISSED"
        rows.append((f"{line.get('bench', '')} {line.get('figure', '')}", f"{value:g} {line.get('unit', '')}", limit, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    text = "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows)
    unmeasured = sorted({bench for bench, _ in BUDGETS} - {line.get("bench", "") for line in lines})
    notes = [f"failed: {', '.join(failed)}"] if failed else []
    notes += [f"without a figure in this run: {', '.join(unmeasured)}"] if unmeasured else []
    notes.append("kube-apiserver, kube-scheduler and CoreDNS cannot be had here: their figures are published ones, not of this machine")
    return "\n".join([text, *notes]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=scripts(), default=scripts())
    given = parser.parse_args()
    flags = [flag for flag, is_on in (("--small", given.small), ("--record", given.record)) if is_on]
    lines: list[dict[str, Any]] = []
    failed = []
    for name in given.only:
        sys.stderr.write(f"--- {name}\n")
        found, is_well = run(name, flags)
        lines += found
        if not is_well:
            failed.append(name)
    sys.stdout.write("\n" + table(lines, failed, is_small=given.small))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

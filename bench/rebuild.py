"""`wherry build` again: nothing changed, one line changed. Seconds of the whole command.

Usage: python bench/rebuild.py [--count 7] [--small] [--record] [--source examples/shop/services/orders]
Needs root, crun, conmon and a package registry (first build). Prints one JSON line a figure. $WHERRY_CACHE_DIR keeps
downloads from run to run. Command: a new Python process each time, in a data folder of its own.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "rebuild.jsonl"
TAG = "registry.wherry.local:5050/bench/app:v1"


def command(data: Path, source: Path) -> float:
    """Seconds of one `wherry build`."""
    argv = [sys.executable, "-m", "wherry.cli.main", "build", str(source), "--tag", TAG, "--data-dir", str(data)]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"wherry build ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def change(source: Path, number: int) -> None:
    """Change one line of the application."""
    path = next(path for name in ("server.js", "app.py") if (path := source / name).exists())
    lines = path.read_text().splitlines()
    mark = "//" if path.suffix == ".js" else "#"
    path.write_text("\n".join([*(line for line in lines if "bench line" not in line), f"{mark} bench line {number}"]) + "\n")


def figure(name: str, times: list[float], source: str) -> dict[str, object]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "figure": name, "unit": "s", "p50": round(statistics.median(times), 3), "max": round(max(times), 3), "count": len(times),
        "source": source, "commit": commit, "machine": f"{os.cpu_count()} cores, {platform.release()}", "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=7)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--source", type=Path, default=ROOT / "examples/shop/services/orders")
    options = parser.parse_args()
    count = 2 if options.small else options.count
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        data, source = Path(folder) / "data", Path(folder) / "source"
        shutil.copytree(options.source, source, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        command(data, source)  # assembles the images too
        found = {"rebuild_unchanged": [command(data, source) for _ in range(count)]}
        found["rebuild_one_line"] = []
        for number in range(count):
            change(source, number)
            found["rebuild_one_line"].append(command(data, source))
        for name, times in found.items():
            line = json.dumps(figure(name, times, options.source.name))
            sys.stdout.write(line + "\n")
            if options.record:
                with RESULTS.open("a") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()

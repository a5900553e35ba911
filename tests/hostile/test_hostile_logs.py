"""A pod that writes without end: its log is rotated, what it takes of the disk is bounded, whoever follows it costs no memory."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from hostile_cluster import MEBIBYTE, Victim, eventually
from scale import LIMIT_S, count

from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.logs.rotation import COMPRESSED_TIMES_MAX

ROTATIONS = count(1, 40)
RATE_BYTES_S_MAX = 500 * MEBIBYTE  # what conmon passes on; between two looks at its size a log grows by so much
GROWTH_BYTES_MAX = 60 * MEBIBYTE
LOUD = "yes endless endless endless endless endless endless endless endless"

pytestmark = [pytest.mark.node, pytest.mark.cluster, pytest.mark.timeout(LIMIT_S)]


def written_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def test_an_endless_log_is_rotated_and_bounded_and_following_it_costs_no_memory(attacked: Victim) -> None:
    attacked.run_pod("loud", LOUD)
    uid = attacked.kubectl("get", "pod", "loud", "-o", "jsonpath={.metadata.uid}")
    folder = Path(attacked.settings.pod_log_dir) / f"default_loud_{uid}" / "main"
    rules = AgentSettings.__dataclass_fields__
    largest, files_max = rules["log_max_bytes"].default, rules["log_max_files"].default
    sizes: list[int] = []
    live: set[int] = set()

    def taken() -> int:
        """Of the disk, at this moment; the files are renamed while they are looked at."""
        found = large = 0
        with contextlib.suppress(FileNotFoundError):  # renamed, and not yet opened anew
            live.add((folder / "0.log").stat().st_ino)
        for name in os.listdir(folder):
            try:
                size = (folder / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue
            found += size
            large += size > COMPRESSED_TIMES_MAX * largest
        sizes.append(found)
        assert large <= 3, "the live log, the one before it, and one that is about to be dropped"
        return found

    pids = attacked.pids()
    conmon = next(int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _is_monitor(p, folder))
    with subprocess.Popen(attacked.argv("logs", "-f", "loud"), stdout=subprocess.DEVNULL) as reader, \
            subprocess.Popen(attacked.argv("logs", "-f", "loud"), stdout=subprocess.PIPE) as stalled:
        try:
            before = {name: attacked.memory_bytes(name) for name in ("server", "agent")}
            eventually(lambda: taken() > 0 and len(live) > ROTATIONS, "the log is rotated", limit_s=LIMIT_S / 2)
            grown = {name: attacked.memory_bytes(name) - before[name] for name in before}
            assert stalled.poll() is None
        finally:
            reader.kill()
            stalled.kill()
    print(f"endless log: {written_bytes(conmon) >> 20} MiB, rotated {len(live) - 1} times, at most {max(sizes) >> 20} MiB on the disk, grown: {grown}")
    assert len(os.listdir(folder)) <= files_max + 1
    attacked.kubectl("delete", "pod", "loud", "--now")
    eventually(lambda: not folder.exists(), "the log is gone with the pod")
    between_looks = int(RATE_BYTES_S_MAX * rules["log_check_s"].default)
    assert max(sizes) < files_max * largest + 2 * between_looks, "rotation keeps up"
    assert max(grown.values()) < GROWTH_BYTES_MAX
    assert attacked.pids() == pids


def _is_monitor(process: Path, folder: Path) -> bool:
    try:
        return (process / "comm").read_text() == "conmon\n" and str(folder) in (process / "cmdline").read_text()
    except OSError:
        return False

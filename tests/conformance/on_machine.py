"""What a cluster has on this machine: processes, mounts, links, tables, cgroups, loop devices, files. Also how to kill it."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from conftest import WHERRY, Cluster

from wherry.assembly import supervisor
from wherry.assembly.node import NodeSettings
from wherry.infrastructure.network.settings import NetworkSettings

CGROUPS = Path("/sys/fs/cgroup")


def eventually(check: Callable[[], bool], *, limit_s: float = 60, what: str = "") -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


def cluster_id(data_dir: Path) -> str:
    return hashlib.sha256(str(data_dir).encode()).hexdigest()[:8]


def pid_of(cluster: Cluster, component: str) -> int:
    """0 while it does not run."""
    return supervisor.holder(supervisor.lock_path(NodeSettings(data_dir=cluster.data_dir), component))


def kill(cluster: Cluster, *components: str) -> dict[str, int]:
    """SIGKILL each; returns the pids they had."""
    for name in components:
        eventually(lambda name=name: pid_of(cluster, name) != 0, what=f"{name} runs")  # type: ignore[misc]
    pids = {name: pid_of(cluster, name) for name in components}
    for name, pid in pids.items():
        assert pid, f"{name} does not run"  # os.kill(0) would kill the tests
        os.kill(pid, signal.SIGKILL)
    return pids


def processes(data_dir: Path, named: str = "") -> dict[int, str]:
    """pid -> command line of what runs in the cluster's cgroups or was started for its data dir."""
    found, mark = {}, f"wherry-{cluster_id(data_dir)}"
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cgroup = (folder / "cgroup").read_text()
        except OSError:
            continue
        if command and (mark in cgroup or mark in command or f"{data_dir} " in command) and command.startswith(named):
            found[int(folder.name)] = command[:120]
    return found


def leftovers(data_dir: Path) -> dict[str, list[str]]:
    """Everything of the cluster outside its data dir, by kind; {} when nothing is left."""
    name = cluster_id(data_dir)
    prefix = NetworkSettings(name, Path("/")).link_prefix
    found = {
        "processes": [f"{pid} {command}" for pid, command in processes(data_dir).items()],
        "mounts": [line.split()[4] for line in _lines("cat", "/proc/self/mountinfo") if name in line or str(data_dir) in line],
        "links": [line.split(": ")[1].partition("@")[0] for line in _lines("ip", "-o", "link") if f" {prefix}" in line],
        "tables": [line for line in _lines("nft", "list", "tables") if name in line],
        "cgroups": [str(path) for path in (*CGROUPS.glob(f"*{name}*"), *CGROUPS.glob(f"*/*{name}*"))],
        "loop devices": [line.split()[0] for line in _lines("losetup", "-l", "-n", "-O", "NAME,BACK-FILE") if str(data_dir) in line],
        "run files": [str(path) for path in Path("/run").glob(f"*{name}*")],
        "routes": [line for line in _lines("ip", "route", "show", "table", "all") if f" {prefix}" in line],
    }
    return {kind: things for kind, things in found.items() if things}


def lose_power(data_dir: Path) -> None:
    """What a power cut does, as far as one machine can play it: nothing of the cluster is left but its data dir."""
    def killed() -> bool:
        for pid in (pids := processes(data_dir)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not pids

    eventually(killed, what="all processes dead")
    found = leftovers(data_dir)
    for mount in reversed(found.get("mounts", [])):
        subprocess.run(["umount", "-l", mount], check=False)
    for link in found.get("links", []):
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    for table in found.get("tables", []):
        subprocess.run(["nft", "delete", *table.split()], check=True)
    for device in found.get("loop devices", []):
        subprocess.run(["losetup", "-d", device], check=False)
    for folder in found.get("run files", []):
        shutil.rmtree(folder)
    for root in found.get("cgroups", []):
        eventually(lambda root=root: _without_cgroup(Path(root)), limit_s=10, what=f"{root} removed")  # type: ignore[misc]
    assert leftovers(data_dir) == {}


def purge(folder: Path) -> None:
    """End the cluster whose data dir is `folder`/data, and remove `folder`. For fixtures: also after a failed start."""
    subprocess.run([str(WHERRY), "down", "--purge", "--data-dir", str(folder / "data"), "--kubeconfig", str(folder / "kubeconfig")],
                   timeout=120, check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def _without_cgroup(root: Path) -> bool:
    try:
        for folder, _, _ in os.walk(root, topdown=False):
            os.rmdir(folder)
    except OSError:  # the kernel has not reaped the dead yet
        return False
    return True


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, text=True, capture_output=True, check=True).stdout.splitlines()

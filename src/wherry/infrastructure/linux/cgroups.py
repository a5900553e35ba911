"""Cgroups on disk: make, limit, read, kill and remove, alike on v1, hybrid and v2.

In:    paths relative to the hierarchies' roots, such as "wherry-1/pods/x".
Out:   plain numbers; `OSError` from the kernel. `remove` and `kill` are idempotent and bounded.
Never: touches a root itself, which holds every process of the machine: a path without a name in it is `Invalid`.
Spec:  cgroups(7), kernel Documentation/admin-guide/cgroup-{v1,v2}.
"""

import asyncio
import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from wherry.infrastructure.linux.cgroup_layout import Kind, Layout
from wherry.kit.errors import Invalid, TimedOut

V2_CONTROLLERS = ("cpu", "memory", "pids", "cpuset", "io")
REMOVE_TRIES_MAX = 250
REMOVE_PAUSE_S = 0.02
MEMORY_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cgroup may use. None: not limited (and a limit set before is lifted)."""

    cpu_shares: int = 2  # v1 units; 1024 is one core's weight
    cpu_quota_us: int | None = None
    cpu_period_us: int = 100_000
    memory_bytes: int | None = None
    pids: int | None = None


class Cgroups:
    """The cgroups of one machine, by its layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def create(self, path: str, limits: Limits | None = None) -> None:
        """Make `path` and its parents in every hierarchy that limits or accounts. Idempotent."""
        if self.layout.kind is Kind.V2:
            self._create_v2(path)
        else:
            for controller in ("cpu", "cpuacct", "memory", "pids", "cpuset"):
                folder = self._folder(controller, path)
                if folder:
                    Path(folder).mkdir(parents=True, exist_ok=True)
            self._inherit_cpuset(path)
        if limits is not None:
            self.limit(path, limits)

    def limit(self, path: str, limits: Limits) -> None:
        """Write the limits; files a kernel lacks are left out."""
        files = _v2_files(limits) if self.layout.kind is Kind.V2 else _v1_files(limits)
        for controller, name, value in files:
            self._write(controller, path, name, value)

    def limit_pids(self, path: str, pids_max: int | None) -> None:
        """Only how many processes and threads there may be in `path` and below."""
        self._write("pids", path, "pids.max", "max" if pids_max is None else str(pids_max))

    def add_process(self, path: str, pid: int) -> None:
        """Move a process into `path` wherever something kills or accounts by cgroup: systemd's tree, memory and v2."""
        if self.layout.kind is Kind.V2:
            folders = [self._folder("pids", path)]
        else:
            folders = [self._folder(name, path) for name in ("name=systemd", "memory", "pids")]
            folders.append(f"{self.layout.unified}/{_checked(path)}" if self.layout.unified else None)
        for folder in filter(None, folders):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "cgroup.procs").write_text(str(pid), encoding="ascii")

    def processes(self, path: str) -> set[int]:
        """All processes in `path` and below, in any hierarchy."""
        found: set[int] = set()
        for folder in self._folders(path):
            for file in Path(folder).rglob("cgroup.procs"):
                try:
                    found |= {int(word) for word in file.read_text(encoding="ascii").split()}
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                        raise
        return found

    def kill(self, path: str) -> None:
        """SIGKILL to all processes in `path` and below."""
        for pid in self.processes(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    async def remove(self, path: str) -> None:
        """Kill what runs in `path`, then remove it and all below. Raise `TimedOut` when processes stay (5 s)."""
        for _ in range(REMOVE_TRIES_MAX):
            self.kill(path)
            left = [folder for folder in self._folders(path) if not _remove_tree(Path(folder))]
            if not left:
                return
            await asyncio.sleep(REMOVE_PAUSE_S)
        raise TimedOut(f"cgroup {path!r} still holds processes {sorted(self.processes(path))[:10]} after SIGKILL")

    def cpu_usage_ns(self, path: str) -> int:
        """CPU time used so far."""
        if self.layout.kind is Kind.V2:
            return self._keyed("cpu", path, "cpu.stat").get("usage_usec", 0) * 1000
        return int(self._read("cpuacct", path, "cpuacct.usage") or 0)

    def memory_usage_bytes(self, path: str) -> int:
        """All memory charged, page cache included."""
        name = "memory.current" if self.layout.kind is Kind.V2 else "memory.usage_in_bytes"
        return int(self._read("memory", path, name) or 0)

    def inactive_file_bytes(self, path: str) -> int:
        """Page cache that can be dropped at once."""
        key = "inactive_file" if self.layout.kind is Kind.V2 else "total_inactive_file"
        return self._keyed("memory", path, "memory.stat").get(key, 0)

    def oom_kills(self, path: str) -> int:
        """How many processes of this cgroup the kernel killed for want of memory."""
        name = "memory.events" if self.layout.kind is Kind.V2 else "memory.oom_control"
        return self._keyed("memory", path, name).get("oom_kill", 0)

    def exists(self, path: str) -> bool:
        """Is there anything of `path` in any hierarchy?"""
        return any(os.path.isdir(folder) for folder in self._folders(path))

    def _folders(self, path: str) -> list[str]:
        return self.layout.folders(_checked(path))

    def _folder(self, controller: str, path: str) -> str | None:
        return self.layout.folder(controller, _checked(path))

    def _create_v2(self, path: str) -> None:
        folder = Path(self.layout.unified)
        for part in _checked(path).strip("/").split("/"):
            available = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
            wanted = " ".join(f"+{name}" for name in V2_CONTROLLERS if name in available)
            (folder / "cgroup.subtree_control").write_text(wanted, encoding="ascii")
            folder /= part
            folder.mkdir(exist_ok=True)

    def _inherit_cpuset(self, path: str) -> None:
        """A new v1 cpuset is empty and takes no process until it names CPUs and memory nodes."""
        root = self.layout.hierarchies.get("cpuset")
        if not root:
            return
        folder = Path(root)
        for part in path.strip("/").split("/"):
            parent, folder = folder, folder / part
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (folder / name).read_text(encoding="ascii").strip():
                    (folder / name).write_text((parent / name).read_text(encoding="ascii"), encoding="ascii")

    def _write(self, controller: str, path: str, name: str, value: str) -> None:
        folder = self._folder(controller, path)
        if folder and os.path.exists(f"{folder}/{name}"):
            Path(folder, name).write_text(value, encoding="ascii")

    def _read(self, controller: str, path: str, name: str) -> str | None:
        folder = self._folder(controller, path)
        try:
            return Path(folder, name).read_text(encoding="ascii") if folder else None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return None
            raise

    def _keyed(self, controller: str, path: str, name: str) -> dict[str, int]:
        lines = (self._read(controller, path, name) or "").splitlines()
        pairs = (line.split() for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _checked(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.strip("/").split("/")):
        raise Invalid(f"cgroup {path!r} is not the path of a cgroup of ours")
    return path


def cpu_weight(shares: int) -> int:
    """v1 shares (2-262144) as a v2 weight (1-10000), by the formula every runtime uses."""
    return 1 + ((min(max(shares, 2), 262_144) - 2) * 9999) // 262_142


def _v1_files(limits: Limits) -> list[tuple[str, str, str]]:
    memory = MEMORY_UNLIMITED if limits.memory_bytes is None else limits.memory_bytes
    quota = -1 if limits.cpu_quota_us is None else limits.cpu_quota_us
    return [
        ("cpu", "cpu.shares", str(max(limits.cpu_shares, 2))),
        ("cpu", "cpu.cfs_period_us", str(limits.cpu_period_us)),
        ("cpu", "cpu.cfs_quota_us", str(quota)),
        # Lifted first, for the kernel refuses memory above memory+swap; then equal, so that nothing is swapped.
        ("memory", "memory.memsw.limit_in_bytes", str(MEMORY_UNLIMITED)),
        ("memory", "memory.limit_in_bytes", str(memory)),
        ("memory", "memory.memsw.limit_in_bytes", str(memory)),
        ("pids", "pids.max", "max" if limits.pids is None else str(limits.pids)),
    ]


def _v2_files(limits: Limits) -> list[tuple[str, str, str]]:
    quota = "max" if limits.cpu_quota_us is None else str(limits.cpu_quota_us)
    return [
        ("cpu", "cpu.weight", str(cpu_weight(limits.cpu_shares))),
        ("cpu", "cpu.max", f"{quota} {limits.cpu_period_us}"),
        ("memory", "memory.max", "max" if limits.memory_bytes is None else str(limits.memory_bytes)),
        ("memory", "memory.swap.max", "max" if limits.memory_bytes is None else "0"),
        ("pids", "pids.max", "max" if limits.pids is None else str(limits.pids)),
    ]


def _remove_tree(folder: Path) -> bool:
    """Remove cgroup folders, deepest first; False when one is still in use."""
    try:
        below = [child for child in folder.iterdir() if child.is_dir()]
    except FileNotFoundError:
        return True
    gone = True
    for child in below:
        gone = _remove_tree(child) and gone
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno == errno.ENOENT:
            return gone
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return gone

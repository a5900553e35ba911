"""How cgroups are mounted on a machine: v1, hybrid (v1 controllers and an empty v2 mount) or v2.

In:    the mount table (`mounts.table`).
Out:   a `Layout`. Pure.
Spec:  cgroups(7).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wherry.infrastructure.linux.mounts import MountEntry
from wherry.kit.errors import Unsupported

_NAMES = """cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio perf_event rdma misc"""
CONTROLLERS = frozenset(_NAMES.split())


class Kind(StrEnum):
    """The three ways distributions mount cgroups."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Layout:
    """`hierarchies` maps a v1 controller, or "name=systemd", to its mount point; `unified` is the v2 mount or ""."""

    kind: Kind
    hierarchies: Mapping[str, str]
    unified: str
    unified_shared: bool = False  # is the mount that holds `unified` shared with other mount namespaces

    def folders(self, path: str) -> list[str]:
        """The folders of cgroup `path`, one in each hierarchy."""
        roots = set(self.hierarchies.values()) | ({self.unified} if self.unified else set())
        return [f"{root}/{path.strip('/')}" for root in sorted(roots)]

    def folder(self, controller: str, path: str) -> str | None:
        """The folder of cgroup `path` where `controller`'s files are; None when the controller is not mounted."""
        root = self.unified if self.kind is Kind.V2 else self.hierarchies.get(controller)
        return f"{root}/{path.strip('/')}" if root else None


def detect(entries: Iterable[MountEntry]) -> Layout:
    """The layout by what is mounted. Raise `Unsupported` when no cgroup file system is."""
    hierarchies: dict[str, str] = {}
    unified, shared_targets = "", set()
    for entry in entries:
        if entry.shared:
            shared_targets.add(entry.target)
        if entry.kind == "cgroup2":
            unified = unified or entry.target
        elif entry.kind == "cgroup":
            for name in entry.options.split(","):
                if name in CONTROLLERS or name.startswith("name="):
                    hierarchies.setdefault(name, entry.target)
    shared = unified.rpartition("/")[0] in shared_targets
    if CONTROLLERS & hierarchies.keys():
        return Layout(Kind.HYBRID if unified else Kind.V1, hierarchies, unified, shared)
    if unified:
        return Layout(Kind.V2, hierarchies, unified, shared)
    raise Unsupported("no cgroup file system is mounted; mount cgroup2 on /sys/fs/cgroup")

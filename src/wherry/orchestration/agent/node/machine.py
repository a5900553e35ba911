"""What the machine is and how it does: the only reader of /proc, /sys and /etc for the node object.

Out: `Machine` (does not change while it runs) and `Pressure` (does).
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}

MEMORY_AVAILABLE_BYTES_MIN = 100 * 1024 * 1024  # memory.available<100Mi
DISK_AVAILABLE_SHARE_MIN = 0.10  # nodefs.available<10%
INODES_FREE_SHARE_MIN = 0.05  # nodefs.inodesFree<5%
PIDS_FREE_SHARE_MIN = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts for capacity and nodeInfo."""

    cpus: int
    memory_bytes: int
    disk_bytes: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str
    hugepages_2mi_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """What runs short. Available amounts are for metrics and eviction."""

    memory: bool
    disk: bool
    pids: bool
    memory_available_bytes: int = 0
    disk_available_bytes: int = 0


def read_machine(data_dir: Path) -> Machine:
    """Of this machine; `data_dir` says which disk counts."""
    disk = os.statvfs(_existing(data_dir))
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=meminfo().get("MemTotal", 0),
        disk_bytes=disk.f_frsize * disk.f_blocks,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=_text("/etc/machine-id") or _text("/var/lib/dbus/machine-id"),
        system_uuid=_text("/sys/class/dmi/id/product_uuid") or _text("/etc/machine-id"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        hugepages_2mi_bytes=int(_text("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") or 0) * 2 * 1024 * 1024,
    )


def read_pressure(data_dir: Path) -> Pressure:
    """Hard eviction thresholds of kubelet's defaults."""
    memory, disk = meminfo(), os.statvfs(_existing(data_dir))
    available = memory.get("MemAvailable", 0)
    pids_max = int(_text("/proc/sys/kernel/pid_max") or 32768)
    return Pressure(
        memory=available < MEMORY_AVAILABLE_BYTES_MIN,
        disk=disk.f_bavail < disk.f_blocks * DISK_AVAILABLE_SHARE_MIN
        or (disk.f_files > 0 and disk.f_favail < disk.f_files * INODES_FREE_SHARE_MIN),
        pids=pids_max - _pids() < pids_max * PIDS_FREE_SHARE_MIN,
        memory_available_bytes=available,
        disk_available_bytes=disk.f_bavail * disk.f_frsize,
    )


def meminfo(text: str = "") -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = {}
    for line in (text or Path("/proc/meminfo").read_text()).splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _pids() -> int:
    """Threads that exist, from the fourth field of /proc/loadavg."""
    fields = _text("/proc/loadavg").split()
    return int(fields[3].partition("/")[2]) if len(fields) > 3 else 0


def _os_image() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _existing(folder: Path) -> Path:
    return next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))

"""What is mounted in a container besides its root: kernel file systems, the sandbox's /dev/shm, the caller's binds.

Pure. Spec: OCI runtime-spec 1.1 config.md "mounts" and "Default Filesystems".
"""

from collections.abc import Iterable
from typing import Any

from wherry.container.runtime.engine import Mount

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def mounts(binds: Iterable[Mount], *, shm_source: str, privileged: bool) -> list[dict[str, Any]]:
    """All of them in the order they must be made: a bind below another one comes after it."""
    binds = tuple(binds)
    own = {bind.target.rstrip("/") or "/" for bind in binds}
    kernel = [entry for entry in _kernel(privileged) if entry["destination"] not in own]
    if shm_source and "/dev/shm" not in own:
        kernel.append(_bind(Mount(shm_source, "/dev/shm"), extra=["nosuid", "noexec", "nodev"]))
    ordered = sorted(binds, key=lambda bind: bind.target.rstrip("/").count("/"))
    return kernel + [_bind(bind) for bind in ordered]


def root_propagation(binds: Iterable[Mount]) -> str:
    """The root's propagation must let through what its mounts want; private otherwise."""
    wanted = {bind.propagation for bind in binds}
    return next((kind for kind in ("rshared", "rslave") if kind in wanted), "")


def _kernel(privileged: bool) -> list[dict[str, Any]]:
    writable = ["rw"] if privileged else ["ro"]
    safe = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc", safe),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
        _mount("/sys", "sysfs", "sysfs", [*safe, *writable]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*safe, "relatime", *writable]),
    ]


def _mount(target: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": options}


def _bind(bind: Mount, extra: Iterable[str] = ()) -> dict[str, Any]:
    propagation = "rprivate" if bind.propagation == "private" else bind.propagation
    options = ["rbind", propagation, *extra]
    if bind.read_only:
        options.append("ro")
    if bind.read_only and bind.recursive_read_only:
        options.append("rro")
    return {"destination": bind.target, "type": "bind", "source": bind.source, "options": options}

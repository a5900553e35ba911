"""Make and take away the parts of a sandbox: namespaces, shared memory, cgroup, link, and an init when PIDs are shared.

In:    a `SandboxConfig`, the doors.
Out:   a `SandboxRecord`. What fails half-way is taken away again by `release` and `erase`, which are idempotent.
"""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wherry.container.runtime import records
from wherry.container.runtime.engine import PortMapping, Resources, SandboxConfig
from wherry.container.runtime.oci_runtime import OciRuntime, find_program
from wherry.container.runtime.records import SandboxRecord
from wherry.container.runtime.seccomp_cache import SeccompCache
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import mounts, namespaces, processes
from wherry.infrastructure.linux.cgroups import Cgroups, Limits
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.kit.clock import Clock
from wherry.kit.errors import Invalid

RECORD = "sandbox.json"
CGROUP_NAME = "cgroup"  # written first, so that the remains of a half-made sandbox tell where its processes are
# As containerd 2 has them: any user may listen on low ports and send pings, for the network is the sandbox's own.
SYSCTLS = {
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


@dataclass(frozen=True, slots=True)
class Doors:
    """What carries out the engine's work."""

    settings: RuntimeSettings
    runtime: OciRuntime
    cgroups: Cgroups
    network: SandboxNetwork
    filters: SeccompCache
    clock: Clock


def limits_of(resources: Resources) -> Limits:
    """The engine's limits in the words of the cgroup door."""
    return Limits(
        resources.cpu_shares, resources.cpu_quota_us, resources.cpu_period_us, resources.memory_limit_bytes, resources.pids_limit
    )


def cgroup_of(settings: RuntimeSettings, parent: str) -> str:
    """A sandbox's cgroup below the engine's root."""
    parts = parent.strip("/").split("/")
    if not all(parts) or any(part in (".", "..") for part in parts):
        raise Invalid(f"cgroup parent {parent!r} is not a plain relative path")
    return "/".join((settings.cgroup_root, *parts))


async def build(doors: Doors, config: SandboxConfig, created_at_ns: int) -> SandboxRecord:
    """All parts, and the record on disk."""
    folder = doors.settings.sandbox_dir(config.id)
    record = await asyncio.to_thread(_build_here, doors, config, created_at_ns)
    if record.network_path:
        address = await doors.network.attach(config.id, record.network_path, _forwards(config.port_mappings))
        record = replace(record, address=str(address))
    if config.shared_pid and not config.host_pid:
        record = await _start_init(doors, record)
    records.save(folder / RECORD, record)
    return record


async def release(doors: Doors, record: SandboxRecord) -> SandboxRecord:
    """Free the network, the namespaces and the memory; the record stays. Idempotent."""
    if record.init_pid:
        processes.send(record.init_pid, 9, record.init_ticks)
    await doors.network.detach(record.config.id)
    await asyncio.to_thread(_release_here, doors.settings.sandbox_dir(record.config.id))
    stopped = replace(record, ready=False)
    records.save(doors.settings.sandbox_dir(record.config.id) / RECORD, stopped)
    return stopped


async def erase(doors: Doors, sandbox_id: str) -> None:
    """Remove whatever is left of a sandbox, also of a half-made one. Idempotent."""
    folder = doors.settings.sandbox_dir(sandbox_id)
    await doors.network.detach(sandbox_id)
    if cgroup := await asyncio.to_thread(_cgroup_in, folder, doors.settings.cgroup_root):
        await doors.cgroups.remove(cgroup)
    await asyncio.to_thread(_release_here, folder)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await asyncio.to_thread(shutil.rmtree, doors.settings.runtime_state_dir / _init_id(sandbox_id), ignore_errors=True)


def _build_here(doors: Doors, config: SandboxConfig, created_at_ns: int) -> SandboxRecord:
    folder = doors.settings.sandbox_dir(config.id)
    cgroup = cgroup_of(doors.settings, config.cgroup_parent)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(folder / CGROUP_NAME, cgroup)
    files: dict[str, str] = {}
    if not config.host_network:
        files |= {"net": str(folder / "net"), "uts": str(folder / "uts")}
    if not config.host_ipc:
        files["ipc"] = str(folder / "ipc")
    sysctls = dict(config.sysctls)
    if not config.host_network:
        known = {name: value for name, value in SYSCTLS.items() if namespaces.sysctl_path(name).exists()}
        sysctls = known | sysctls
    _make_namespaces(files, config.hostname, sysctls)
    shm = "/dev/shm" if config.host_ipc else str(folder / "shm")
    if not config.host_ipc:
        Path(shm).mkdir(exist_ok=True)
        flags = mounts.NO_SUID | mounts.NO_DEV | mounts.NO_EXEC
        mounts.tmpfs(shm, f"mode=1777,size={doors.settings.shm_bytes}", flags)
    doors.cgroups.create(cgroup, limits_of(config.resources))
    return SandboxRecord(
        config, created_at_ns, network_path=files.get("net", ""), ipc_path=files.get("ipc", ""),
        uts_path=files.get("uts", ""), shm_path=shm,
    )  # fmt: skip


def _cgroup_in(folder: Path, root: str) -> str:
    """The cgroup a sandbox has written down; "" before that, or where the file holds no place below `root`."""
    try:
        cgroup = (folder / CGROUP_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return cgroup if cgroup.startswith(f"{root}/") and cgroup != f"{root}/" else ""


def _make_namespaces(files: dict[str, str], hostname: str, sysctls: dict[str, str]) -> None:
    if not files:
        return
    try:
        namespaces.create(files, hostname=hostname[:64], sysctls=sysctls)
    except (ValueError, FileNotFoundError, PermissionError) as error:
        raise Invalid(f"a sysctl of the sandbox is not accepted by this kernel: {error}") from error


def _release_here(folder: Path) -> None:
    for kind in ("net", "ipc", "uts"):
        namespaces.drop(str(folder / kind))
    mounts.unmount(str(folder / "shm"))


def _forwards(ports: Sequence[PortMapping]) -> tuple[PortForward, ...]:
    return tuple(PortForward(p.protocol.lower(), p.container_port, p.host_port, p.host_ip) for p in ports if p.host_port)


def _init_id(sandbox_id: str) -> str:
    return f"{sandbox_id}.init"


async def _start_init(doors: Doors, record: SandboxRecord) -> SandboxRecord:
    """PID 1 of the shared PID namespace: reaps orphans and does nothing else."""
    program = find_program(doors.settings.init, "catatonit")
    bundle = doors.settings.sandbox_dir(record.config.id) / "init"
    (bundle / "rootfs").mkdir(parents=True, exist_ok=True)
    cgroup = f"/{cgroup_of(doors.settings, record.config.cgroup_parent)}/{_init_id(record.config.id)}"
    records.write(bundle / "config.json", json.dumps(_init_spec(program, cgroup, record)))
    pid = await doors.runtime.run_detached(bundle, _init_id(record.config.id))
    return replace(record, init_pid=pid, init_ticks=processes.start_ticks(pid) or 0, pid_path=f"/proc/{pid}/ns/pid")


def _init_spec(program: str, cgroup: str, record: SandboxRecord) -> dict[str, object]:
    paths = (("network", record.network_path), ("ipc", record.ipc_path), ("uts", record.uts_path))
    namespaces_ = [{"type": "mount"}, {"type": "pid"}, *({"type": kind, "path": path} for kind, path in paths if path)]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 65535, "gid": 65535}, "args": ["/init", "-P"], "cwd": "/", "noNewPrivileges": True,
            "env": [], "oomScoreAdj": max(-998, processes.oom_score_adj_min()), "capabilities": {},
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/init", "type": "bind", "source": program, "options": ["bind", "ro"]},
        ],
        "linux": {"cgroupsPath": cgroup, "namespaces": namespaces_, "resources": {"cpu": {"shares": 2}}},
    }  # fmt: skip

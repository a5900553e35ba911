"""Make and take away the parts of a container: root filesystem, OCI bundle, conmon with the created process.

In:    a `ContainerConfig`, its sandbox's record, the doors.
Out:   a `ContainerRecord` on disk. `erase` removes whole and half-made ones and is idempotent.
"""

import asyncio
import errno
import json
import os
import platform
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.container.runtime import conmon, oci_spec, records, rootfs, seccomp, users
from wherry.container.runtime.engine import ContainerConfig, Device
from wherry.container.runtime.oci_spec import Surroundings
from wherry.container.runtime.records import ContainerRecord, SandboxRecord
from wherry.container.runtime.rootfs import LayerSource
from wherry.container.runtime.sandbox_parts import Doors, cgroup_of
from wherry.infrastructure.linux import capabilities, processes, signals
from wherry.infrastructure.linux.cgroup_layout import Kind
from wherry.kit.errors import Broken, Invalid

RECORD = "container.json"
CANNOT_RUN = "ContainerCannotRun"
# Parts of the runtimes' messages when the command, not the configuration, is at fault.
COMMAND_FAULTS = ("executable file", "open executable", "exec format error", "no such file or directory: exec")
# Of /dev, what belongs to a container itself even when it is privileged.
OWN_DEVICES = ("pts", "shm", "fd", "mqueue", "console", "ptmx", "core", "stdin", "stdout", "stderr", "null", "zero", "full",
               "random", "urandom", "tty")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Where a container is created: its sandbox, and the PID namespace it joins ("" the machine's, None its own)."""

    sandbox: SandboxRecord
    pid_path: str | None


async def build(
    doors: Doors, layers: LayerSource, config: ContainerConfig, target: Target, created_at_ns: int
) -> ContainerRecord:
    """Everything up to the created process. Raise `Invalid` for what the runtime or the image refuses."""
    document = await layers.config(config.image)
    image = document.get("config") or {}
    stop_signal = signals.number(config.stop_signal or str(image.get("StopSignal") or "SIGTERM"))
    bundle = doors.settings.bundle(config.id)
    root = await rootfs.mount(doors.settings, config.id, await layers.layers(config.image))
    cgroup = f"{cgroup_of(doors.settings, target.sandbox.config.cgroup_parent)}/{config.id}"
    spec = await asyncio.to_thread(_prepare, doors, config, image, target, root, cgroup)
    profile = spec["linux"].get("seccomp")
    spec["annotations"] = doors.filters.annotations(profile)
    records.write(bundle / "config.json", json.dumps(spec))
    Path(config.log_path).parent.mkdir(parents=True, exist_ok=True)
    try:
        created = await conmon.create(doors.settings, doors.runtime, doors.cgroups, config)
    except conmon.CreateRefused as error:
        if not any(fault in str(error).lower() for fault in COMMAND_FAULTS):
            raise
        record = ContainerRecord(config, cgroup, stop_signal, created_at_ns, reason=CANNOT_RUN, message=str(error))
    else:
        doors.filters.keep(profile, doors.settings.runtime_state_dir / config.id)
        record = ContainerRecord(
            config, cgroup, stop_signal, created_at_ns,
            pid=created.pid, pid_ticks=processes.start_ticks(created.pid) or 0,
            conmon_pid=created.conmon_pid, conmon_ticks=processes.start_ticks(created.conmon_pid) or 0,
        )  # fmt: skip
    records.save(bundle / RECORD, record)
    return record


async def erase(doors: Doors, container_id: str) -> None:
    """Kill and remove whatever there is of a container. The log stays."""
    bundle = doors.settings.bundle(container_id)
    if cgroup := await asyncio.to_thread(_cgroup_in, bundle):
        await doors.cgroups.remove(cgroup)
    await rootfs.discard(doors.settings, container_id)
    for folder in (bundle, doors.settings.runtime_state_dir / container_id):
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    (doors.settings.exit_dir / container_id).unlink(missing_ok=True)


def read_spec(bundle: Path) -> dict[str, Any]:
    """The OCI document a container was created from."""
    try:
        document = json.loads((bundle / "config.json").read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise Broken(f"bundle {str(bundle)!r} has no readable config.json: {error}") from error
    assert isinstance(document, dict)
    return document


def _prepare(
    doors: Doors, config: ContainerConfig, image: dict[str, Any], target: Target, root: Path, cgroup: str
) -> dict[str, Any]:
    passwd, group = rootfs.read_text(root, "/etc/passwd"), rootfs.read_text(root, "/etc/group")
    user = users.resolve(config.security, str(image.get("User") or ""), passwd, group)
    around = _surroundings(doors, config, target, cgroup)
    return oci_spec.render(config, image, user, around)


def _surroundings(doors: Doors, config: ContainerConfig, target: Target, cgroup: str) -> Surroundings:
    sandbox, layout = target.sandbox, doors.cgroups.layout
    memory = layout.folder("memory", "") or ""
    return Surroundings(
        hostname=platform.node() if sandbox.config.host_network else sandbox.config.hostname,
        network_path=sandbox.network_path,
        ipc_path=sandbox.ipc_path,
        uts_path=sandbox.uts_path,
        pid_path=target.pid_path,
        shm_source=sandbox.shm_path,
        cgroup_path=f"/{cgroup}",
        seccomp=_seccomp(config),
        available_capabilities=capabilities.available(),
        oom_score_adj_min=processes.oom_score_adj_min(),
        devices=tuple(_devices(config)),
        swap_limit=layout.kind is Kind.V2 or os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"),
        oom_group=layout.kind is Kind.V2,
    )


def _seccomp(config: ContainerConfig) -> dict[str, Any] | None:
    wanted = config.security.seccomp
    if config.security.privileged or wanted in ("unconfined", ""):
        return None
    if wanted == "runtime/default":
        return seccomp.default_profile(oci_spec.held_capabilities(config), platform.machine())
    if wanted.startswith("localhost/"):
        return seccomp.from_file("/" + wanted.removeprefix("localhost/").lstrip("/"))
    raise Invalid(f"seccomp profile {wanted!r} is not runtime/default, unconfined or localhost/<path>")


def _devices(config: ContainerConfig) -> list[tuple[Device, int, int, str]]:
    wanted = list(config.devices)
    if config.security.privileged:
        taken = {device.target for device in wanted}
        wanted += [Device(path, path) for path in _host_devices() if path not in taken]
    found = []
    for device in wanted:
        try:
            status = os.stat(device.source)
        except OSError as error:
            if error.errno == errno.ENOENT and device not in config.devices:
                continue
            raise Invalid(f"device {device.source!r}: {error.strerror}") from error
        kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
        if kind:
            found.append((device, os.major(status.st_rdev), os.minor(status.st_rdev), kind))
        elif device in config.devices:
            raise Invalid(f"device {device.source!r} is neither a character nor a block device")
    return found


def _host_devices() -> list[str]:
    found = []
    for folder, folders, names in os.walk("/dev"):
        if folder == "/dev":
            folders[:] = [name for name in folders if name not in OWN_DEVICES]
            names = [name for name in names if name not in OWN_DEVICES]
        found += [f"{folder}/{name}" for name in names]
    return sorted(found)


def _cgroup_in(bundle: Path) -> str:
    """The cgroup written in a bundle, "" when creation did not come that far."""
    try:
        return str(read_spec(bundle)["linux"]["cgroupsPath"]).strip("/")
    except (Broken, KeyError):
        return ""

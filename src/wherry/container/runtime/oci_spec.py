"""The OCI runtime spec (config.json) of one container, from values.

In:    the caller's config, the image's config, what the sandbox offers, the user as resolved in the root filesystem.
Out:   a dict for json. Pure: reads no file and no clock.
Spec:  OCI runtime-spec 1.1 config.md, config-linux.md; image-spec "conversion to runtime configuration".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.container.runtime import oci_mounts
from wherry.container.runtime.engine import ContainerConfig, Device, Resources
from wherry.container.runtime.users import ProcessUser
from wherry.infrastructure.linux import capabilities
from wherry.kit.errors import Invalid

VERSION = "1.0.2"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# major:minor of null, zero, full, random, urandom, tty, console, ptmx and the pseudo terminals
DEVICE_NUMBERS = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container finds around it. A namespace path "" means the machine's own; `pid_path` None a new one."""

    hostname: str
    network_path: str
    ipc_path: str
    uts_path: str
    pid_path: str | None
    shm_source: str
    cgroup_path: str
    seccomp: Mapping[str, Any] | None
    # In a machine that is itself a container, root may lack capabilities; then it can neither hand them on nor go below
    # its own OOM score, and insisting would start nothing.
    available_capabilities: frozenset[str] = frozenset(capabilities.ALL)
    oom_score_adj_min: int = -1000
    devices: tuple[tuple[Device, int, int, str], ...] = ()  # device, major, minor, "c" or "b"
    swap_limit: bool = False  # does the kernel account swap
    oom_group: bool = False  # cgroup v2: out of memory ends the whole container, not one process of it


def render(config: ContainerConfig, image: Mapping[str, Any], user: ProcessUser, around: Surroundings) -> dict[str, Any]:
    """The whole document. Raise `Invalid` when there is no command or a name is not known."""
    security = config.security
    spec: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(config, image, user, around),
        "root": {"path": "rootfs", "readonly": security.read_only_root},
        "mounts": oci_mounts.mounts(config.mounts, shm_source=around.shm_source, privileged=security.privileged),
        "linux": _linux(config, around),
    }
    return spec


def command(config: ContainerConfig, image: Mapping[str, Any]) -> list[str]:
    """CRI's rule: `command` replaces Entrypoint and Cmd, `args` alone replaces Cmd."""
    entrypoint, arguments = image.get("Entrypoint") or [], image.get("Cmd") or []
    if config.command:
        found = [*config.command, *config.args]
    else:
        found = [*entrypoint, *(config.args or arguments)]
    if not found:
        raise Invalid(f"container {config.name!r}: no command specified, and the image has none")
    return [str(word) for word in found]


def environment(config: ContainerConfig, image: Mapping[str, Any], user: ProcessUser, hostname: str) -> list[str]:
    """The image's variables under the caller's, with PATH, HOME, HOSTNAME and (on a terminal) TERM always set."""
    values = dict(line.partition("=")[::2] for line in (PATH, f"HOSTNAME={hostname}"))
    if config.tty:
        values["TERM"] = "xterm"
    values |= dict(str(line).partition("=")[::2] for line in image.get("Env") or [])
    values |= dict(config.env)
    values.setdefault("HOME", user.home or "/")
    return [f"{name}={value}" for name, value in values.items()]


def process_for_exec(spec: Mapping[str, Any], argv: Sequence[str], *, tty: bool) -> dict[str, Any]:
    """The process document of a further process: as the first one, with another command and terminal."""
    process = {**spec["process"], "args": list(argv), "terminal": tty}
    if tty and not any(line.startswith("TERM=") for line in process["env"]):
        process["env"] = [*process["env"], "TERM=xterm"]
    return process


def resources(limits: Resources, *, swap_limit: bool = False) -> dict[str, Any]:
    """Cgroup limits in the spec's words; the runtime converts them for v2."""
    cpu: dict[str, Any] = {"shares": max(limits.cpu_shares, 2)}
    if limits.cpu_quota_us is not None:
        cpu |= {"quota": limits.cpu_quota_us, "period": limits.cpu_period_us}
    found: dict[str, Any] = {"cpu": cpu}
    if limits.memory_limit_bytes is not None:
        found["memory"] = {"limit": limits.memory_limit_bytes}
        if swap_limit:
            found["memory"]["swap"] = limits.memory_limit_bytes
    if limits.pids_limit is not None:
        found["pids"] = {"limit": limits.pids_limit}
    return found


def held_capabilities(config: ContainerConfig) -> tuple[str, ...]:
    """What the process may hold at most."""
    security = config.security
    if security.privileged:
        return capabilities.ALL
    return capabilities.effective(security.add_capabilities, security.drop_capabilities)


def _process(config: ContainerConfig, image: Mapping[str, Any], user: ProcessUser, around: Surroundings) -> dict[str, Any]:
    held = [name for name in held_capabilities(config) if name in around.available_capabilities]
    sets = {"bounding": held, "effective": held, "permitted": held}
    return {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": command(config, image),
        "env": environment(config, image, user, around.hostname),
        "cwd": config.working_dir or str(image.get("WorkingDir") or "") or "/",
        "capabilities": sets if user.uid == 0 else {"bounding": held},
        "noNewPrivileges": config.security.no_new_privileges,
        "oomScoreAdj": max(config.resources.oom_score_adj, around.oom_score_adj_min),
    }


def _linux(config: ContainerConfig, around: Surroundings) -> dict[str, Any]:
    security = config.security
    masked = oci_mounts.MASKED if security.masked_paths is None else security.masked_paths
    read_only = oci_mounts.READ_ONLY if security.read_only_paths is None else security.read_only_paths
    linux: dict[str, Any] = {
        "namespaces": _namespaces(around, privileged=security.privileged),
        "cgroupsPath": around.cgroup_path,
        "resources": {
            **resources(config.resources, swap_limit=around.swap_limit),
            "devices": _device_rules(around, privileged=security.privileged),
        },
        "devices": [
            {"path": device.target, "type": kind, "major": major, "minor": minor, "fileMode": 0o666}
            for device, major, minor, kind in around.devices
        ],
        "maskedPaths": [] if security.privileged else list(masked),
        "readonlyPaths": [] if security.privileged else list(read_only),
    }
    if around.oom_group:
        linux["resources"]["unified"] = {"memory.oom.group": "1"}
    if propagation := oci_mounts.root_propagation(config.mounts):
        linux["rootfsPropagation"] = propagation
    if around.seccomp is not None:
        linux["seccomp"] = dict(around.seccomp)
    return linux


def _namespaces(around: Surroundings, *, privileged: bool) -> list[dict[str, str]]:
    shared = (("network", around.network_path), ("ipc", around.ipc_path), ("uts", around.uts_path))
    found = [{"type": "mount"}, *({"type": kind, "path": path} for kind, path in shared if path)]
    if around.pid_path is None:
        found.append({"type": "pid"})
    elif around.pid_path:
        found.append({"type": "pid", "path": around.pid_path})
    if not privileged:
        found.append({"type": "cgroup"})  # /proc/self/cgroup says "/", not where the machine keeps it
    return found


def _device_rules(around: Surroundings, *, privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": kind, "access": "m"} for kind in ("c", "b")]  # making a node is not opening it
    for major, minor in DEVICE_NUMBERS:
        rule: dict[str, Any] = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        rules.append(rule if minor is None else {**rule, "minor": minor})
    for device, major, minor, kind in around.devices:
        rules.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": device.permissions})
    return rules

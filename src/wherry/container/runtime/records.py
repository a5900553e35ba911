"""What the engine remembers of sandboxes and containers, one JSON file each, so that the next process finds all again.

In:    frozen configs and what happened so far.
Out:   files replaced by rename. No fsync: after a loss of power nothing they describe is left (see `boot_id`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from wherry.container.runtime.engine import (
    ContainerConfig,
    ContainerStatus,
    Device,
    Mount,
    PortMapping,
    Resources,
    SandboxConfig,
    SandboxStatus,
    Security,
    State,
)
from wherry.kit.errors import Broken


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """A sandbox. `init_pid` is 0 without a shared PID namespace."""

    config: SandboxConfig
    created_at_ns: int
    address: str = ""
    network_path: str = ""
    ipc_path: str = ""
    uts_path: str = ""
    pid_path: str = ""
    shm_path: str = ""
    init_pid: int = 0
    init_ticks: int = 0
    ready: bool = True

    def status(self) -> SandboxStatus:
        """As the engine's users see it."""
        address = IPv4Address(self.address) if self.address else None
        return SandboxStatus(
            self.config.id, self.ready, address, self.created_at_ns, self.config.labels, self.network_path
        )


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """A container. Processes are known by pid and start time (ticks)."""

    config: ContainerConfig
    cgroup: str
    stop_signal: int
    created_at_ns: int
    state: State = State.CREATED
    started_at_ns: int = 0
    finished_at_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    pid: int = 0
    pid_ticks: int = 0
    conmon_pid: int = 0
    conmon_ticks: int = 0

    def status(self) -> ContainerStatus:
        """As the engine's users see it."""
        config = self.config
        return ContainerStatus(
            config.id, config.sandbox_id, config.name, config.attempt, self.state, config.image, config.image,
            self.created_at_ns, self.started_at_ns, self.finished_at_ns, self.exit_code, self.reason, self.message,
            self.pid if self.state is State.RUNNING else 0, config.log_path, config.labels,
        )  # fmt: skip


def save(path: Path, record: SandboxRecord | ContainerRecord) -> None:
    """Replace the file."""
    write(path, json.dumps(asdict(record)))


def write(path: Path, text: str) -> None:
    """Replace the file as a whole: where the file system is full, it stays as it was. Not synced: a reboot takes all of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def load_sandbox(path: Path) -> SandboxRecord | None:
    """The record, or None when creation never came as far as writing it."""
    data = _load(path)
    if data is None:
        return None
    config = data.pop("config")
    ports = tuple(PortMapping(**port) for port in config.pop("port_mappings"))
    resources = Resources(**config.pop("resources"))
    return SandboxRecord(SandboxConfig(**config, port_mappings=ports, resources=resources), **data)


def load_container(path: Path) -> ContainerRecord | None:
    """The record, or None when creation never came as far as writing it."""
    data = _load(path)
    if data is None:
        return None
    state = State(data.pop("state"))
    return ContainerRecord(_container_config(data.pop("config")), state=state, **data)


def boot_id() -> str:
    """A text that changes with every boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _container_config(data: dict[str, Any]) -> ContainerConfig:
    return ContainerConfig(
        **{
            **data,
            "command": tuple(data["command"]),
            "args": tuple(data["args"]),
            "env": tuple((name, value) for name, value in data["env"]),
            "mounts": tuple(Mount(**mount) for mount in data["mounts"]),
            "devices": tuple(Device(**device) for device in data["devices"]),
            "resources": Resources(**data["resources"]),
            "security": Security(**_tuples(data["security"])),
        }
    )


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _load(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Broken(f"record {str(path)!r} is not JSON: {error}") from error
    assert isinstance(data, dict)
    return data

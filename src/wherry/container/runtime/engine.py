"""The container engine: sandboxes and containers on this machine. Shaped like CRI v1 so that containerd can stand in.

In:    frozen configs with everything resolved (image ids, mount sources, env, cgroup paths).
Out:   ids, statuses, exit events, byte streams.
Spec:  kubernetes/cri-api runtime/v1 (semantics: stop and remove are idempotent, "OOMKilled" reason), OCI runtime-spec 1.1.
Never: knows a Kubernetes word; `orchestration/agent/plan/configs.py` is where a Pod becomes these values.

Containers and their logs survive the death of this process; `restore()` adopts what runs.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Protocol

from wherry.infrastructure.linux.netlink import LinkCounters


class State(StrEnum):
    """CRI container states."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind mount into a container. `source` is a path on the machine that exists; it may be a file."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "private"  # private | rslave | rshared
    recursive_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device node to be made in the container."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the machine that leads to the sandbox (hostPort)."""

    protocol: str  # tcp | udp | sctp
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits, applied as cgroup v1 or v2 values. None: not limited."""

    cpu_shares: int = 2  # v1 units; 1024 is one core's weight
    cpu_quota_us: int | None = None  # per `cpu_period_us`
    cpu_period_us: int = 100_000
    memory_limit_bytes: int | None = None
    pids_limit: int | None = None
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class Security:
    """Who the process is and what it may do."""

    user_id: int | None = None  # None: the image's user
    group_id: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    user_name: str = ""  # image user by name, resolved in the rootfs's /etc/passwd
    privileged: bool = False
    add_capabilities: tuple[str, ...] = ()  # without CAP_, or "ALL"
    drop_capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    read_only_root: bool = False
    seccomp: str = "runtime/default"  # runtime/default | unconfined | localhost/<path>
    masked_paths: tuple[str, ...] | None = None  # None: the default list
    read_only_paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What several containers share: network, IPC and UTS namespaces, a cgroup parent."""

    id: str  # chosen by the caller, [a-z0-9-]{1,64}
    hostname: str
    cgroup_parent: str  # such as "kubepods/burstable/pod<uid>", relative to the engine's cgroup root
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    shared_pid: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    port_mappings: tuple[PortMapping, ...] = ()
    resources: Resources = field(default_factory=Resources)  # of the cgroup parent; limits only when all containers have them
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """A sandbox as it is. `ready` is False once stopped. `address` is None on the host network."""

    id: str
    ready: bool
    address: IPv4Address | None
    created_at_ns: int
    labels: Mapping[str, str]
    network_path: str  # bind-mounted namespace file, "" on the host network


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One container. Everything is resolved: the engine only unpacks, mounts and runs.

    `image` is an image id (config digest, `sha256:...`) present in the content store.
    `command`/`args` override the image's Entrypoint/Cmd in the way of CRI: command replaces both.
    """

    id: str
    sandbox_id: str
    name: str
    attempt: int
    image: str
    log_path: str  # absolute; CRI log format
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
    stop_signal: str = ""  # "" : the image's, else SIGTERM
    target_container: str = ""  # share the PID namespace of this container (ephemeral containers)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as it is. Times are Unix nanoseconds, 0 when it has not happened.

    `reason` is Completed, Error, OOMKilled or ContainerCannotRun (message says why) once exited.
    """

    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: State
    image: str
    image_ref: str
    created_at_ns: int
    started_at_ns: int = 0
    finished_at_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    pid: int = 0
    log_path: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup has used. `working_set_bytes` is usage minus inactive file cache."""

    cpu_usage_ns: int
    memory_usage_bytes: int
    working_set_bytes: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What `exec_sync` saw; each stream cut at 16 MiB."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Session(Protocol):
    """A running exec or attach. With a tty everything comes as stdout."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """("stdout" | "stderr", bytes) until both end."""

    async def write_stdin(self, data: bytes) -> None:
        """Send to stdin; waits while it is full."""

    async def close_stdin(self) -> None:
        """End of file on stdin."""

    async def resize(self, width: int, height: int) -> None:
        """Set the terminal size; nothing without a tty."""

    async def wait(self) -> int:
        """The exit code (exec), or 0 when the container ends or detaches (attach)."""

    async def close(self) -> None:
        """Let go; an exec'd process that still runs is killed, an attached one goes on."""


class Engine(Protocol):
    """See the module docstring. Every method raises `kit.errors` kinds; unknown ids raise `NotFound` except in stop/remove."""

    async def restore(self) -> None:
        """Once at start: adopt sandboxes and containers that outlived the last process, drop remains of dead ones."""

    async def create_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        """Namespaces, link, address, cgroup. Idempotent by id."""

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill its containers, release the network. Idempotent."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop, then remove containers, namespaces, cgroup and files. Idempotent."""

    async def sandboxes(self) -> list[SandboxStatus]:
        """All of them."""

    async def create_container(self, config: ContainerConfig) -> None:
        """Root filesystem, OCI bundle, `crun create`. Not started. Raises `Invalid` for a config the runtime refuses."""

    async def start_container(self, container_id: str) -> None:
        """Run the process. Raises `Invalid` (ContainerCannotRun) when the command cannot be executed."""

    async def stop_container(self, container_id: str, *, grace_s: float) -> None:
        """Stop signal, wait up to `grace_s`, SIGKILL. Returns when it has exited. Idempotent."""

    async def remove_container(self, container_id: str) -> None:
        """Kill if running; drop its filesystem and bundle. The log file stays. Idempotent."""

    async def containers(self) -> list[ContainerStatus]:
        """All of them."""

    async def container_status(self, container_id: str) -> ContainerStatus:
        """One of them."""

    def events(self) -> AsyncIterator[str]:
        """The id of each container whose state changed; coalesced, never blocks the engine."""

    async def exec(self, container_id: str, argv: tuple[str, ...], *, tty: bool, stdin: bool) -> Session:
        """Start a further process in a running container."""

    async def exec_sync(self, container_id: str, argv: tuple[str, ...], *, timeout_s: float) -> ExecResult:
        """Run to the end. Raises `TimedOut` after killing it."""

    async def attach(self, container_id: str, *, stdin: bool) -> Session:
        """Join the container's own streams."""

    async def dial(self, sandbox_id: str, port: int) -> tuple[object, object]:
        """An (asyncio.StreamReader, asyncio.StreamWriter) to 127.0.0.1:`port` inside the sandbox (port-forward, probes)."""

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        """Change the cgroup limits of a running container."""

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        """Change the limits of the sandbox's cgroup parent. Raises `Conflict` when more memory is in use."""

    async def reopen_log(self, container_id: str) -> None:
        """After the log file was renamed: write to a new one of the old name."""

    async def usage(self, container_id: str) -> Usage:
        """Cumulative CPU time and memory."""

    async def filesystem_usage(self, container_id: str) -> int:
        """Bytes in the container's writable layer."""

    async def network_usage(self, sandbox_id: str) -> tuple[LinkCounters, ...]:
        """What went through the sandbox's links but loopback; nothing on the host network, whose links are not its own."""

"""An engine and an image store in memory: they pass `wherry.testing.engine_suite` and start nothing.

Programs a container may run (others run until they are stopped):
  true | false | sleep SECONDS | sh -c "[echo TEXT;] [sleep SECONDS;] [exit CODE]"
`exec_sync` knows the same and answers at once. Log lines of `echo` go to the log file in the CRI format.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

from wherry.container.image.service import Credentials, Image
from wherry.container.runtime.engine import (
    ContainerConfig,
    ContainerStatus,
    ExecResult,
    Resources,
    SandboxConfig,
    SandboxStatus,
    Session,
    State,
    Usage,
)
from wherry.infrastructure.linux.netlink import LinkCounters
from wherry.kit.clock import Clock, SystemClock
from wherry.kit.errors import Invalid, NotFound, Unsupported

NS = 1_000_000_000
SIGKILL_CODE, SIGTERM_CODE = 137, 143
_SCRIPT = re.compile(
    r"^\s*(?:echo (?P<text>[^;]*);?)?\s*(?:sleep (?P<sleep>[\d.]+|infinity);?)?\s*(?:exit (?P<code>\d+))?\s*$"
)


@dataclass(frozen=True, slots=True)
class Program:
    """What a container does: print, run for so long (None: for ever), end with a code."""

    text: str = ""
    runs_s: float | None = None
    exit_code: int = 0
    ignores_stop: bool = False  # only SIGKILL ends it


def program_of(argv: tuple[str, ...]) -> Program:
    """The meaning of a command line."""
    match argv:
        case ("true",) | ("/bin/true",):
            return Program(runs_s=0)
        case ("false",) | ("/bin/false",):
            return Program(runs_s=0, exit_code=1)
        case ("sleep", span):
            return Program(runs_s=None if span == "infinity" else float(span))
        case (("sh" | "/bin/sh"), "-c", script) if found := _SCRIPT.match(script):
            span = found["sleep"] or "0"
            return Program(found["text"] or "", None if span == "infinity" else float(span), int(found["code"] or 0))
    return Program()


@dataclass(slots=True)
class _Container:
    config: ContainerConfig
    status: ContainerStatus
    program: Program
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class FakeEngine:
    """`calls` lists the names of the methods that changed something, with their ids. `programs` overrides by container name."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.calls: list[tuple[str, str]] = []
        self.programs: dict[str, Program] = {}
        self.exec_results: dict[tuple[str, ...], ExecResult] = {}
        self.configs: dict[str, ContainerConfig] = {}
        self.sandbox_configs: dict[str, SandboxConfig] = {}
        self.refusals: dict[str, str] = {}  # container name -> create_container raises Invalid with this text
        self._sandboxes: dict[str, SandboxStatus] = {}
        self._containers: dict[str, _Container] = {}
        self._changed: list[asyncio.Queue[str]] = []
        self._addresses = 0

    async def restore(self) -> None:
        self.calls.append(("restore", ""))

    async def create_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        if config.id in self._sandboxes and self._sandboxes[config.id].ready:
            return self._sandboxes[config.id]
        self._addresses += 1
        address = None if config.host_network else IPv4Address("10.244.0.1") + self._addresses
        status = SandboxStatus(config.id, True, address, self._now_ns(), dict(config.labels), "")
        self._sandboxes[config.id] = status
        self.sandbox_configs[config.id] = config
        self.calls.append(("create_sandbox", config.id))
        return status

    async def stop_sandbox(self, sandbox_id: str) -> None:
        for container in self._of(sandbox_id):
            await self.stop_container(container.config.id, grace_s=0)
        if sandbox_id in self._sandboxes:
            self._sandboxes[sandbox_id] = replace(self._sandboxes[sandbox_id], ready=False)
            self.calls.append(("stop_sandbox", sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        for container in self._of(sandbox_id):
            await self.remove_container(container.config.id)
        if self._sandboxes.pop(sandbox_id, None) is not None:
            self.calls.append(("remove_sandbox", sandbox_id))

    async def sandboxes(self) -> list[SandboxStatus]:
        return [*self._sandboxes.values()]

    async def create_container(self, config: ContainerConfig) -> None:
        if config.sandbox_id not in self._sandboxes:
            raise NotFound(f"sandbox {config.sandbox_id!r} does not exist")
        if config.name in self.refusals:
            raise Invalid(self.refusals[config.name])
        if config.id in self._containers:
            raise Invalid(f"container {config.id!r} exists")
        status = ContainerStatus(
            id=config.id, sandbox_id=config.sandbox_id, name=config.name, attempt=config.attempt, state=State.CREATED,
            image=config.image, image_ref=config.image, created_at_ns=self._now_ns(), log_path=config.log_path,
            labels=dict(config.labels),
        )  # fmt: skip
        program = self.programs.get(config.name) or program_of((*config.command, *config.args))
        self._containers[config.id] = _Container(config, status, program)
        self.configs[config.id] = config
        self.calls.append(("create_container", config.name))

    async def start_container(self, container_id: str) -> None:
        container = self._need(container_id)
        container.status = replace(container.status, state=State.RUNNING, started_at_ns=self._now_ns(), pid=1)
        self.calls.append(("start_container", container.config.name))
        self._write_log(container)
        self._tell(container_id)
        if container.program.runs_s is not None:
            loop = asyncio.get_running_loop()
            container.timer = loop.call_later(
                container.program.runs_s, self._end, container_id, container.program.exit_code
            )

    def end(self, name: str, exit_code: int = 0, *, reason: str = "") -> None:
        """Test control: the running container of that name ends now."""
        for container_id, container in self._containers.items():
            if container.config.name == name and container.status.state == State.RUNNING:
                self._end(container_id, exit_code, reason)

    async def stop_container(self, container_id: str, *, grace_s: float) -> None:
        container = self._containers.get(container_id)
        if container is None or container.status.state == State.EXITED:
            return
        self.calls.append(("stop_container", container.config.name))
        if container.program.ignores_stop and grace_s > 0:
            try:
                async with asyncio.timeout(grace_s):
                    await container.ended.wait()
            except TimeoutError:
                self._end(container_id, SIGKILL_CODE)
            return
        self._end(container_id, SIGKILL_CODE if container.program.ignores_stop else SIGTERM_CODE)

    async def remove_container(self, container_id: str) -> None:
        if container_id in self._containers:
            await self.stop_container(container_id, grace_s=0)
            name = self._containers.pop(container_id).config.name
            self.calls.append(("remove_container", name))
            self._tell(container_id)

    async def containers(self) -> list[ContainerStatus]:
        return [container.status for container in self._containers.values()]

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self._need(container_id).status

    async def events(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._changed.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._changed.remove(queue)

    async def exec(self, container_id: str, argv: tuple[str, ...], *, tty: bool, stdin: bool) -> Session:
        raise Unsupported("exec sessions are not in the fake engine")

    async def exec_sync(self, container_id: str, argv: tuple[str, ...], *, timeout_s: float) -> ExecResult:
        self._need(container_id)
        self.calls.append(("exec", " ".join(argv)))
        if argv in self.exec_results:
            return self.exec_results[argv]
        program = program_of(argv)
        return ExecResult(program.exit_code, f"{program.text}\n".encode() if program.text else b"", b"")

    async def attach(self, container_id: str, *, stdin: bool) -> Session:
        raise Unsupported("attach is not in the fake engine")

    async def dial(self, sandbox_id: str, port: int) -> tuple[object, object]:
        return await asyncio.open_connection("127.0.0.1", port)

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        container = self._need(container_id)
        container.config = self.configs[container_id] = replace(container.config, resources=resources)

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        self.sandbox_configs[sandbox_id] = replace(self.sandbox_configs[sandbox_id], resources=resources)

    async def reopen_log(self, container_id: str) -> None:
        Path(self._need(container_id).config.log_path).touch()
        self.calls.append(("reopen_log", container_id))

    async def usage(self, container_id: str) -> Usage:
        self._need(container_id)
        return Usage(cpu_usage_ns=1_000_000, memory_usage_bytes=2 << 20, working_set_bytes=1 << 20)

    async def filesystem_usage(self, container_id: str) -> int:
        self._need(container_id)
        return 4096

    async def network_usage(self, sandbox_id: str) -> tuple[LinkCounters, ...]:
        if sandbox_id not in self._sandboxes:
            raise NotFound(f"sandbox {sandbox_id!r} does not exist")
        if self.sandbox_configs[sandbox_id].host_network:
            return ()
        return (LinkCounters("eth0", "veth", 700, 7, 0, 0, 900, 9, 0, 0),)

    def _of(self, sandbox_id: str) -> list[_Container]:
        return [c for c in self._containers.values() if c.config.sandbox_id == sandbox_id]

    def _need(self, container_id: str) -> _Container:
        if container_id not in self._containers:
            raise NotFound(f"container {container_id!r} does not exist")
        return self._containers[container_id]

    def _end(self, container_id: str, exit_code: int, reason: str = "") -> None:
        container = self._containers.get(container_id)
        if container is None or container.status.state == State.EXITED:
            return
        if container.timer is not None:
            container.timer.cancel()
        container.status = replace(
            container.status, state=State.EXITED, exit_code=exit_code, finished_at_ns=self._now_ns(), pid=0,
            reason=reason or ("Completed" if exit_code == 0 else "Error"),
        )  # fmt: skip
        container.ended.set()
        self._tell(container_id)

    def _write_log(self, container: _Container) -> None:
        path = Path(container.config.log_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        stamp = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        text = container.program.text
        path.write_text(f"{stamp} stdout F {text}\n" if text else "")

    def _tell(self, container_id: str) -> None:
        for queue in self._changed:
            queue.put_nowait(container_id)

    def _now_ns(self) -> int:
        return int(self.clock.now().timestamp() * NS)


@dataclass(slots=True)
class FakeImages:
    """An `ImageService`: `known` are present, `remote` can be pulled, everything else is not found."""

    known: dict[str, Image] = field(default_factory=dict)
    remote: dict[str, Image] = field(default_factory=dict)
    pulls: list[str] = field(default_factory=list)
    credentials: tuple[tuple[str, Credentials], ...] = ()

    @classmethod
    def of(cls, *names: str) -> "FakeImages":
        """With these images present."""
        return cls(known={name: image_named(name) for name in names})

    async def present(self, reference: str) -> Image | None:
        if not reference or reference != reference.lower() or " " in reference:
            raise Invalid(f"couldn't parse image name {reference!r}: invalid reference format")
        return self.known.get(reference)

    async def pull(self, reference: str, credentials: tuple[tuple[str, Credentials], ...] = ()) -> Image:
        self.pulls.append(reference)
        self.credentials = credentials
        if reference not in self.remote:
            raise NotFound(f"{reference}: not found")
        self.known[reference] = self.remote[reference]
        return self.known[reference]

    async def images(self) -> list[Image]:
        return [*self.known.values()]

    async def remove(self, reference: str) -> None:
        self.known.pop(reference, None)


def image_named(name: str, *, user: str = "", config: Mapping[str, object] | None = None) -> Image:
    """An image of that name."""
    return Image(
        id=f"sha256:{abs(hash(name)):064x}"[:71], tags=(name,), digests=(f"{name}@sha256:{'0' * 64}",),
        size_bytes=1000, user=user, config=dict(config or {}),
    )  # fmt: skip

"""The engine over crun and conmon: `engine.Engine` with nothing between this process and the kernel but those two.

In:    configs; the sandbox network; unpacked image layers.
Out:   see `engine.Engine`. `destroy_all` is for the end of a cluster.
Shape: one lock per sandbox and per container, none over all; slow system calls run in threads; an exit is known by the
       pidfd of the container's conmon, which ends once the exit code is on disk. Nothing polls.
Lives: conmon, the containers and everything on disk outlive this process; `restore` adopts them.
"""

import asyncio
import errno
import logging
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from wherry.container.runtime import conmon, container_parts, exec_process, records, rootfs, sandbox_parts
from wherry.container.runtime.changes import Changes
from wherry.container.runtime.engine import (
    ContainerConfig,
    ContainerStatus,
    Engine,
    ExecResult,
    Resources,
    SandboxConfig,
    SandboxStatus,
    Session,
    State,
    Usage,
)
from wherry.container.runtime.exits import ExitWatch
from wherry.container.runtime.oci_runtime import OciRuntime
from wherry.container.runtime.records import ContainerRecord, SandboxRecord
from wherry.container.runtime.rootfs import LayerSource
from wherry.container.runtime.sandbox_parts import Doors
from wherry.container.runtime.seccomp_cache import SeccompCache
from wherry.container.runtime.sessions import AttachSession
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import cgroup_layout, mounts, namespaces, netlink, processes
from wherry.infrastructure.linux.cgroups import Cgroups
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.kit.clock import Clock, SystemClock
from wherry.kit.errors import AlreadyExists, Conflict, Invalid, NotFound, TimedOut, Unavailable

log = logging.getLogger(__name__)

KILL_WAIT_S = 20.0
LOG_REOPEN_TRIES_MAX = 200
LOG_REOPEN_PAUSE_S = 0.005
CANNOT_RUN_CODE = 128  # what other engines report for a command that never ran
KILLED_CODE = 128 + signal.SIGKILL


class CrunEngine:
    """See the module docstring. Call `restore` first, in the event loop that all later calls use."""

    def __init__(
        self, settings: RuntimeSettings, network: SandboxNetwork, layers: LayerSource, clock: Clock | None = None
    ) -> None:
        layout = cgroup_layout.detect(mounts.table())
        runtime = OciRuntime(settings, layout)
        filters = SeccompCache(settings.run_dir / "seccomp")
        self._doors = Doors(settings, runtime, Cgroups(layout), network, filters, clock or SystemClock())
        self._settings = settings
        self._layers = layers
        self._sandboxes: dict[str, SandboxRecord] = {}
        self._containers: dict[str, ContainerRecord] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._changes = Changes()
        self._exits = ExitWatch(self._on_conmon_end)
        self._restored = False

    async def restore(self) -> None:
        self._make_folders()
        await asyncio.to_thread(self._doors.runtime.prepare)
        self._sandboxes, strays = _load_sandboxes(self._settings)
        containers, container_strays = _load_containers(self._settings)
        live = [s.config.id for s in self._sandboxes.values() if s.ready and s.address]
        await self._doors.network.restore(live)
        for container_id in container_strays:
            conmon.end_creators(self._settings, self._doors.cgroups, container_id)
            await container_parts.erase(self._doors, container_id)
        for sandbox_id in strays:
            await sandbox_parts.erase(self._doors, sandbox_id)
        self._containers = containers
        for container_id, record in containers.items():
            self._ended[container_id] = asyncio.Event()
            if record.state is State.CREATED and self._was_started(record):
                record = replace(record, state=State.RUNNING, started_at_ns=max(self._now_ns(), record.created_at_ns))
                self._keep(record)
            self._adopt(record)
        self._restored = True
        log.info("engine restored: sandboxes=%d containers=%d", len(self._sandboxes), len(containers))

    def close(self) -> None:
        """Stop watching. Containers go on."""
        self._exits.close()

    async def destroy_all(self) -> None:
        """Kill and remove everything of this engine: processes, mounts, namespaces, cgroups, links, files. Idempotent."""
        self._exits.close()
        settings = self._settings
        async with AsyncExitStack() as steps:  # each is carried out, last pushed first, even when another fails
            for folder in (settings.run_dir, settings.data_dir / "containers"):
                steps.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, ignore_errors=True)
            steps.push_async_callback(self._doors.network.teardown)
            steps.push_async_callback(asyncio.to_thread, mounts.unmount_below, str(settings.run_dir))
            steps.push_async_callback(self._doors.cgroups.remove, settings.cgroup_root)
        self._sandboxes.clear()
        self._containers.clear()

    async def create_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        self._check_restored()
        async with self._lock(f"s/{config.id}"):
            present = self._sandboxes.get(config.id)
            if present is not None and present.ready:
                return present.status()
            if present is not None:
                raise AlreadyExists(f"sandbox {config.id!r} exists and was stopped; remove it first")
            async with AsyncExitStack() as undo:
                undo.push_async_callback(sandbox_parts.erase, self._doors, config.id)
                record = await sandbox_parts.build(self._doors, config, self._now_ns())
                undo.pop_all()
            self._sandboxes[config.id] = record
            return record.status()

    async def stop_sandbox(self, sandbox_id: str) -> None:
        async with self._lock(f"s/{sandbox_id}"):
            record = self._sandboxes.get(sandbox_id)
            if record is None or not record.ready:
                return
            await self._kill_containers_of(sandbox_id)
            self._sandboxes[sandbox_id] = await sandbox_parts.release(self._doors, record)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        for container_id in self._containers_of(sandbox_id):
            await self.remove_container(container_id)
        async with self._lock(f"s/{sandbox_id}"):
            if sandbox_id not in self._sandboxes:
                return
            await sandbox_parts.erase(self._doors, sandbox_id)
            del self._sandboxes[sandbox_id]
        self._locks.pop(f"s/{sandbox_id}", None)

    async def sandboxes(self) -> list[SandboxStatus]:
        return [record.status() for record in self._sandboxes.values()]

    async def create_container(self, config: ContainerConfig) -> None:
        self._check_restored()
        async with self._lock(config.id):
            if config.id in self._containers:
                raise AlreadyExists(f"container {config.id!r} exists")
            target = self._target(config)
            async with AsyncExitStack() as undo:
                undo.push_async_callback(container_parts.erase, self._doors, config.id)
                record = await container_parts.build(self._doors, self._layers, config, target, self._now_ns())
                undo.pop_all()
            self._containers[config.id] = record
            self._ended[config.id] = asyncio.Event()
            self._adopt(record)
        self._changes.tell(config.id)

    async def start_container(self, container_id: str) -> None:
        async with self._lock(container_id):
            record = self._container(container_id)
            if record.state is not State.CREATED:
                raise Conflict(f"container {container_id!r} is {record.state}, not created")
            if record.reason == container_parts.CANNOT_RUN:
                self._never_ran(record, record.message)
                raise Invalid(record.message)
            began_at_ns = self._now_ns()
            try:
                await self._doors.runtime.start(container_id)
            except Invalid as error:
                self._doors.cgroups.kill(record.cgroup)
                self._never_ran(record, str(error))
                raise
            record = self._container(container_id)
            if record.state is State.CREATED:
                self._keep(replace(record, state=State.RUNNING, started_at_ns=began_at_ns))
            else:  # it ended before we came to write that it runs
                self._keep(replace(record, started_at_ns=min(began_at_ns, record.finished_at_ns)))
        self._changes.tell(container_id)

    async def stop_container(self, container_id: str, *, grace_s: float) -> None:
        record = self._containers.get(container_id)
        if record is None or record.state is State.EXITED:
            return
        if grace_s > 0 and record.state is State.RUNNING:
            processes.send(record.pid, record.stop_signal, record.pid_ticks)
            try:
                async with asyncio.timeout(grace_s):
                    await self._ended[container_id].wait()
                return
            except TimeoutError:
                pass
        await self._kill(record)

    async def remove_container(self, container_id: str) -> None:
        async with self._lock(container_id):
            record = self._containers.get(container_id)
            if record is None:
                return
            if record.state is not State.EXITED:
                await self._kill(record)
            await container_parts.erase(self._doors, container_id)
            del self._containers[container_id]
            del self._ended[container_id]
        self._locks.pop(container_id, None)
        self._changes.tell(container_id)

    async def containers(self) -> list[ContainerStatus]:
        return [record.status() for record in self._containers.values()]

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self._container(container_id).status()

    def events(self) -> AsyncIterator[str]:
        return self._changes.listen()

    async def exec(self, container_id: str, argv: tuple[str, ...], *, tty: bool, stdin: bool) -> Session:
        self._running(container_id)
        bundle = self._settings.bundle(container_id)
        return await exec_process.start(self._doors.runtime, bundle, container_id, argv, tty=tty, stdin=stdin)

    async def exec_sync(self, container_id: str, argv: tuple[str, ...], *, timeout_s: float) -> ExecResult:
        self._running(container_id)
        bundle = self._settings.bundle(container_id)
        session = await exec_process.start(self._doors.runtime, bundle, container_id, argv, tty=False, stdin=False)
        return await exec_process.collect(session, " ".join(argv), timeout_s)

    async def attach(self, container_id: str, *, stdin: bool) -> Session:
        record = self._container(container_id)
        if record.state is State.EXITED:
            raise Conflict(f"container {container_id!r} is not running")
        bundle = self._settings.bundle(container_id)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, str(bundle / "attach"))
        except OSError as error:
            connection.close()
            raise Unavailable(f"container {container_id!r} does not take attachments: {error.strerror}") from error
        use_stdin = stdin and record.config.stdin
        return AttachSession(connection, bundle, stdin=use_stdin, ended=self._ended[container_id])

    async def dial(self, sandbox_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        record = self._sandboxes.get(sandbox_id)
        if record is None or not record.ready:
            raise NotFound(f"sandbox {sandbox_id!r} is not there or not running")
        failure: OSError | None = None
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                return await _connect(record.network_path, family, host, port)
            except OSError as error:
                failure = failure or error
        assert failure is not None
        why = os.strerror(failure.errno or errno.EIO).lower()
        raise Unavailable(f"dial tcp 127.0.0.1:{port}: connect: {why}") from failure

    async def reopen_log(self, container_id: str) -> None:
        record = self._container(container_id)
        if record.state is State.EXITED:
            return
        await conmon.control(self._settings.bundle(container_id), conmon.CONTROL_REOPEN_LOG)
        for _ in range(LOG_REOPEN_TRIES_MAX):
            if os.path.exists(record.config.log_path):
                return
            await asyncio.sleep(LOG_REOPEN_PAUSE_S)
        raise TimedOut(f"log of container {container_id!r} was not opened anew within 1 s")

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        record = self._container(container_id)
        try:
            self._doors.cgroups.limit(record.cgroup, sandbox_parts.limits_of(resources))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise Conflict(f"container {container_id!r} uses more memory than the new limit") from error
            raise
        self._keep(replace(record, config=replace(record.config, resources=resources)))

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        if sandbox_id not in self._sandboxes:
            raise NotFound(f"sandbox {sandbox_id!r} is not there")
        parent = sandbox_parts.cgroup_of(self._settings, self._sandboxes[sandbox_id].config.cgroup_parent)
        try:
            self._doors.cgroups.limit(parent, sandbox_parts.limits_of(resources))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise Conflict(f"sandbox {sandbox_id!r} uses more memory than the new limit") from error
            raise

    async def usage(self, container_id: str) -> Usage:
        cgroups, path = self._doors.cgroups, self._container(container_id).cgroup
        used = cgroups.memory_usage_bytes(path)
        return Usage(cgroups.cpu_usage_ns(path), used, max(used - cgroups.inactive_file_bytes(path), 0))

    async def filesystem_usage(self, container_id: str) -> int:
        self._container(container_id)
        return await asyncio.to_thread(rootfs.used_bytes, self._settings.writable_dir(container_id) / "upper")

    async def network_usage(self, sandbox_id: str) -> tuple[netlink.LinkCounters, ...]:
        record = self._sandboxes.get(sandbox_id)
        if record is None or not record.ready:
            raise NotFound(f"sandbox {sandbox_id!r} is not there or not running")
        if not record.network_path:
            return ()
        return await asyncio.to_thread(_link_counters, record.network_path)

    def _was_started(self, record: ContainerRecord) -> bool:
        """The last process started it and was killed before it wrote that down: the runtime's start takes the fifo away."""
        state = self._settings.runtime_state_dir / record.config.id
        return state.is_dir() and not (state / "exec.fifo").exists()

    def _adopt(self, record: ContainerRecord) -> None:
        if record.state is State.EXITED:
            self._ended[record.config.id].set()
        elif record.conmon_pid:
            self._exits.watch(record.config.id, record.conmon_pid, record.conmon_ticks)

    def _on_conmon_end(self, container_id: str) -> None:
        """conmon is gone: the exit code is on disk, or somebody killed conmon and the container has nobody left."""
        record = self._containers.get(container_id)
        if record is None or record.state is State.EXITED:
            return
        found = conmon.exit_code(self._settings, container_id)
        cgroups = self._doors.cgroups
        if found is None or record.config.target_container or not self._has_own_pids(record):
            cgroups.kill(record.cgroup)  # nobody else ends what it left behind in a shared PID namespace
        code, at_ns = found or (KILLED_CODE, self._now_ns())
        message = "" if found else "the monitor of the container was killed, so the container was ended"
        reason = "OOMKilled" if cgroups.oom_kills(record.cgroup) else "Error" if code else "Completed"
        # The file's time is the kernel's coarse clock, up to a tick behind ours: an end is never before its beginning.
        ended_at_ns = max(at_ns, record.created_at_ns, record.started_at_ns)
        self._finish(replace(record, exit_code=code, finished_at_ns=ended_at_ns, reason=reason, message=message))

    def _never_ran(self, record: ContainerRecord, message: str) -> None:
        now = self._now_ns()
        self._finish(
            replace(record, exit_code=CANNOT_RUN_CODE, finished_at_ns=now, reason=container_parts.CANNOT_RUN, message=message)
        )

    def _finish(self, record: ContainerRecord) -> None:
        self._keep(replace(record, state=State.EXITED))
        self._exits.forget(record.config.id)
        self._ended[record.config.id].set()
        self._changes.tell(record.config.id)

    async def _kill(self, record: ContainerRecord) -> None:
        container_id = record.config.id
        if record.pid == 0:
            self._never_ran(record, record.message or "removed before it was started")
            return
        processes.send(record.pid, signal.SIGKILL, record.pid_ticks)
        if not self._has_own_pids(record):
            self._doors.cgroups.kill(record.cgroup)
        try:
            async with asyncio.timeout(KILL_WAIT_S):
                await self._ended[container_id].wait()
        except TimeoutError as error:
            self._doors.cgroups.kill(record.cgroup)
            raise TimedOut(f"container {container_id!r} did not end within {KILL_WAIT_S:g} s of SIGKILL") from error

    async def _kill_containers_of(self, sandbox_id: str) -> None:
        for container_id in self._containers_of(sandbox_id):
            record = self._containers[container_id]
            processes.send(record.pid, signal.SIGKILL, record.pid_ticks)
        for container_id in self._containers_of(sandbox_id):
            await self.stop_container(container_id, grace_s=0)

    def _target(self, config: ContainerConfig) -> container_parts.Target:
        sandbox = self._sandboxes.get(config.sandbox_id)
        if sandbox is None or not sandbox.ready:
            raise NotFound(f"sandbox {config.sandbox_id!r} of container {config.name!r} is not there or was stopped")
        if config.target_container:
            target = self._running(config.target_container)
            return container_parts.Target(sandbox, f"/proc/{target.pid}/ns/pid")
        return container_parts.Target(sandbox, "" if sandbox.config.host_pid else sandbox.pid_path or None)

    def _has_own_pids(self, record: ContainerRecord) -> bool:
        sandbox = self._sandboxes.get(record.config.sandbox_id)
        shared = sandbox is not None and (sandbox.config.host_pid or sandbox.config.shared_pid)
        return not shared and not record.config.target_container

    def _containers_of(self, sandbox_id: str) -> list[str]:
        return [id_ for id_, record in self._containers.items() if record.config.sandbox_id == sandbox_id]

    def _container(self, container_id: str) -> ContainerRecord:
        if container_id not in self._containers:
            raise NotFound(f"container {container_id!r} is not there")
        return self._containers[container_id]

    def _running(self, container_id: str) -> ContainerRecord:
        record = self._container(container_id)
        if record.state is not State.RUNNING:
            raise Conflict(f"container {container_id!r} is not running")
        return record

    def _keep(self, record: ContainerRecord) -> None:
        self._containers[record.config.id] = record
        records.save(self._settings.bundle(record.config.id) / container_parts.RECORD, record)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _now_ns(self) -> int:
        return int(self._doors.clock.now().timestamp() * 1_000_000) * 1000

    def _check_restored(self) -> None:
        if not self._restored:
            raise Unavailable("the container engine has not been restored yet")

    def _make_folders(self) -> None:
        settings = self._settings
        marker = settings.run_dir / "boot"
        # No marker: /run was emptied by a reboot, and what containers wrote belongs to nobody any more.
        is_of_this_boot = marker.exists() and marker.read_text(encoding="utf-8") == records.boot_id()
        if not is_of_this_boot:
            shutil.rmtree(settings.run_dir, ignore_errors=True)
            shutil.rmtree(settings.data_dir / "containers", ignore_errors=True)
        # Root filesystems and environments are nobody's but root's to see, also in folders that were made less private.
        folders = [settings.run_dir, *(settings.run_dir / name for name in ("s", "c", "exit", "runtime", "l"))]
        for folder in (*folders, settings.data_dir, settings.data_dir / "containers"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        if not is_of_this_boot:
            records.write(marker, records.boot_id())
        for name in ("", "/conmon"):
            self._doors.cgroups.create(settings.cgroup_root + name)
        if settings.limited_cgroup:
            parent = f"{settings.cgroup_root}/{settings.limited_cgroup}"
            self._doors.cgroups.create(parent)
            self._doors.cgroups.limit_pids(parent, settings.pids_max or None)


async def _connect(
    network_path: str, family: int, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if network_path:
        door = await asyncio.to_thread(namespaces.socket_inside, network_path, family, socket.SOCK_STREAM)
    else:
        door = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        door.setblocking(False)
        await asyncio.get_running_loop().sock_connect(door, (host, port))
        return await asyncio.open_connection(sock=door)
    except OSError:
        door.close()
        raise


def _link_counters(network_path: str) -> tuple[netlink.LinkCounters, ...]:
    # The socket stays in the namespace it was made in, so only its making needs a thread there.
    with namespaces.inside_network(network_path, netlink.open_socket) as door:
        return tuple(netlink.counters(door))


def _load_sandboxes(settings: RuntimeSettings) -> tuple[dict[str, SandboxRecord], list[str]]:
    found: dict[str, SandboxRecord] = {}
    strays: list[str] = []
    for folder in sorted((settings.run_dir / "s").iterdir()):
        record = records.load_sandbox(folder / sandbox_parts.RECORD)
        if record is None:
            strays.append(folder.name)
            continue
        paths = [path for path in (record.network_path, record.ipc_path, record.uts_path) if path]
        whole = all(namespaces.is_held(path) for path in paths)
        if record.init_pid:
            whole = whole and processes.is_same(record.init_pid, record.init_ticks)
        found[record.config.id] = record if whole else replace(record, ready=False)
    return found, strays


def _load_containers(settings: RuntimeSettings) -> tuple[dict[str, ContainerRecord], list[str]]:
    found: dict[str, ContainerRecord] = {}
    strays: list[str] = []
    for folder in sorted((settings.run_dir / "c").iterdir()):
        record = records.load_container(folder / container_parts.RECORD)
        if record is None:
            strays.append(folder.name)
        else:
            found[record.config.id] = record
    return found, strays


if TYPE_CHECKING:
    _keeps_the_contract: type[Engine] = CrunEngine

"""What the engine runs, by pod: a copy kept fresh by the engine's events, so that no decision waits for a listing.

In:    `Engine`. Out: statuses by pod uid; `changed(uid)` when one of them changed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from wherry.container.runtime.engine import ContainerStatus, Engine, SandboxStatus
from wherry.kit.errors import NotFound
from wherry.orchestration.agent.facts.labels import ATTEMPT, POD_UID

log = logging.getLogger(__name__)

RELIST_TRIES = 5


class RuntimeView:
    """Sandboxes and containers that carry a pod's uid; others on the same engine (builds) are not seen."""

    def __init__(self, engine: Engine, changed: Callable[[str], None]) -> None:
        self.engine = engine
        self._changed = changed
        self._listeners: list[Callable[[], None]] = []
        self._version = 0  # of the view; a listing begun at an older one is stale
        self._sandboxes: dict[str, dict[str, SandboxStatus]] = {}
        self._containers: dict[str, dict[str, ContainerStatus]] = {}

    @contextmanager
    def listening(self, callback: Callable[[], None]) -> Iterator[None]:
        """Inside the block `callback` is called after every change of any container."""
        self._listeners.append(callback)
        try:
            yield
        finally:
            self._listeners.remove(callback)

    async def relist(self) -> None:
        """Read everything; tell of every pod that differs. A listing that something overtook is made again."""
        for _ in range(RELIST_TRIES):
            self._version += 1
            version = self._version
            if await self._relist(version):
                return
        log.warning("the engine changes too fast to be listed; events keep the view fresh")

    async def _relist(self, version: int) -> bool:
        sandboxes: dict[str, dict[str, SandboxStatus]] = {}
        containers: dict[str, dict[str, ContainerStatus]] = {}
        for sandbox in await self.engine.sandboxes():
            if uid := sandbox.labels.get(POD_UID):
                sandboxes.setdefault(uid, {})[sandbox.id] = sandbox
        for container in await self.engine.containers():
            if uid := container.labels.get(POD_UID):
                containers.setdefault(uid, {})[container.id] = container
        if version != self._version:
            return False
        uids = {*sandboxes, *containers, *self._sandboxes, *self._containers}
        changed = {
            uid
            for uid in uids
            if sandboxes.get(uid) != self._sandboxes.get(uid) or containers.get(uid) != self._containers.get(uid)
        }
        self._sandboxes, self._containers = sandboxes, containers
        for uid in changed:
            self._tell(uid)
        return True

    async def follow(self) -> None:
        """Until cancelled: refresh what the engine tells of."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consume(), name="engine events")
            await asyncio.sleep(0)  # now subscribed: what changed before is in the listing, what changes later is told
            await self.relist()

    async def _consume(self) -> None:
        async for container_id in self.engine.events():
            await self.refresh(container_id)

    async def refresh(self, container_id: str) -> None:
        """Read one container again."""
        try:
            status = await self.engine.container_status(container_id)
        except NotFound:
            self.drop_container(container_id)
            return
        if (uid := status.labels.get(POD_UID)) is None:
            return
        self._version += 1
        held = self._containers.setdefault(uid, {})
        if held.get(container_id) != status:
            held[container_id] = status
            self._tell(uid)

    def uids(self) -> set[str]:
        """Pods that have anything here."""
        return {*self._sandboxes, *self._containers}

    def sandbox(self, uid: str) -> SandboxStatus | None:
        """The newest one."""
        return max(self._sandboxes.get(uid, {}).values(), key=attempt_of, default=None)

    def sandboxes(self, uid: str) -> list[SandboxStatus]:
        """All of them, old ones too."""
        return [*self._sandboxes.get(uid, {}).values()]

    def runs(self, uid: str) -> dict[str, tuple[ContainerStatus, ...]]:
        """By container name, oldest attempt first."""
        found: dict[str, list[ContainerStatus]] = {}
        for container in sorted(self._containers.get(uid, {}).values(), key=lambda c: c.attempt):
            found.setdefault(container.name, []).append(container)
        return {name: tuple(runs) for name, runs in found.items()}

    def note_sandbox(self, status: SandboxStatus) -> None:
        """After the agent itself made or changed one."""
        self._version += 1
        self._sandboxes.setdefault(status.labels[POD_UID], {})[status.id] = status

    async def stop_sandbox(self, sandbox: SandboxStatus) -> None:
        """Stop it and know so at once."""
        await self.engine.stop_sandbox(sandbox.id)
        self.note_sandbox(replace(sandbox, ready=False))

    def drop_sandbox(self, sandbox_id: str) -> None:
        """After the agent removed it, and its containers with it."""
        self._version += 1
        for held in self._sandboxes.values():
            held.pop(sandbox_id, None)
        for containers in self._containers.values():
            for container_id in [c.id for c in containers.values() if c.sandbox_id == sandbox_id]:
                del containers[container_id]
        self._forget_empty()

    def drop_container(self, container_id: str) -> None:
        """After it was removed."""
        self._version += 1
        for uid, containers in list(self._containers.items()):
            if containers.pop(container_id, None) is not None:
                self._tell(uid)
        self._forget_empty()

    def _tell(self, uid: str) -> None:
        self._changed(uid)
        for callback in self._listeners:
            callback()

    def _forget_empty(self) -> None:
        for held in (self._sandboxes, self._containers):
            for uid in [uid for uid, entries in held.items() if not entries]:
                del held[uid]


def attempt_of(sandbox: SandboxStatus) -> int:
    """How many sandboxes the pod had before this one."""
    return int(sandbox.labels.get(ATTEMPT, "0"))

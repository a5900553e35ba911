"""A whole node agent on the real API server in memory, the fake engine and real files in a folder; nothing is mounted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.agent.node.machine import Machine
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import CONFIG_MAPS, EVENTS, NODES, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server
from wherry.testing.fake_engine import FakeEngine, FakeImages
from wherry.testing.faults import Faults

NODE = "node-1"
NODE_USER = User(f"system:node:{NODE}", groups=("system:nodes", "system:authenticated"))
MACHINE = Machine(4, 8 << 30, 100 << 30, "amd64", "6.18", "Debian", "m", "s", "b")


class NoMounts:
    """Folders stand in for mounts."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None: ...

    def layered(self, layers: Sequence[str], target: Path) -> None: ...

    def bind(self, source: str, target: Path) -> None: ...

    def unmount(self, target: Path) -> None: ...

    def below(self, folder: Path) -> list[Path]:
        return []


class Rig:
    """`create` a pod, `until` something is so."""

    def __init__(self, folder: Path, api: TestApi) -> None:
        self.api = api
        self.faults = Faults()  # between the agent and the server
        self.engine = FakeEngine(api.server.clock)
        self.images = FakeImages.of("app:1", "init:1", "side:1")
        self.folder = folder
        self.settings = AgentSettings(
            node_name=NODE, node_ip="192.0.2.1", data_dir=folder / "data", log_dir=folder / "logs", grace_s_min=0.05
        )

    def client(self) -> Client:
        """The user's."""
        return self.api.settled_client()

    def agent(self) -> Agent:
        return Agent(
            self.settings, self.api.client_through(self.faults, NODE_USER), self.engine, self.images, None, self.api.server.clock,
            mounts=NoMounts(), machine=MACHINE,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        agent = self.agent()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(agent.run())
            yield agent
            task.cancel()

    async def create(self, obj: Object) -> Object:
        return await self.client().create(PODS, obj)

    def pod(self, name: str = "web") -> Object | None:
        return self.api.find(PODS, name)

    def status(self, name: str = "web") -> Object:
        return (self.pod(name) or {}).get("status") or {}

    def node(self) -> Object:
        return self.api.find(NODES, NODE) or {}

    def events(self) -> list[tuple[str, str]]:
        return [(e["reason"], e["message"]) for e in self.api.all(EVENTS)]

    async def until(self, is_so: Callable[[], Any], *, limit_s: float = 60.0) -> None:
        """Bounded look; says what was seen last when it is never so."""
        try:
            async with asyncio.timeout(limit_s):
                while not is_so():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not so within {limit_s} s; pod: {self.pod()}\ncalls: {self.engine.calls}") from None

    async def phase(self, wanted: str, name: str = "web") -> Object:
        await self.until(lambda: self.status(name).get("phase") == wanted)
        return self.status(name)


@asynccontextmanager
async def server() -> AsyncIterator[TestApi]:
    """One that has what controllers would have made for the pods of namespace default."""
    async with api_server() as api:
        root = {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "CA"}}
        await api.client.create(CONFIG_MAPS, root)
        yield api


@asynccontextmanager
async def rig_in(folder: Path) -> AsyncIterator[Rig]:
    """With files in `folder`."""
    async with server() as api:
        yield Rig(folder, api)


def pod(name: str = "web", *containers: Object, **spec: Any) -> Object:
    """A pod on this node; `annotations` go to the metadata."""
    annotations = spec.pop("annotations", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations, "labels": {"app": name}},
        "spec": {"nodeName": NODE, "containers": list(containers) or [container()], **spec},
    }


def container(name: str = "app", *command: str, **fields: Any) -> Object:
    """A container that runs until it is stopped unless `command` says otherwise."""
    return {"name": name, "image": "app:1", "command": list(command), **fields}

"""A whole node agent on the fake API, the fake engine and real files in a folder; mounts are recorded, not made."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from wherry.kit.clock import SystemClock
from wherry.kit.http.message import Request, Response
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.agent.node.machine import Machine
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.objects.kinds import EVENTS, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.fake_api import FakeApi
from wherry.testing.fake_engine import FakeEngine, FakeImages

NODE = "node-1"
MACHINE = Machine(4, 8 << 30, 100 << 30, "amd64", "6.18", "Debian", "m", "s", "b")


class NoMounts:
    """Folders stand in for mounts."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None: ...

    def layered(self, layers: Sequence[str], target: Path) -> None: ...

    def bind(self, source: str, target: Path) -> None: ...

    def unmount(self, target: Path) -> None: ...

    def below(self, folder: Path) -> list[Path]:
        return []


class PodApi(FakeApi):
    """Patches as the agent sends them: conditions merge by type. Tokens are handed out."""

    async def handle(self, request: Request) -> Response:
        if request.method == "POST" and request.path.endswith("/token"):
            status = {"token": "jwt", "expirationTimestamp": "2099-01-01T00:00:00Z"}
            return Response(201, [], orjson.dumps({"status": status}))
        if request.method == "PATCH" and "strategic" in request.headers.get("content-type", ""):
            body = orjson.loads(await request.read(1 << 24))
            self._merge(request.path, body)
            request.body = orjson.dumps(body)
        return await super().handle(request)

    def _merge(self, path: str, body: Object) -> None:
        parts = path.split("/")
        namespace, name = (parts[4], parts[6]) if "namespaces" in parts else ("", parts[4])
        plural = "pods" if "/pods/" in path else "nodes"
        stored = self.objects.get((f"/{plural}", namespace, name), {})
        status = body.get("status") or {}
        for key, by in (("conditions", "type"), ("addresses", "type")):
            if key in status:
                new = [entry for entry in status[key] if "$patch" not in entry]
                kept = {c[by]: c for c in stored.get("status", {}).get(key) or []}
                status[key] = [*{**kept, **{c[by]: c for c in new}}.values()]


class Rig:
    """`create` a pod, `until` something is so."""

    def __init__(self, folder: Path) -> None:
        self.api = PodApi(clock=SystemClock(), graceful_pods=True)
        self.engine = FakeEngine()
        self.images = FakeImages.of("app:1", "init:1", "side:1")
        self.folder = folder
        self.settings = AgentSettings(
            node_name=NODE, node_ip="192.0.2.1", data_dir=folder / "data", log_dir=folder / "logs", grace_s_min=0.05
        )

    def client(self) -> Client:
        return Client(LocalTransport(self.api.handle, None))

    def agent(self) -> Agent:
        return Agent(
            self.settings, self.client(), self.engine, self.images, None, SystemClock(),
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

    def events(self) -> list[tuple[str, str]]:
        return [(e["reason"], e["message"]) for e in self.api.all(EVENTS)]

    async def until(self, is_so: Callable[[], Any], *, limit_s: float = 5.0) -> None:
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

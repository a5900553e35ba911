"""The agent on the real API server in memory, over the fake engine: what only the two together show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from agent_rig import MACHINE, NODE, NoMounts, container, pod

from wherry.kit.errors import NotFound
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.client.transport import Call, Reply, Stream
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server
from wherry.testing.fake_engine import FakeEngine, FakeImages

pytestmark = pytest.mark.virtual_time

REASONS = {409: "Conflict", 503: "ServiceUnavailable"}


@dataclass
class Refusing:
    """A transport that answers the first `count` calls of `method` with `code`."""

    inner: LocalTransport
    method: str = ""
    count: int = 0
    code: int = 409
    refused: list[str] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        if call.method == self.method and "/pods/" in call.path and len(self.refused) < self.count:
            self.refused.append(call.path)
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": REASONS[self.code], "code": self.code}
            return Reply(self.code, {"content-type": "application/json"}, orjson.dumps(status))
        return await self.inner.send(call)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        return self.inner.stream(call)

    async def close(self) -> None: ...


@dataclass
class Node:
    """The server, and how the agent reaches it."""

    api: TestApi
    wire: Refusing

    async def pod(self) -> Object | None:
        try:
            return await self.api.client.get(PODS, "web", "default")
        except NotFound:
            return None


@asynccontextmanager
async def node(folder: Path) -> AsyncIterator[Node]:
    """An agent that runs."""
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        root = {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "CA"}}
        await api.client.create(CONFIG_MAPS, root)
        user = User(f"system:node:{NODE}", groups=("system:nodes", "system:authenticated"))
        wire = Refusing(LocalTransport(api.server.handle, user))
        agent = Agent(
            AgentSettings(NODE, "192.0.2.1", folder / "data", folder / "logs"), Client(wire), FakeEngine(api.server.clock),
            FakeImages.of("app:1"), None, api.server.clock, mounts=NoMounts(), machine=MACHINE)
        running = tasks.create_task(agent.run())
        await asyncio.sleep(5)
        yield Node(api, wire)
        running.cancel()


async def test_a_conflict_at_the_last_deletion_is_not_the_end(tmp_path: Path) -> None:
    """Found by the simulation (seed 21): a pod that was never deleted, because the server had once said 409."""
    async with node(tmp_path) as on:
        await on.api.client.create(PODS, pod("web", container()))
        await asyncio.sleep(5)
        assert (await on.pod() or {})["status"]["phase"] == "Running"
        on.wire.method, on.wire.count = "DELETE", 2
        await on.api.client.delete(PODS, "web", "default", grace_s=1)
        await asyncio.sleep(30)
        assert await on.pod() is None and len(on.wire.refused) == 2


async def test_a_conflict_at_a_status_is_told_again(tmp_path: Path) -> None:
    async with node(tmp_path) as on:
        on.wire.method, on.wire.count = "PATCH", 3
        await on.api.client.create(PODS, pod("web", container()))
        await asyncio.sleep(30)
        assert (await on.pod() or {})["status"]["phase"] == "Running" and len(on.wire.refused) == 3


async def test_a_status_is_told_though_the_date_was_set_back_after_a_try_that_failed(tmp_path: Path) -> None:
    """Found by the simulation: what failed waited for a date, and nothing of the pod was told for hours."""
    async with node(tmp_path) as on:
        on.wire.method, on.wire.count, on.wire.code = "PATCH", 1_000_000, 503
        await on.api.client.create(PODS, pod("web", container()))
        while not on.wire.refused:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)
        on.wire.count = 0
        on.api.server.clock.jump(-7200)  # type: ignore[attr-defined]
        await asyncio.sleep(30)
        assert (await on.pod() or {})["status"]["phase"] == "Running"

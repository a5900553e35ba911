"""Run controllers against the real API server in memory, over a way that breaks as told, with a hand that plays kubelet.

In:    controllers, each made of `Tools`; a loop with virtual time.
Out:   a running `Harness`; everything ends with the block.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from wherry.kit.clock import Clock, rfc3339
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import EVENTS, NODES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of
from wherry.testing.api import TestApi, api_server
from wherry.testing.cluster_objects import node
from wherry.testing.faults import Faults

UNTIL_S = 10.0


@dataclass(slots=True)
class Harness:
    """The server, the test's own client, the clock, and what goes wrong between the controllers and the server."""

    api: TestApi
    client: Client
    clock: Clock
    recorder: Recorder
    faults: Faults

    async def until(self, true: Callable[[], Any], what: str = "") -> None:
        """Let the controllers run until it is so."""
        try:
            async with asyncio.timeout(UNTIL_S):
                while not true():  # noqa: ASYNC110 - the state lives in the server, there is no event to wait for
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"never became true: {what or true}") from None

    async def settle(self, rounds: int = 30) -> None:
        """Let the controllers run until they have asked the server nothing for some turns of the loop."""
        quiet = 0
        while quiet < rounds:
            before = len(self.faults.calls)
            await asyncio.sleep(0.001)
            quiet = quiet + 1 if len(self.faults.calls) == before else 0

    async def report(self, pod: Object, phase: str = "Running", *, ready: bool = True, **status: Any) -> None:
        """Play kubelet: set a pod's phase and Ready condition."""
        now = rfc3339(self.clock.now())
        conditions = [{"type": "Ready", "status": str(ready and phase == "Running"), "lastTransitionTime": now}]
        body = {"status": {"phase": phase, "conditions": conditions, **status}}
        await self.client.patch_status(PODS, name_of(pod), namespace_of(pod), body)

    async def run_all(self) -> None:
        """Play kubelet: make every pending pod run, and end those that are deleted."""
        for pod in self.pods():
            if is_deleting(pod):
                await self.client.delete(PODS, name_of(pod), namespace_of(pod), grace_s=0)
            elif pod["status"]["phase"] == "Pending":
                await self.report(pod)

    async def bind(self, pod: Object, node_name: str) -> None:
        """Play scheduler."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node_name}
        await self.client.create_subresource(PODS, name_of(pod), namespace_of(pod), "binding", {
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod)}, "target": target})  # fmt: skip

    async def add_node(self, name: str, **labels: str) -> None:
        """A node that the node controller has found ready."""
        await self.client.create(NODES, node(name, taints=(), **labels))
        await self.client.patch(NODES, name, "", {"spec": {"taints": None}})

    def pods(self) -> list[Object]:
        """All pods, by name."""
        return self.api.all(PODS)

    async def events(self) -> list[Object]:
        """All events so far."""
        await self.recorder.drain()
        await self.api.server.registry.settled()
        return self.api.all(EVENTS)

    async def reasons(self) -> list[str]:
        """The reasons of all events so far."""
        return [event["reason"] for event in await self.events()]


@asynccontextmanager
async def controllers(*kinds: Any) -> AsyncIterator[Harness]:
    """Run one of each of `kinds`."""
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        clock, faults = api.server.clock, Faults()
        client = api.client_through(faults)
        informers = Informers(client)
        recorder = Recorder(client, "test", clock=clock)
        tools = Tools(client, informers, recorder, clock)
        running = [tasks.create_task(kind(tools).run(), name="controller") for kind in kinds]
        running.append(tasks.create_task(informers.run(), name="informers"))
        try:
            yield Harness(api, api.settled_client(), clock, recorder, faults)
        finally:
            for task in running:
                task.cancel()

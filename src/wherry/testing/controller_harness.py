"""Run controllers against the small API server, with a hand that plays kubelet.

In:    controllers, each made of `Tools`.
Out:   a running `Harness`; everything ends with the block.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from wherry.kit.clock import rfc3339
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import EVENTS, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of
from wherry.testing.fake_api import FakeApi
from wherry.testing.virtual_time import VirtualClock

UNTIL_S = 10.0


@dataclass(slots=True)
class Harness:
    """The server, a client, and the clock the controllers see."""

    api: FakeApi
    client: Client
    clock: VirtualClock
    recorder: Recorder

    async def until(self, true: Callable[[], Any], what: str = "") -> None:
        """Let the controllers run until it is so."""
        try:
            async with asyncio.timeout(UNTIL_S):
                while not true():  # noqa: ASYNC110 - the state lives in the server, there is no event to wait for
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"never became true: {what or true}") from None

    async def settle(self, rounds: int = 30) -> None:
        """Let the controllers run until the server has seen no request for some turns of the loop."""
        quiet = 0
        while quiet < rounds:
            before = len(self.api.calls)
            await asyncio.sleep(0.001)
            quiet = quiet + 1 if len(self.api.calls) == before else 0

    async def report(self, pod: Object, phase: str = "Running", *, ready: bool = True, **status: Any) -> None:
        """Play kubelet: set a pod's phase and Ready condition."""
        now = rfc3339(self.clock.now())
        conditions = [{"type": "Ready", "status": str(ready and phase == "Running"), "lastTransitionTime": now}]
        body = {"status": {"phase": phase, "conditions": conditions, **status}}
        await self.client.patch_status(PODS, name_of(pod), namespace_of(pod), body)

    async def run_all(self) -> None:
        """Play kubelet: make every pending pod run."""
        for pod in self.pods():
            if pod.get("status", {}).get("phase") is None and not is_deleting(pod):
                await self.report(pod)

    def pods(self) -> list[Object]:
        """All pods, by name."""
        return self.api.all(PODS)

    async def reasons(self) -> list[str]:
        """The reasons of all events so far."""
        await self.recorder.drain()
        return [event["reason"] for event in self.api.all(EVENTS)]


@asynccontextmanager
async def controllers(*kinds: Any, api: FakeApi | None = None) -> AsyncIterator[Harness]:
    """Run one of each of `kinds`."""
    clock = VirtualClock()
    api = api or FakeApi(clock=clock)
    client = api.client()
    informers = Informers(client)
    recorder = Recorder(client, "test", clock=clock)
    tools = Tools(client, informers, recorder, clock)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(kind(tools).run(), name="controller") for kind in kinds]
        running.append(tasks.create_task(informers.run(), name="informers"))
        try:
            yield Harness(api, client, clock, recorder)
        finally:
            for task in running:
                task.cancel()

"""A watch that is behind: what a change refers to is waited for, what is absent is not, and neither is a watch that stands still."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_rig import Rig, gateway, gateway_rig, http_route, to

from wherry.application.gateway import loop
from wherry.application.gateway.loop import GatewayController
from wherry.kit.clock import SystemClock
from wherry.orchestration.client.client import Client, WatchEvent
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.resources import Resource

pytestmark = pytest.mark.cluster


class Held:
    """A client whose watch of one resource passes nothing on while `is_open` is not set."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self._client, self._resource = client, resource
        self.is_open = asyncio.Event()
        self.is_open.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def watch(self, resource: Resource, **selection: Any) -> AsyncIterator[WatchEvent]:
        async for event in self._client.watch(resource, **selection):
            if resource == self._resource:
                await self.is_open.wait()
            yield event


async def begin_held(rig: Rig, resource: Resource) -> Held:
    """The control plane with such a client in place of the rig's own; `/` is at backend "one"."""
    await rig.backend("one")
    await rig.create(gateway(), http_route("web", to("one")))
    await rig.stop_controller()
    held = Held(rig.client, resource)
    rig.controller = GatewayController(held, rig.settings, SystemClock())  # type: ignore[arg-type]
    rig.running = rig.tasks.create_task(rig.controller.run())
    await rig.eventually("/", 200)
    await rig.status("HTTPRoute", "web", lambda status: bool(status.get("parents")))
    return held


@pytest.mark.parametrize("resource", [SERVICES, ENDPOINT_SLICES], ids=lambda resource: resource.plural)
async def test_a_route_moved_to_a_service_whose_watch_is_behind_keeps_its_old_place_until_it_has_come(resource: Resource) -> None:
    async with gateway_rig() as rig:
        held = await begin_held(rig, resource)
        held.is_open.clear()
        await rig.backend("two")
        await rig.replace(http_route("web", to("two")))
        for _ in range(50):
            assert (await rig.get("/")).seen["backend"] == "one-0"
            await asyncio.sleep(0.005)
        held.is_open.set()
        await rig.until(lambda: _is_at(rig, "two-0"))


async def test_a_route_moved_to_a_service_that_does_not_exist_is_told_so_though_the_watch_is_behind() -> None:
    async with gateway_rig() as rig:
        held = await begin_held(rig, SERVICES)
        held.is_open.clear()
        await rig.replace(http_route("web", to("absent")))
        await rig.eventually("/", 500)


async def test_a_watch_that_stands_still_does_not_hold_others_back_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "BEHIND_S", 0.2)
    async with gateway_rig() as rig:
        held = await begin_held(rig, SERVICES)
        held.is_open.clear()
        await rig.backend("two")
        await rig.replace(http_route("web", to("two")))
        await rig.create(http_route("other", to("one"), hosts=("b.test",)))
        await rig.eventually("/", 200, "b.test")
        await rig.eventually("/", 500)


async def _is_at(rig: Rig, backend: str) -> bool:
    return (await rig.get("/")).seen.get("backend") == backend

"""A Gateway says Programmed once Envoy has confirmed it. A real Envoy, a real API server."""

import asyncio

import pytest
from gateway_rig import Rig, gateway, gateway_rig, http_route, to

from wherry.application.gateway.model.kinds import GATEWAYS
from wherry.kit.errors import NotFound
from wherry.orchestration.objects.meta import Object, condition_of
from wherry.testing.envoy import running_envoy

pytestmark = pytest.mark.cluster
OTHER = {"name": "other", "port": 8099, "protocol": "HTTP"}


def told(status: Object, generation: int = 1) -> tuple[str, str]:
    """Status and reason of Programmed, of that generation."""
    found = condition_of(status.get("conditions"), "Programmed") or {}
    return (found["status"], found["reason"]) if found.get("observedGeneration") == generation else ("", "")


def accepted(status: Object) -> bool:
    return (condition_of(status.get("conditions"), "Accepted") or {}).get("status") == "True"


async def test_a_gateway_is_not_programmed_while_there_is_no_envoy() -> None:
    async with gateway_rig(has_envoy=False) as rig:
        await rig.until(lambda: are_defined(rig))
        await rig.create(gateway())
        status = await rig.status("Gateway", "gw", accepted)
        assert told(status) == ("False", "Pending")
        assert [c["reason"] for c in status["listeners"][0]["conditions"] if c["type"] == "Programmed"] == ["Pending"]
        async with running_envoy(rig.settings):
            await rig.status("Gateway", "gw", lambda s: told(s) == ("True", "Programmed"))


async def test_a_changed_gateway_and_a_restart_do_not_take_back_what_was_programmed() -> None:
    async with gateway_rig() as rig:
        await rig.backend("web")
        await rig.create(gateway(), http_route("r", to("web")))
        await rig.status("Gateway", "gw", lambda s: told(s) == ("True", "Programmed"))
        seen: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(rig, seen))
            await rig.replace(gateway({"name": "http", "port": 80, "protocol": "HTTP"}, OTHER))
            await rig.status("Gateway", "gw", lambda s: told(s, 2) == ("True", "Programmed"))
            await rig.stop_controller()
            rig.start_controller()
            await rig.create(http_route("later", to("web", path="/later")))
            await rig.eventually("/later", 200)
            watching.cancel()
        assert seen == {"True"}


async def are_defined(rig: Rig) -> bool:
    try:
        await rig.client.list(GATEWAYS)
    except NotFound:
        return False
    return True


async def watch(rig: Rig, seen: set[str]) -> None:
    """Every status of the Gateway's Programmed."""
    while True:
        status = await rig.status("Gateway", "gw", lambda s: bool(s.get("conditions")))
        seen.add(str((condition_of(status["conditions"], "Programmed") or {}).get("status")))
        await asyncio.sleep(0.002)

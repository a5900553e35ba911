"""What wakes the compiler: specs, never statuses; and a status costs the next change nothing either."""

from typing import Any

import pytest
from gateway_rig import Rig, gateway, gateway_rig, http_route, ingress, rule, to

from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.model.contract import Part, Status
from wherry.application.gateway.model.kinds import HTTP_ROUTES
from wherry.kit.clock import SystemClock

pytestmark = pytest.mark.cluster


class Counted:
    """A dialect that counts, and keeps what it said last."""

    def __init__(self, dialect: Any) -> None:
        self.name, self.watched, self._dialect = dialect.name, dialect.watched, dialect
        self.compiles, self.last = 0, Part()

    def compile(self, snapshot: Any, rejected: dict[str, str]) -> Part:
        self.compiles += 1
        self.last = self._dialect.compile(snapshot, rejected)
        return self.last

    def status_of(self, name: str) -> Status:
        return next(status for status in self.last.statuses if status.name == name)


async def begin_counted(rig: Rig) -> Counted:
    """The control plane with a counted Gateway API dialect, in place of the rig's own; Envoy has taken what there is."""
    await rig.stop_controller()
    dialects = [Counted(dialect) for dialect in dialects_for(rig.settings)]
    rig.controller = GatewayController(rig.client, rig.settings, SystemClock(), dialects=dialects)
    rig.running = rig.tasks.create_task(rig.controller.run())
    return next(dialect for dialect in dialects if dialect.name == "gateway-api")


def is_told(status: dict[str, Any]) -> bool:
    return bool(status.get("parents"))


async def test_statuses_of_many_routes_and_of_others_compile_nothing_and_the_next_change_recomputes_one_route() -> None:
    async with gateway_rig() as rig:
        await rig.stop_controller()
        await rig.backend("web")
        await rig.create(gateway(), *(http_route(f"r{n}", to("web", path=f"/r{n}")) for n in range(40)))
        await rig.create(ingress("i", rules=[rule("b.test", ("Prefix", "/", "web"))]))
        counted = await begin_counted(rig)
        for number in range(40):
            await rig.status("HTTPRoute", f"r{number}", is_told)
        await rig.eventually("/r0", 200)
        compiles, before = counted.compiles, [counted.status_of(f"r{n}") for n in range(40)]
        for number in range(20):
            said = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            foreign = {"parents": [{"parentRef": {"name": "x"}, "controllerName": "other.test/x", "conditions": [said]}]}
            await rig.client.patch_status(HTTP_ROUTES, f"r{number}", "default", {"status": foreign})
        for number in range(20):  # ours is put back beside the foreign one, which is seen after the foreign write was
            await rig.status("HTTPRoute", f"r{number}", lambda s: len(s.get("parents", ())) == 2)
        assert counted.compiles == compiles
        await rig.replace(http_route("r39", to("web", path="/changed")))
        await rig.eventually("/changed", 200)
        after = [counted.status_of(f"r{n}") for n in range(40)]
        assert [a is b for a, b in zip(before, after, strict=True)] == [True] * 39 + [False]


async def test_the_first_status_of_a_route_is_a_status_only_too() -> None:
    async with gateway_rig() as rig:
        await rig.backend("web")
        await rig.create(gateway(), http_route("r", to("web")))
        counted = await begin_counted(rig)
        await rig.status("HTTPRoute", "r", is_told)
        await rig.eventually("/", 200)
        compiles = counted.compiles
        for number in range(1, 6):
            await rig.create(http_route(f"r{number}", to("web", path=f"/r{number}")))
            await rig.status("HTTPRoute", f"r{number}", is_told)
        assert counted.compiles == compiles + 5

"""Changes while requests run: none is lost, and every Wherry process may die meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from gateway_rig import Rig, gateway, gateway_rig, http_route, ingress, rule, to

from wherry.application.gateway.model.kinds import GATEWAYS, HTTP_ROUTES
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, INGRESSES
from wherry.testing.envoy import running_envoy
from wherry.testing.ports import free_port

pytestmark = pytest.mark.cluster

CALLERS = 4


@asynccontextmanager
async def load(rig: Rig, path: str = "/") -> AsyncIterator[Counter[str]]:
    """Requests without pause while the block runs; counts by backend or by failure."""
    seen: Counter[str] = Counter()
    is_over = False

    async def call() -> None:
        while not is_over:
            try:
                answer = await rig.get(path)
                seen[answer.seen.get("backend", f"status {answer.status}")] += 1
            except OSError as error:
                seen[repr(error)] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(call())
        try:
            yield seen
        finally:
            is_over = True


def failures(seen: Counter[str]) -> list[str]:
    return [key for key in seen if not key.startswith(("one-", "two-"))]


async def test_switching_backends_under_load_loses_no_request() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.backend("two")
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        async with load(rig) as seen:
            for turn in range(40):
                await rig.replace(http_route("web", to("two" if turn % 2 == 0 else "one")))
                await asyncio.sleep(0.02)
        assert failures(seen) == [] and seen["one-0"] and seen["two-0"], seen


async def test_a_new_service_and_its_route_at_once_lose_no_request() -> None:
    """The route must not reach Envoy before the new cluster has its endpoints."""
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        async with load(rig) as seen:
            for number in range(10):
                await rig.backend(f"two-{number}")
                await rig.replace(http_route("web", to(f"two-{number}")))
            await rig.eventually("/", 200)
            await asyncio.sleep(0.2)
        assert failures(seen) == [], seen


async def test_endpoints_that_come_and_go_lose_no_request() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one", copies=2)
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        port = await rig.serve("one-9")
        async with load(rig) as seen:
            for _ in range(15):
                await rig.create(rig.slice_of("one", "extra", port))
                await asyncio.sleep(0.03)
                await rig.client.delete(ENDPOINT_SLICES, "extra", "default")
                await asyncio.sleep(0.03)
        assert failures(seen) == [] and seen["one-9"], seen


async def test_envoy_serves_on_without_control_plane_and_finds_it_again() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.backend("two")
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        async with load(rig) as seen:
            await rig.stop_controller()
            await asyncio.sleep(0.3)
            await rig.create(http_route("new", to("two"), hosts=("new.test",)))
            rig.start_controller()
            await rig.eventually("/", 200, "new.test")
        assert failures(seen) == [], seen


async def test_a_new_envoy_gets_everything() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        other = replace(rig.settings, http_port=free_port(), ready_port=free_port())
        async with running_envoy(other, wait_ready=True):
            assert rig.controller.feed.streams == 2


async def test_five_hundred_routes_are_there_soon() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(gateway())
        async with asyncio.TaskGroup() as tasks:
            for number in range(500):
                tasks.create_task(rig.create(http_route(f"r{number}", to("one", path=f"/r{number}"))))
        async with asyncio.timeout(60):  # how soon is a matter of bench/gateway_routes.py
            for number in range(500):
                await rig.eventually(f"/r{number}", 200)
        assert (await rig.get("/r500")).status == 404
        await rig.status("Gateway", "gw", lambda status: status["listeners"][0]["attachedRoutes"] == 500)


async def test_what_is_deleted_is_gone() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(gateway(), http_route("web", to("one")), ingress("web", rules=[rule("i.test", ("Prefix", "/", "one"))]))
        await rig.eventually("/", 200)
        await rig.eventually("/", 200, "i.test")
        await rig.client.delete(INGRESSES, "web", "default")
        await rig.eventually("/", 404, "i.test")
        await rig.client.delete(HTTP_ROUTES, "web", "default")
        await rig.eventually("/", 404)
        await rig.client.delete(GATEWAYS, "gw", "default")
        async with asyncio.timeout(5):
            while True:
                try:
                    await rig.get("/")
                except OSError:
                    return
                await asyncio.sleep(0.02)


async def test_entries_of_other_controllers_stay_in_a_routes_status() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(http_route("web", to("one")))
        other = {"parentRef": {"name": "else"}, "controllerName": "example.com/other", "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        await rig.client.patch_status(HTTP_ROUTES, "web", "default", {"status": {"parents": [other]}})
        await rig.create(gateway())
        status = await rig.status("HTTPRoute", "web", lambda status: len(status.get("parents", ())) == 2)
        assert {entry["controllerName"] for entry in status["parents"]} == {"example.com/other", "wherry.dev/gateway"}
        await rig.client.delete(GATEWAYS, "gw", "default")
        status = await rig.status("HTTPRoute", "web", lambda status: len(status.get("parents", ())) == 1)
        assert status["parents"][0]["controllerName"] == "example.com/other"

"""What the gateway puts into a cluster is accepted by a real API server, and what others put there stays."""

import asyncio
from pathlib import Path

import pytest

from wherry.application.gateway import install, statuses, workload
from wherry.application.gateway.crds.definitions import custom_resource_definitions
from wherry.application.gateway.model.kinds import CONTROLLER, GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.kit.clock import SystemClock
from wherry.kit.errors import Invalid, NotFound
from wherry.orchestration.objects.custom.schema import compile_schema
from wherry.orchestration.objects.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    INGRESS_CLASSES,
    PODS,
)
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import api_server

SETTINGS = GatewaySettings(Path("/run/wherry-test/gateway"), addresses=("192.0.2.1",))


@pytest.mark.parametrize("definition", custom_resource_definitions(), ids=lambda found: found["metadata"]["name"].partition(".")[0])
def test_definitions_are_structural(definition: Object) -> None:
    for version in definition["spec"]["versions"]:
        compile_schema(version["schema"]["openAPIV3Schema"])


async def test_everything_is_accepted_and_a_second_time_changes_nothing() -> None:
    async with api_server() as api:
        await install.ensure(api.client, SETTINGS)
        first = await api.client.get(DAEMON_SETS, workload.NAME, SETTINGS.namespace)
        await install.ensure(api.client, SETTINGS)
        second = await api.client.get(DAEMON_SETS, workload.NAME, SETTINGS.namespace)
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
        assert (await api.client.get(INGRESS_CLASSES, "wherry"))["spec"]["controller"] == CONTROLLER
        accepted = next(c for c in (await api.client.get(GATEWAY_CLASSES, "wherry"))["status"]["conditions"])
        assert accepted["reason"] == "Pending"  # no controller has seen it yet
        template = first["spec"]["template"]
        pod = {"metadata": {"name": "envoy", "namespace": SETTINGS.namespace, "labels": template["metadata"]["labels"]},
               "spec": template["spec"]}
        await api.client.create(PODS, pod)


async def test_upstreams_own_definitions_stay() -> None:
    async with api_server() as api:
        theirs = next(d for d in custom_resource_definitions() if d["spec"]["names"]["kind"] == "HTTPRoute")
        theirs["metadata"]["annotations"] = {"gateway.networking.k8s.io/bundle-version": "v1.4.0",
                                             "api-approved.kubernetes.io": "unapproved, a test"}
        await api.client.create(CUSTOM_RESOURCE_DEFINITIONS, theirs)
        await install.ensure(api.client, SETTINGS)
        held = await api.client.get(CUSTOM_RESOURCE_DEFINITIONS, theirs["metadata"]["name"])
        assert held["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] == "v1.4.0"


@pytest.mark.parametrize("manager", ["kubectl", "helm"])
async def test_upstreams_files_applied_over_ours_are_no_conflict_for_kubectl_and_stay(manager: str) -> None:
    async with api_server() as api:
        await install.ensure(api.client, SETTINGS)
        theirs = next(d for d in custom_resource_definitions() if d["spec"]["names"]["kind"] == "HTTPRoute")
        theirs["metadata"]["annotations"] = {"gateway.networking.k8s.io/bundle-version": "v9.9.9",
                                             "api-approved.kubernetes.io": "unapproved, a test"}
        theirs["spec"]["names"]["categories"] = ["theirs"]
        await api.client.apply(CUSTOM_RESOURCE_DEFINITIONS, theirs, field_manager=manager, force=manager != "kubectl")
        await install.ensure(api.client, SETTINGS)
        held = await api.client.get(CUSTOM_RESOURCE_DEFINITIONS, theirs["metadata"]["name"])
        assert held["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] == "v9.9.9"
        assert held["spec"]["names"]["categories"] == ["theirs"]


@pytest.mark.slow
async def test_defaults_and_limits_are_upstreams() -> None:
    async with api_server() as api:
        await install.ensure(api.client, SETTINGS)
        route = await api.client.create(HTTP_ROUTES, {
            "metadata": {"name": "r", "namespace": "default"},
            "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}})
        assert route["spec"]["parentRefs"][0] == {"name": "gw", "group": "gateway.networking.k8s.io", "kind": "Gateway"}
        rule = route["spec"]["rules"][0]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert rule["backendRefs"] == [{"name": "web", "port": 80, "group": "", "kind": "Service", "weight": 1}]
        with pytest.raises(Invalid):
            await api.client.create(GATEWAYS, {
                "metadata": {"name": "g", "namespace": "default"},
                "spec": {"gatewayClassName": "wherry", "listeners": [{"name": "x", "port": 70000, "protocol": "HTTP"}]}})


def entry(controller: str, gateway: str, status: str = "True") -> Object:
    return {"controllerName": controller, "parentRef": {"name": gateway},
            "conditions": [{"type": "Accepted", "status": status, "reason": "x", "message": ""}]}


def timed(found: Object) -> Object:
    conditions = [{**item, "lastTransitionTime": "2026-01-01T00:00:00Z"} for item in found["conditions"]]
    return {**found, "conditions": conditions}


@pytest.mark.parametrize(("held", "wanted", "parents"), [
    pytest.param([], [entry(CONTROLLER, "a")], [(CONTROLLER, "a", "True")], id="the first"),
    pytest.param([timed(entry(CONTROLLER, "a"))], [entry(CONTROLLER, "a")], None, id="no change, no write"),
    pytest.param([timed(entry(CONTROLLER, "a"))], [entry(CONTROLLER, "a", "False")], [(CONTROLLER, "a", "False")], id="a change"),
    pytest.param([timed(entry("other", "b")), timed(entry(CONTROLLER, "a"))], [], [("other", "b", "True")], id="ours goes, theirs stays"),
    pytest.param([timed(entry("other", "b"))], [entry(CONTROLLER, "a")], [("other", "b", "True"), (CONTROLLER, "a", "True")],
                 id="ours joins"),
    pytest.param(None, [], None, id="not ours, and no status yet"),
])
def test_own_entries_join_the_parents_there_are(held: list[Object] | None, wanted: list[Object], parents: object) -> None:
    obj: Object = {"metadata": {"resourceVersion": "7"}} | ({"status": {"parents": held}} if held is not None else {})
    patch = statuses.patch_for(obj, {"parents": wanted}, SystemClock().now())
    if parents is None:
        assert patch is None
    else:
        assert patch is not None and patch["metadata"] == {"resourceVersion": "7"}
        assert [(p["controllerName"], p["parentRef"]["name"], p["conditions"][0]["status"]) for p in patch["status"]["parents"]] == parents


def test_a_transition_time_moves_only_with_the_status() -> None:
    held = timed(entry(CONTROLLER, "a"))
    changed = entry(CONTROLLER, "a")
    changed["conditions"][0]["message"] = "new words"
    patch = statuses.patch_for({"metadata": {}, "status": {"parents": [held]}}, {"parents": [changed]}, SystemClock().now())
    assert patch is not None
    assert patch["status"]["parents"][0]["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


async def test_no_gateway_pod_is_asked_for_before_its_image_is_there() -> None:
    has_image = asyncio.Event()
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        installing = tasks.create_task(install.ensure(api.client, SETTINGS, has_image=has_image))
        async with asyncio.timeout(20):
            while True:
                try:
                    await api.client.get(GATEWAY_CLASSES, "wherry")
                    break
                except NotFound:
                    await asyncio.sleep(0.01)
        with pytest.raises(NotFound):
            await api.client.get(DAEMON_SETS, workload.NAME, SETTINGS.namespace)
        has_image.set()
        await installing
        await api.client.get(DAEMON_SETS, workload.NAME, SETTINGS.namespace)

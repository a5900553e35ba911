"""What has no effect says so: a warning, a refusal where access is restricted, an Event, a condition."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.kit.clock import SystemClock
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.not_enforced.loop import Controller
from wherry.orchestration.objects.kinds import HORIZONTAL_POD_AUTOSCALERS
from wherry.testing.api import TestApi, api_server

NET = "/apis/networking.k8s.io/v1/namespaces/default"
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content_type": "application/merge-patch+json"}
POLICY = {"metadata": {"name": "p"}, "spec": {"podSelector": {}}}
HPA = {"metadata": {"name": "h"}, "spec": {
    "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
INGRESS = {"metadata": {"name": "i"}, "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}
CSI_CLASS = {"metadata": {"name": "v"}, "driverName": "d", "parameters": {"a": "b"}}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def warnings(api: TestApi, method: str, path: str, body: object, expected: int, **more: Any) -> str:
    response = await api.raw(method, path, body, **more)
    assert response.status == expected, response.body
    await api.server.registry.fresh()
    return "\n".join(value for name, value in response.headers if name == "warning")


async def test_a_network_policy_is_refused_and_the_setting_is_named(api: TestApi) -> None:
    status, body = await api.call("POST", f"{NET}/networkpolicies", POLICY)
    assert (status, body["reason"]) == (403, "Forbidden")
    assert "not enforced" in body["message"] and "--unenforced-policies warn" in body["message"]


async def test_a_network_policy_is_stored_with_a_warning_where_the_cluster_wants_that() -> None:
    async with api_server(settings=ApiServerSettings(unenforced_policies="warn")) as api:
        assert "not enforced" in await warnings(api, "POST", f"{NET}/networkpolicies", POLICY, 201)
        changed = {"spec": {"policyTypes": ["Egress"]}}
        assert "not enforced" in await warnings(api, "PATCH", f"{NET}/networkpolicies/p", changed, 200, **MERGE)


@pytest.mark.parametrize(("path", "body", "text"), [
    pytest.param(HPAS, HPA, "nothing scales", id="an autoscaler"),
    pytest.param(f"{NET}/ingresses", INGRESS, "no IngressClass is the default", id="an Ingress without class"),
    pytest.param(f"{NET}/ingresses", {**INGRESS, "spec": {**INGRESS["spec"], "ingressClassName": "nginx"}},  # type: ignore[dict-item]
                 'no IngressClass \\"nginx\\" exists', id="an Ingress of an unknown class"),
    pytest.param("/apis/storage.k8s.io/v1/volumeattributesclasses", CSI_CLASS, "volumes stay as they are", id="volume attributes"),
])
async def test_the_writer_is_warned_of(api: TestApi, path: str, body: object, text: str) -> None:
    assert text in await warnings(api, "POST", path, body, 201)


def definition(**metadata: Any) -> dict[str, Any]:
    rules = [{"rule": "self.a > 1"}, {"rule": "self.a < 5"}]
    schema = {"type": "object", "properties": {"spec": {
        "type": "object", "x-kubernetes-validations": rules, "properties": {"a": {"type": "integer"}}}}}
    return {"metadata": {"name": "widgets.example.com", **metadata}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}}


async def established(api: TestApi) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            _, crd = await api.call("GET", f"{CRDS}/widgets.example.com")
            conditions = {c["type"]: c for c in (crd.get("status") or {}).get("conditions") or ()}
            if "Established" in conditions and api.server.table.any_version("example.com", "widgets"):
                return conditions
            await asyncio.sleep(0)


async def test_rules_of_a_definition_are_told_at_the_definition_and_at_its_objects(api: TestApi) -> None:
    notes = {"wherry.dev/not-enforced": "no gateway serves widgets"}
    assert "2 validation rules (CEL)" in await warnings(api, "POST", CRDS, definition(annotations=notes), 201)
    assert (await established(api))["ValidationRulesEnforced"]["status"] == "False"
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 9}}
    told = await warnings(api, "POST", "/apis/example.com/v1/namespaces/default/widgets", widget, 201)
    assert told.count("2 validation rules (CEL)") == 1 and "no gateway serves widgets" in told


async def bind(api: TestApi, actions: list[str], policy: dict[str, Any] | None = None, **binding: Any) -> str:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false"}], **(policy or {})}
    told = await warnings(
        api, "POST", f"{ADMISSION}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec}, 201)
    await warnings(api, "POST", f"{ADMISSION}/validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": {
        "policyName": "p", "validationActions": actions, **binding}}, 201)
    return told


@pytest.mark.parametrize(("actions", "policy", "binding", "expected"), [
    pytest.param(["Deny"], {}, {}, 403, id="Fail and Deny refuse"),
    pytest.param(["Deny"], {"failurePolicy": "Ignore"}, {}, 201, id="Ignore passes"),
    pytest.param(["Warn"], {}, {}, 201, id="Warn passes"),
    pytest.param(["Deny"], {"matchConditions": [{"name": "c", "expression": "false"}]}, {}, 403, id="conditions count as true"),
    pytest.param(["Deny"], {}, {"matchResources": {"namespaceSelector": {
        "matchLabels": {"kubernetes.io/metadata.name": "default"}}}}, 403, id="the binding selects the namespace"),
])
async def test_a_bound_policy_that_matches_cannot_be_evaluated(
    api: TestApi, actions: list[str], policy: dict[str, Any], binding: dict[str, Any], expected: int,
) -> None:
    assert "CEL is not evaluated" in await bind(api, actions, policy, **binding)
    body = {"metadata": {"name": "c"}}
    told = await warnings(api, "POST", MAPS, body, expected)
    assert expected == 403 or "ValidatingAdmissionPolicy 'p' with binding 'b'" in told


@pytest.mark.parametrize(("policy", "binding"), [
    pytest.param({"matchConstraints": {"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]}}, {}, id="operation"),
    pytest.param({}, {"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}, id="object selector"),
    pytest.param({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, id="namespace selector"),
    pytest.param({}, {"matchResources": {"excludeResourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]}}, id="excluded"),
])
async def test_a_policy_that_does_not_match_says_nothing(
    api: TestApi, policy: dict[str, Any], binding: dict[str, Any],
) -> None:
    await bind(api, ["Deny"], policy, **binding)
    assert not await warnings(api, "POST", MAPS, {"metadata": {"name": "c"}}, 201)


async def test_a_policy_that_matches_everything_can_be_undone(api: TestApi) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    await bind(api, ["Deny"], {"matchConstraints": {"resourceRules": [everything]}})
    status, body = await api.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == 403 and "ValidatingAdmissionPolicy 'p' with binding 'b' denied request" in body["message"]
    assert (await api.call("DELETE", f"{ADMISSION}/validatingadmissionpolicybindings/b"))[0] == 200
    await api.server.registry.fresh()
    assert (await api.call("POST", MAPS, {"metadata": {"name": "c"}}))[0] == 201


async def test_an_autoscaler_carries_an_event_and_conditions(api: TestApi) -> None:
    await warnings(api, "POST", HPAS, HPA, 201)
    informers, recorder = Informers(api.client), Recorder(api.client, "test", clock=SystemClock())
    controller = Controller(api.client, informers, recorder, SystemClock())
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(part()) for part in (informers.run, recorder.run, controller.run)]
        while True:
            found = await api.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", "default")
            _, events = await api.call("GET", "/api/v1/namespaces/default/events")
            if events["items"] and (found.get("status") or {}).get("conditions"):
                break
            await asyncio.sleep(0.01)
        for task in running:
            task.cancel()
    assert [(e["reason"], e["type"], e["involvedObject"]["name"]) for e in events["items"]] == [("NotEnforced", "Warning", "h")]
    assert {(c["type"], c["status"]) for c in found["status"]["conditions"]} == {("AbleToScale", "False"), ("ScalingActive", "False")}

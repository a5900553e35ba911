"""What has no effect says so: a warning, a refusal where access is restricted, an Event, a condition."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateSigningRequestBuilder, Name

from wherry.kit.clock import SystemClock
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.not_enforced.loop import Controller
from wherry.orchestration.objects import not_enforced
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


HOOKS = {"webhooks": [{
    "name": "w.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
    "clientConfig": {"url": "https://127.0.0.1:1/x"}, "matchConditions": [{"name": "c", "expression": "true"}]}]}
REQUEST = base64.b64encode(CertificateSigningRequestBuilder().subject_name(Name([])).sign(
    ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)).decode()
VALIDATING = {"spec": {"validations": [{"expression": "true"}], "matchConstraints": {"resourceRules": [{
    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]}}}
MUTATING = {"spec": {**VALIDATING["spec"], "reinvocationPolicy": "Never", "mutations": [
    {"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]}}
del MUTATING["spec"]["validations"]
BINDING = {"spec": {"policyName": "p", "validationActions": ["Deny"]}}
DEVICES = {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}}
# Kind of a row -> an object of it, without its name, that has no effect.
WITHOUT_EFFECT: dict[str, dict[str, Any]] = {
    "networkpolicies": {"spec": {"podSelector": {}}},
    "validatingadmissionpolicies": VALIDATING,
    "validatingadmissionpolicybindings": BINDING,
    "mutatingadmissionpolicies": MUTATING,
    "mutatingadmissionpolicybindings": {"spec": {"policyName": "p"}},
    "validatingwebhookconfigurations": HOOKS,
    "mutatingwebhookconfigurations": HOOKS,
    "horizontalpodautoscalers": {"spec": HPA["spec"]},
    "clustertrustbundles": {"spec": {"trustBundle": "x"}},
    "servicecidrs": {"spec": {"cidrs": ["10.200.0.0/24"]}},
    "flowschemas": {"spec": {"priorityLevelConfiguration": {"name": "global-default"}, "matchingPrecedence": 900}},
    "prioritylevelconfigurations": {"spec": {"type": "Exempt"}},
    "resourceclaims": DEVICES,
    "resourceclaimtemplates": {"spec": DEVICES},
    "resourceslices": {"spec": {"driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}},
    "deviceclasses": {"spec": {}},
    "devicetaintrules": {"spec": {"taint": {"key": "example.com/t", "effect": "NoSchedule"}}},
    "volumeattributesclasses": {"driverName": "d", "parameters": {"a": "b"}},
    "storageversionmigrations": {"spec": {"resource": {"group": "apps", "resource": "deployments"}}},
    "podcertificaterequests": {"spec": {
        "signerName": "example.com/s", "podName": "p", "podUID": "1", "serviceAccountName": "a", "serviceAccountUID": "2",
        "nodeName": "n", "nodeUID": "3", "stubPKCS10Request": REQUEST}},
    "customresourcedefinitions": {},
}
NAMES = {"clustertrustbundles": "bundle"}


def test_every_row_has_an_object_without_effect() -> None:
    assert {row.resource.plural for row in not_enforced.ROWS} == set(WITHOUT_EFFECT)


@pytest.mark.parametrize("row", not_enforced.ROWS, ids=lambda row: row.resource.qualified_name + "/" + row.resource.version)
async def test_the_writer_of_every_kind_is_warned_at_create_and_at_update(row: not_enforced.Row) -> None:
    body = {"metadata": {"name": NAMES.get(row.resource.plural, "x")}, **WITHOUT_EFFECT[row.resource.plural]}
    if row.resource.plural == "customresourcedefinitions":
        body = definition()
    if row.resource.plural == "horizontalpodautoscalers" and row.resource.version == "v1":
        body = {**body, "spec": {**body["spec"], "maxReplicas": 4}}
    sentence = row.says(body)
    assert sentence
    async with api_server(settings=ApiServerSettings(unenforced_policies="warn")) as api:
        path = row.resource.path("default")
        told = await warnings(api, "POST", path, body, 201)
        assert sentence.replace('"', '\\"') in told
        name = f"{path}/{body['metadata']['name']}"
        assert sentence in await warnings(api, "PATCH", name, {"metadata": {"labels": {"a": "b"}}}, 200, **MERGE)


@pytest.mark.parametrize(("path", "body", "text"), [
    pytest.param(f"{NET}/ingresses", INGRESS, "no IngressClass is the default", id="an Ingress without class"),
    pytest.param(f"{NET}/ingresses", {**INGRESS, "spec": {**INGRESS["spec"], "ingressClassName": "nginx"}},  # type: ignore[dict-item]
                 'no IngressClass \\"nginx\\" exists', id="an Ingress of an unknown class"),
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
@pytest.mark.slow
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
    found, events = await told_by_a_new_controller(api)
    assert [(e["reason"], e["type"], e["involvedObject"]["name"]) for e in events] == [("NotEnforced", "Warning", "h")]
    assert {(c["type"], c["status"]) for c in found["status"]["conditions"]} == {("AbleToScale", "False"), ("ScalingActive", "False")}


async def test_a_restart_does_not_repeat_what_an_event_says(api: TestApi) -> None:
    """Each start said it anew of every object."""
    await warnings(api, "POST", HPAS, HPA, 201)
    await told_by_a_new_controller(api)
    await warnings(api, "POST", HPAS, {**HPA, "metadata": {"name": "later"}}, 201)
    _, events = await told_by_a_new_controller(api, "later")
    assert sorted((e["involvedObject"]["name"], e["count"]) for e in events) == [("h", 1), ("later", 1)]


async def told_by_a_new_controller(api: TestApi, name: str = "h") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The autoscaler and all events, once this one has conditions and an event."""
    informers, recorder = Informers(api.client), Recorder(api.client, "test", clock=SystemClock())
    controller = Controller(Tools(api.client, informers, recorder, SystemClock()))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(part()) for part in (informers.run, recorder.run, controller.run)]
        while True:
            found = await api.client.get(HORIZONTAL_POD_AUTOSCALERS, name, "default")
            _, events = await api.call("GET", "/api/v1/namespaces/default/events")
            if any(e["involvedObject"]["name"] == name for e in events["items"]) and (found.get("status") or {}).get("conditions"):
                break
            await asyncio.sleep(0.01)
        await recorder.drain()
        for task in running:
            task.cancel()
    return found, (await api.call("GET", "/api/v1/namespaces/default/events"))[1]["items"]

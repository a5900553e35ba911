"""Custom resources: served live, validated, defaulted, pruned, versioned, scaled, selected, and cleaned up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.testing.api import TestApi, api_server

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
MERGE = {"content_type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


def definition(plural: str = "widgets", kind: str = "Widget", **version: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["color"], "properties": {
            "color": {"type": "string", "enum": ["blue", "red"]}, "replicas": {"type": "integer", "default": 1}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
             "labelSelectorPath": ".status.selector"}
    first = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
             "subresources": {"status": {}, "scale": scale}, "selectableFields": [{"jsonPath": ".spec.color"}],
             "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}], **version}
    second = {"name": "v1beta1", "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [first, second],
                 "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [plural[:2]]}},
    }


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"color": "red", **spec}}


async def until(api: TestApi, path: str, code: int) -> None:
    async with asyncio.timeout(5):
        while (await api.call("GET", path))[0] != code:
            await asyncio.sleep(0)


async def define(api: TestApi) -> None:
    status, body = await api.call("POST", CRDS, definition())
    assert status == 201, body
    await until(api, WIDGETS, 200)


async def test_a_definition_is_established_and_discovered(api: TestApi) -> None:
    await define(api)
    _, crd = await api.call("GET", f"{CRDS}/widgets.example.com")
    conditions = {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}
    assert crd["status"]["storedVersions"] == ["v1"] and crd["status"]["acceptedNames"]["kind"] == "Widget"
    _, listed = await api.call("GET", "/apis/example.com/v1")
    assert {r["name"] for r in listed["resources"]} == {"widgets", "widgets/status", "widgets/scale"}


async def test_objects_are_validated_defaulted_and_pruned(api: TestApi) -> None:
    await define(api)
    _, obj = await api.call("POST", WIDGETS, widget(size=3))
    assert obj["spec"] == {"color": "red", "replicas": 1} and obj["metadata"]["generation"] == 1
    status, body = await api.call("POST", WIDGETS, widget("x", color="green"))
    assert status == 422 and body["message"].startswith('Widget.example.com "x" is invalid: spec.color: Unsupported value')
    status, body = await api.call("POST", f"{WIDGETS}?fieldValidation=Strict", widget("y", size=3))
    assert status == 400 and 'unknown field "spec.size"' in body["message"]


async def test_every_version_shows_the_same_object(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget())
    path = WIDGETS.replace("/v1/", "/v1beta1/")
    _, obj = await api.call("GET", f"{path}/w")
    assert obj["apiVersion"] == "example.com/v1beta1" and obj["spec"]["color"] == "red"
    _, page = await api.call("GET", path)
    assert page["items"][0]["apiVersion"] == "example.com/v1beta1"
    status, _ = await api.call("PATCH", f"{path}/w", {"spec": {"color": "blue"}}, **MERGE)
    _, obj = await api.call("GET", f"{WIDGETS}/w")
    assert status == 200 and obj["apiVersion"] == "example.com/v1" and obj["spec"]["color"] == "blue"


async def test_status_and_scale_are_their_own(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, {**widget(), "status": {"replicas": 9}})
    _, obj = await api.call("GET", f"{WIDGETS}/w")
    assert "status" not in obj
    await api.call("PATCH", f"{WIDGETS}/w/status", {"status": {"replicas": 2, "selector": "a=b"}, "spec": {"color": "blue"}}, **MERGE)
    _, scale = await api.call("GET", f"{WIDGETS}/w/scale")
    assert scale["spec"] == {"replicas": 1} and scale["status"] == {"replicas": 2, "selector": "a=b"}
    await api.call("PATCH", f"{WIDGETS}/w/scale", {"spec": {"replicas": 4}}, **MERGE)
    _, obj = await api.call("GET", f"{WIDGETS}/w")
    assert obj["spec"] == {"color": "red", "replicas": 4} and obj["metadata"]["generation"] == 2


async def test_selectable_fields_select(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget("r"))
    await api.call("POST", WIDGETS, widget("b", color="blue"))
    _, page = await api.call("GET", f"{WIDGETS}?fieldSelector=spec.color=blue")
    assert [i["metadata"]["name"] for i in page["items"]] == ["b"]


@pytest.mark.parametrize(("content_type", "code"), [
    ("application/strategic-merge-patch+json", 415), ("application/merge-patch+json", 200),
    ("application/apply-patch+yaml", 200),
])
async def test_patches_of_custom_resources(api: TestApi, content_type: str, code: int) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget())
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"color": "blue"}}
    status, _ = await api.call("PATCH", f"{WIDGETS}/w?fieldManager=m&force=true" if "apply" in content_type else f"{WIDGETS}/w",
                               body, content_type=content_type)
    assert status == code


async def test_an_update_needs_the_revision(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget())
    status, body = await api.call("PUT", f"{WIDGETS}/w", widget(color="blue"))
    assert status == 422 and "metadata.resourceVersion: Invalid value" in body["message"]


async def test_a_second_definition_of_a_kind_is_not_accepted(api: TestApi) -> None:
    await define(api)
    await api.call("POST", CRDS, definition("gadgets", "Widget"))
    async with asyncio.timeout(5):
        while True:
            _, crd = await api.call("GET", f"{CRDS}/gadgets.example.com")
            if crd["status"].get("conditions"):
                break
            await asyncio.sleep(0)
    conditions = {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}
    assert conditions["NamesAccepted"] == ("False", "ListKindConflict") and conditions["Established"][0] == "False"


async def test_deleting_the_definition_deletes_the_objects(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget("plain"))
    await api.call("POST", WIDGETS, {**widget("held"), "metadata": {"name": "held", "finalizers": ["example.com/x"]}})
    await api.call("DELETE", f"{CRDS}/widgets.example.com")
    await until(api, f"{WIDGETS}/plain", 404)
    _, crd = await api.call("GET", f"{CRDS}/widgets.example.com")
    assert any(c["type"] == "Terminating" for c in crd["status"]["conditions"])
    status, body = await api.call("POST", WIDGETS, widget("new"))
    assert status == 405 and body["message"] == "create not allowed while custom resource definition is terminating"
    await api.call("PATCH", f"{WIDGETS}/held", {"metadata": {"finalizers": None}}, **MERGE)
    await until(api, f"{CRDS}/widgets.example.com", 404)
    await until(api, WIDGETS, 404)


async def test_definitions_survive_a_restart(api: TestApi) -> None:
    await define(api)
    await api.call("POST", WIDGETS, widget())
    async with api_server(store=api.server.registry.store, default_account=False) as again:
        assert (await again.call("GET", f"{WIDGETS}/w"))[0] == 200

"""What the API server answers where upstream's own rules are easily missed, over a memory store."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.testing.api import TestApi, api_server

BATCH = "/apis/batch/v1/namespaces/default/jobs"
DEFAULT = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
    "spec": {"selector": {"matchLabels": {"app": "a"}},
             "template": {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def test_a_limit_ranges_default_request_is_used_beside_its_default(api: TestApi) -> None:
    limits = [{"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}]
    await api.call("POST", f"{DEFAULT}/limitranges", {"metadata": {"name": "a"}, "spec": {"limits": limits}})
    await api.call("POST", f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "default"}})
    _, pod = await api.call("POST", f"{DEFAULT}/pods", {"metadata": {"name": "a"}, **TEMPLATE, "kind": "Pod", "apiVersion": "v1"}
                            | {"metadata": {"name": "a"}})
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}


@pytest.mark.parametrize(("options", "is_orphaned"), [
    pytest.param(None, True, id="no policy keeps the pods and warns"),
    pytest.param({"propagationPolicy": "Background"}, False, id="a policy is followed without a warning"),
])
async def test_the_pods_of_a_deleted_job(api: TestApi, options: object, is_orphaned: bool) -> None:
    status, _ = await api.call("POST", BATCH, {"metadata": {"name": "a"}, "spec": {"template": {"spec": TEMPLATE["spec"]}}})
    assert status == 201
    answer = await api.raw("DELETE", f"{BATCH}/a", options)
    assert isinstance(answer.body, bytes)
    body = json.loads(answer.body)
    assert (body.get("metadata", {}).get("finalizers") == ["orphan"]) == is_orphaned
    assert any("child pods are preserved by default" in text for name, text in answer.headers if name == "warning") == is_orphaned


@pytest.mark.parametrize(("method", "path"), [
    *((method, "/api/v1/pods") for method in ("DELETE", "PUT", "PATCH", "POST")),
    *((method, path) for path in ("/api", "/apis", "/version", "/api/v1") for method in ("POST", "PUT", "DELETE", "PATCH")),
])
async def test_other_methods_are_not_allowed(api: TestApi, method: str, path: str) -> None:
    status, body = await api.call(method, path, {})
    assert (status, body["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(("path", "body"), [
    (f"{DEFAULT}/services/a", {"spec": {"ports": [{"port": 80}]}}),
    ("/apis/coordination.k8s.io/v1/namespaces/default/leases/a", {"spec": {}}),
    ("/apis/node.k8s.io/v1/runtimeclasses/a", {"handler": "crun"}),
])
async def test_put_creates_without_a_revision(api: TestApi, path: str, body: dict[str, Any]) -> None:
    status, _ = await api.call("PUT", path, {"metadata": {"name": "a"}, **body})
    assert status == 201


async def test_a_lease_that_is_there_wants_its_revision(api: TestApi) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    await api.call("PUT", path, {"metadata": {"name": "a"}})
    for revision in ({}, {"resourceVersion": "0"}):
        status, body = await api.call("PUT", path, {"metadata": {"name": "a", **revision}})
        assert (status, body["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


async def test_revision_zero_is_unconditional(api: TestApi) -> None:
    await api.call("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
    body = {"metadata": {"name": "a", "resourceVersion": "0"}, "data": {"a": "1"}}
    status, obj = await api.call("PUT", f"{DEFAULT}/configmaps/a", body)
    assert (status, obj["data"]) == (200, {"a": "1"})


async def test_the_revision_of_an_applied_object_counts(api: TestApi) -> None:
    _, made = await api.call("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
    path = f"{DEFAULT}/configmaps/a?fieldManager=me"

    async def apply(revision: str) -> int:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": revision}, "data": {"a": revision}}
        return (await api.call("PATCH", path, body, content_type="application/apply-patch+yaml"))[0]

    assert await apply(made["metadata"]["resourceVersion"]) == 200
    assert await apply(made["metadata"]["resourceVersion"]) == 409


async def test_scale_takes_apply(api: TestApi) -> None:
    await api.call("POST", DEPLOYMENTS, DEPLOYMENT)
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {"replicas": 3}}
    path, kind = f"{DEPLOYMENTS}/a/scale?fieldManager=me", "application/apply-patch+yaml"
    status, refused = await api.call("PATCH", path, body, content_type=kind)
    assert (status, refused["details"]["causes"][0]["field"]) == (409, ".spec.replicas")
    status, scale = await api.call("PATCH", f"{path}&force=true", body, content_type=kind)
    assert (status, scale["kind"], scale["spec"]["replicas"]) == (200, "Scale", 3)
    _, owner = await api.call("GET", f"{DEPLOYMENTS}/a")
    mine = next(m for m in owner["metadata"]["managedFields"] if m["manager"] == "me")
    assert (mine["subresource"], mine["apiVersion"], mine["operation"]) == ("scale", "apps/v1", "Apply")
    assert mine["fieldsV1"] == {"f:spec": {"f:replicas": {}}} and owner["spec"]["replicas"] == 3


@pytest.mark.parametrize(("change", "field"), [
    ({"uid": "other"}, "metadata.uid"),
    ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "metadata.deletionTimestamp"),
])
async def test_a_patch_may_not_change_what_the_server_gives(api: TestApi, change: object, field: str) -> None:
    await api.call("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
    status, body = await api.call(
        "PATCH", f"{DEFAULT}/configmaps/a", {"metadata": change}, content_type="application/merge-patch+json")
    assert (status, body["details"]["causes"][0]["field"]) == (422, field)
    assert "field is immutable" in body["message"]


async def test_a_put_for_another_uid_is_a_conflict(api: TestApi) -> None:
    """409 and not 422: rest.DefaultUpdatedObjectInfo makes the uid of a PUT's object a precondition, which
    registry.Store.Update has the storage check before rest.BeforeUpdate could call the field immutable. A PATCH has no
    object and so no precondition: there it is 422 (above). A deletionTimestamp is 422 in both, `metadata.deletionTimestamp`.
    """
    await api.call("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
    status, body = await api.call("PUT", f"{DEFAULT}/configmaps/a", {"metadata": {"name": "a", "uid": "other"}})
    assert status == 409 and "UID in precondition: other" in body["message"]


async def test_a_put_that_would_create_is_a_conflict_when_it_names_a_uid(api: TestApi) -> None:
    """Preconditions are checked before system metadata is wiped (registry.Store.Update): none is there to have that uid."""
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    status, body = await api.call("PUT", lease, {"metadata": {"name": "a", "uid": "other"}, "spec": {}})
    assert status == 409 and "UID in precondition: other, UID in object meta: " in body["message"]
    assert (await api.call("PUT", lease, {"metadata": {"name": "a"}, "spec": {}}))[0] == 201


async def test_a_put_may_not_set_a_deletion_timestamp(api: TestApi) -> None:
    await api.call("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
    status, body = await api.call(
        "PUT", f"{DEFAULT}/configmaps/a", {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert (status, body["details"]["causes"][0]["field"]) == (422, "metadata.deletionTimestamp")


async def test_a_budget_without_spec_lets_pods_be_evicted(api: TestApi) -> None:
    budget = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    assert (await api.call("POST", budget, {"metadata": {"name": "a"}}))[0] == 201
    await api.call("POST", f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "default"}})
    await api.call("POST", f"{DEFAULT}/pods", {"metadata": {"name": "a"}, "spec": TEMPLATE["spec"]})
    status, _ = await api.call("POST", f"{DEFAULT}/pods/a/eviction", {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}})
    assert status == 201

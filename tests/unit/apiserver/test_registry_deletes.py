"""DELETE: grace, finalizers, propagation, preconditions, collections; and evictions."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.testing.api import TestApi, api_server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content_type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def pod(api: TestApi, name: str = "p", node: str = "n1", **metadata: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "i"}]}
    if node:
        spec["nodeName"] = node
    status, obj = await api.call("POST", PODS, {"metadata": {"name": name, **metadata}, "spec": spec})
    assert status == 201, obj
    return dict(obj)


async def test_a_running_pod_waits_for_its_agent(api: TestApi) -> None:
    await pod(api)
    status, obj = await api.call("DELETE", f"{PODS}/p")
    assert status == 200 and obj["metadata"]["deletionTimestamp"] and obj["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (await api.call("GET", f"{PODS}/p"))[0] == 200
    _, shorter = await api.call("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    _, longer = await api.call("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 50})
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5
    status, gone = await api.call("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert (status, gone["status"]) == (200, "Success")
    assert (await api.call("GET", f"{PODS}/p"))[0] == 404


async def test_a_pod_without_node_goes_at_once(api: TestApi) -> None:
    await pod(api, node="")
    assert (await api.call("DELETE", f"{PODS}/p"))[1]["status"] == "Success"


async def test_finalizers_hold_an_object_until_they_are_taken_away(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
    _, obj = await api.call("DELETE", f"{CONFIG_MAPS}/a")
    assert obj["metadata"]["deletionTimestamp"]
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/a"))[0] == 200
    status, _ = await api.call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": None}}, **MERGE)
    assert status == 200 and (await api.call("GET", f"{CONFIG_MAPS}/a"))[0] == 404


@pytest.mark.parametrize(("options", "finalizers"), [
    ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
    ({"propagationPolicy": "Orphan"}, ["orphan"]),
    ({"orphanDependents": True}, ["orphan"]),
    ({"propagationPolicy": "Background"}, None),
    ({}, None),
])
async def test_propagation_is_a_finalizer_of_the_collector(api: TestApi, options: dict[str, Any], finalizers: object) -> None:
    await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    _, obj = await api.call("DELETE", f"{CONFIG_MAPS}/a", options)
    assert obj.get("metadata", {}).get("finalizers") == finalizers


@pytest.mark.parametrize(("options", "code"), [
    ({"preconditions": {"uid": "wrong"}}, 409), ({"preconditions": {"resourceVersion": "1"}}, 409),
    ({"propagationPolicy": "Sideways"}, 422), ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
    ({"gracePeriodSeconds": "soon"}, 400),
])
async def test_options_that_do_not_hold_refuse(api: TestApi, options: object, code: int) -> None:
    await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/a", options))[0] == code
    assert (await api.call("GET", f"{CONFIG_MAPS}/a"))[0] == 200


async def test_a_collection_is_deleted_by_selector(api: TestApi) -> None:
    for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
        await api.call("POST", CONFIG_MAPS, {"metadata": {"name": name, "labels": {"app": app}}})
    status, deleted = await api.call("DELETE", f"{CONFIG_MAPS}?labelSelector=app=web")
    assert status == 200 and len(deleted["items"]) == 2
    _, left = await api.call("GET", CONFIG_MAPS)
    assert [i["metadata"]["name"] for i in left["items"]] == ["c"]


async def test_a_namespace_goes_through_finalize(api: TestApi) -> None:
    await api.create_namespace("team")
    _, namespace = await api.call("DELETE", "/api/v1/namespaces/team")
    assert namespace["status"]["phase"] == "Terminating" and namespace["spec"]["finalizers"] == ["kubernetes"]
    status, refused = await api.call("POST", "/api/v1/namespaces/team/configmaps", {"metadata": {"name": "x"}})
    assert status == 403 and refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert refused["message"] == ('configmaps "x" is forbidden: unable to create new content in namespace team because it '
                                  "is being terminated")
    namespace["spec"] = {}
    assert (await api.call("PUT", "/api/v1/namespaces/team/finalize", namespace))[0] == 200
    assert (await api.call("GET", "/api/v1/namespaces/team"))[0] == 404


async def budget(api: TestApi, allowed: int) -> None:
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await api.call("POST", path, {"metadata": {"name": "b"}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}})
    status = {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1,
              "expectedPods": 1}
    assert (await api.call("PATCH", f"{path}/b/status", {"status": status}, **MERGE))[0] == 200


async def running(api: TestApi) -> None:
    await pod(api, labels={"app": "web"})
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.call("PATCH", f"{PODS}/p/status", {"status": ready}, **MERGE)


async def test_an_eviction_takes_from_the_budget(api: TestApi) -> None:
    await running(api)
    await budget(api, 1)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    status, answer = await api.call("POST", f"{PODS}/p/eviction", eviction)
    assert (status, answer["status"]) == (201, "Success")
    _, obj = await api.call("GET", f"{PODS}/p")
    assert obj["metadata"]["deletionTimestamp"]
    assert any(c["type"] == "DisruptionTarget" for c in obj["status"]["conditions"])
    _, after = await api.call("GET", "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b")
    assert after["status"]["disruptionsAllowed"] == 0 and "p" in after["status"]["disruptedPods"]


async def test_an_exhausted_budget_answers_429(api: TestApi) -> None:
    await running(api)
    await budget(api, 0)
    status, answer = await api.call("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})
    assert status == 429 and answer["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer["details"]["causes"][0]["reason"] == "DisruptionBudget"
    _, obj = await api.call("GET", f"{PODS}/p")
    assert "deletionTimestamp" not in obj["metadata"]


async def test_a_pod_is_bound_once(api: TestApi) -> None:
    await pod(api, node="")
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await api.call("POST", f"{PODS}/p/binding", binding))[0] == 201
    _, obj = await api.call("GET", f"{PODS}/p")
    assert obj["spec"]["nodeName"] == "n1" and obj["status"]["conditions"][0]["type"] == "PodScheduled"
    status, refused = await api.call("POST", f"{PODS}/p/binding", binding)
    assert status == 409 and 'already assigned to node "n1"' in refused["message"]

"""Whatever is stored has the shape of its Go type: what the server writes at its start, what plugins and strategies add.

The pass over a request's body comes before admission, so the plugins must leave what a second pass would: these tests make it.
"""

from copy import deepcopy
from functools import reduce
from operator import getitem

import pytest
from orjson import loads

from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.api import TestApi, api_server

APPLY = "application/apply-patch+yaml"
NAMESPACE = "/api/v1/namespaces/default"
CONTAINERS = {"containers": [{"name": "main", "image": "x:1"}], "initContainers": [{"name": "first", "image": "y"}]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "x:1"}]}}
CREATED = [
    ("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "heavy"}, "handler": "h", "overhead": {"podFixed": {"cpu": "250m"}},
     "scheduling": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "t", "operator": "Exists"}]}}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "high"}, "value": 10}),
    ("/apis/storage.k8s.io/v1/storageclasses", {"metadata": {"name": "std", "annotations": {
        "storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "example.com/p"}),
    (f"{NAMESPACE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}]}}),
    (f"{NAMESPACE}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}}),
    (f"{NAMESPACE}/pods", {"metadata": {"name": "plain"}, "spec": CONTAINERS}),
    (f"{NAMESPACE}/pods", {"metadata": {"name": "rich"}, "spec": {
        **CONTAINERS, "runtimeClassName": "heavy", "priorityClassName": "high", "schedulingGates": [{"name": "g/x"}]}}),
    (f"{NAMESPACE}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}}),
    (f"{NAMESPACE}/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    ("/apis/batch/v1/namespaces/default/jobs", {"metadata": {"name": "j"}, "spec": {
        "template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}),
    ("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}),
    ("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"metadata": {"name": "b"}}),
    ("/api/v1/nodes", {"metadata": {"name": "n"}}),
    ("/apis/certificates.k8s.io/v1/certificatesigningrequests", {"metadata": {"name": "r"}, "spec": {
        "request": "", "signerName": "example.com/s", "usages": ["client auth"]}}),
    ("/apis/storage.k8s.io/v1/volumeattachments", {"metadata": {"name": "a"}, "spec": {
        "attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}}),
    (f"{NAMESPACE}/pods/plain/binding", {"metadata": {"name": "plain"}, "target": {"kind": "Node", "name": "n"}}),
    (f"{NAMESPACE}/pods", {"metadata": {"name": "evicted", "finalizers": ["a.b/c"]}, "spec": CONTAINERS}),
    (f"{NAMESPACE}/pods/evicted/eviction", {"metadata": {"name": "evicted"}}),
    ("/apis/events.k8s.io/v1/namespaces/default/events", {
        "metadata": {"name": "e"}, "eventTime": "2026-01-02T03:04:05.000006Z", "reportingController": "a.b/c", "reportingInstance": "i",
        "action": "Do", "reason": "Because", "type": "Normal"}),
    ("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", {"metadata": {"name": "h"}, "spec": {
        "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
]
NULLS = [  # a body, and the places in the answer that Go writes null to
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "bare"}}, ["rules"]),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "empty"}, "rules": []}, ["rules"]),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "null"}, "rules": None}, ["rules"]),
    (f"{NAMESPACE}/limitranges", {"metadata": {"name": "bare"}}, ["spec.limits"]),
    (f"{NAMESPACE}/events", {"metadata": {"name": "old"}, "involvedObject": {"namespace": "default"}},
     ["eventTime", "firstTimestamp", "lastTimestamp"]),
    ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {"metadata": {"name": "bare"}, "addressType": "IPv4"},
     ["endpoints", "ports"]),
    (f"{NAMESPACE}/persistentvolumeclaims", {"metadata": {"name": "copy"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "dataSource": {"kind": "PersistentVolumeClaim", "name": "c"}}}, ["spec.dataSource.apiGroup"]),
    (f"{NAMESPACE}/serviceaccounts/default/token", {"spec": {}}, ["spec.boundObjectRef"]),
]
REVIEWS = "/apis/authorization.k8s.io/v1"


def misshapen(api: TestApi) -> list[str]:
    """The objects that another pass would change, and how."""
    found = []
    for served in api.server.table.rows():
        for cached in served.cache.select():
            obj = served.obj(cached)
            shaped = typed(deepcopy(obj), served.node).obj
            if shaped != obj:
                differs = {key: (obj.get(key), shaped.get(key)) for key in {*obj, *shaped} if obj.get(key) != shaped.get(key)}
                found.append(f"{served.resource.kind} {cached.key}: {differs}")
    return found


async def test_what_the_server_writes_at_its_start_has_the_shape_of_its_type() -> None:
    async with api_server() as api:
        assert not misshapen(api)


@pytest.mark.parametrize(("path", "body", "places"), NULLS, ids=lambda value: value if isinstance(value, str) else None)
async def test_what_go_writes_as_null_is_null(path: str, body: Object, places: list[str]) -> None:
    async with api_server() as api:
        status, answer = await api.call("POST", path, body)
        assert status == 201, answer
        for place in places:
            *way, last = place.split(".")
            assert reduce(getitem, way, answer).get(last, "absent") is None, place


async def test_the_event_of_one_group_has_the_shape_of_the_other_ones_type() -> None:
    async with api_server() as api:
        await api.call("POST", f"{NAMESPACE}/events", {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}})
        _, answer = await api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
        assert answer["eventTime"] is None and answer["deprecatedFirstTimestamp"] is None
        assert "reportingController" not in answer and answer["regarding"] == {"namespace": "default"}


async def test_a_null_belongs_to_nobody_until_it_is_set() -> None:
    """An empty object of the kind has it as well: upstream's ownership starts from there."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/bare"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "bare"}}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    async with api_server() as api:
        _, answer = await api.call("POST", path.rpartition("/")[0], role)
        assert "managedFields" not in answer["metadata"]
        status, answer = await api.call("PATCH", f"{path}?fieldManager=m", {**role, "rules": rules}, content_type=APPLY)
        assert status == 200, answer
        assert [m["fieldsV1"] for m in answer["metadata"]["managedFields"]] == [{"f:rules": {}}]
        status, answer = await api.call("PATCH", f"{path}?fieldManager=m", role, content_type=APPLY)
        assert status == 200 and answer["rules"] is None and "managedFields" not in answer["metadata"]


async def test_patches_find_the_null() -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    async with api_server() as api:
        await api.call("POST", path, {"metadata": {"name": "bare"}})
        for content_type, patch in (
            ("application/json-patch+json", [{"op": "test", "path": "/rules", "value": None}]),
            ("application/json-patch+json", [{"op": "replace", "path": "/rules", "value": []}]),
            ("application/json-patch+json", [{"op": "remove", "path": "/rules"}]),
            ("application/merge-patch+json", {"rules": None}),
            ("application/strategic-merge-patch+json", {"rules": None}),
        ):
            status, answer = await api.call("PATCH", f"{path}/bare", patch, content_type=content_type)
            assert status == 200 and answer["rules"] is None, answer


async def test_what_an_earlier_version_stored_without_nulls_can_still_be_updated() -> None:
    """A claim's spec may not change, and a null that was not there is no change."""
    path = f"{NAMESPACE}/persistentvolumeclaims"
    store = MemoryStore()
    async with api_server(store=store) as api:
        await api.call("POST", path, NULLS[-2][1])
        key = "/registry/core/persistentvolumeclaims/default/copy"
        held = await store.get(key)
        assert held is not None
        await store.put(key, held.value.replace(b'"apiGroup":null,', b"").replace(b',"apiGroup":null', b""), expected=held.modified)
    async with api_server(store=store) as api:
        _, before = await api.call("GET", f"{path}/copy")
        assert "apiGroup" not in before["spec"]["dataSource"]
        status, after = await api.call(
            "PATCH", f"{path}/copy", {"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json")
        assert status == 200, after


@pytest.mark.parametrize(("path", "body"), [
    pytest.param(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get", "name": ""}}}, id="own access"),
    pytest.param(f"{REVIEWS}/subjectaccessreviews", {
        "spec": {"user": "u", "groups": [], "extra": {}, "uid": "", "nonResourceAttributes": {"verb": "get"}}}, id="access"),
    pytest.param(f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}, id="rules"),
    pytest.param("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, id="who am I"),
    pytest.param("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x", "audiences": []}}, id="token"),
])
async def test_the_answer_to_a_question_has_the_shape_of_its_type(path: str, body: Object) -> None:
    async with api_server() as api:
        status, answer = await api.call("POST", path, body)
        assert status == 201, answer
        node = structure_of(answer["apiVersion"], answer["kind"])
        assert node is not None
        assert typed(deepcopy(answer), node).obj == answer


async def test_a_bookmark_is_an_empty_object_of_its_kind() -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with api_server() as api:
        response = await api.raw("GET", f"{NAMESPACE}/pods?{query}")
        assert not isinstance(response.body, bytes)
        async for line in response.body:
            obj = loads(line)["object"]
            break
        assert (obj["spec"], obj["status"]) == ({"containers": None}, {}) and "creationTimestamp" not in obj["metadata"]


async def test_what_plugins_and_strategies_add_has_the_shape_of_its_type() -> None:
    async with api_server() as api:
        for path, obj in CREATED:
            status, answer = await api.call("POST", path, obj)
            assert status == 201 or "certificate" in path, answer
        assert not misshapen(api)

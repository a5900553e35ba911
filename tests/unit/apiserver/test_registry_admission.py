"""Admission: what the server adds to Pods, claims, Ingresses, nodes, Services; what it refuses to whom."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.orchestration.apiserver.user import AUTHENTICATED, User, node_user
from wherry.testing.api import TestApi, api_server

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
MERGE = {"content_type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def pod(api: TestApi, name: str = "p", **spec: Any) -> tuple[int, dict[str, Any]]:
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    status, obj = await api.call("POST", PODS, body)
    return status, dict(obj)


async def service(api: TestApi, name: str, **spec: Any) -> tuple[int, dict[str, Any]]:
    status, obj = await api.call("POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}})
    return status, dict(obj)


async def test_a_pod_gets_account_token_priority_and_tolerations(api: TestApi) -> None:
    _, obj = await pod(api)
    spec = obj["spec"]
    assert spec["serviceAccountName"] == "default" and spec["priority"] == 0
    volume = spec["volumes"][0]
    assert volume["name"].startswith("kube-api-access-") and len(volume["projected"]["sources"]) == 3
    mount = spec["containers"][0]["volumeMounts"][0]
    assert mount == {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [300, 300]
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_a_pod_may_decline_the_token(api: TestApi) -> None:
    _, obj = await pod(api, automountServiceAccountToken=False)
    assert not obj["spec"].get("volumes")


@pytest.mark.parametrize(("spec", "text"), [
    ({"serviceAccountName": "nobody"}, 'error looking up service account default/nobody: serviceaccount "nobody" not found'),
    ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
    ({"priority": 7}, "the integer value of priority (7) must not be provided in pod spec"),
    ({"runtimeClassName": "none"}, 'RuntimeClass "none" not found'),
])
async def test_a_pod_naming_what_is_not_there_is_forbidden(api: TestApi, spec: dict[str, Any], text: str) -> None:
    status, body = await pod(api, **spec)
    assert status == 403 and body["reason"] == "Forbidden" and text in body["message"]


async def test_a_priority_class_becomes_a_number(api: TestApi) -> None:
    _, obj = await pod(api, priorityClassName="system-node-critical")
    assert obj["spec"]["priority"] == 2000001000


@pytest.mark.parametrize(("resources", "expected"), [
    ({}, "BestEffort"),
    ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
])
async def test_the_qos_class_follows_the_resources(api: TestApi, resources: object, expected: str) -> None:
    _, obj = await pod(api, containers=[{"name": "c", "image": "i", "resources": resources}])
    assert obj["status"]["qosClass"] == expected


async def test_limit_ranges_fill_in_and_bound(api: TestApi) -> None:
    limits = [{"type": "Container", "default": {"memory": "128Mi"}, "max": {"memory": "256Mi"}}]
    await api.call("POST", "/api/v1/namespaces/default/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    _, obj = await pod(api)
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"memory": "128Mi"}
    status, refused = await pod(
        api, "big", containers=[{"name": "c", "image": "i", "resources": {"limits": {"memory": "1Gi"}}}])
    assert status == 403 and "maximum memory usage per Container is 256Mi, but limit is 1Gi" in refused["message"]


async def test_the_newest_default_storage_class_is_taken(api: TestApi) -> None:
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}
    await api.call("POST", "/apis/storage.k8s.io/v1/storageclasses",
                   {"metadata": {"name": "fast", "annotations": marked}, "provisioner": "example.com/x"})
    path = "/api/v1/namespaces/default/persistentvolumeclaims"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    _, obj = await api.call("POST", path, {"metadata": {"name": "a"}, "spec": claim})
    assert obj["spec"]["storageClassName"] == "fast" and obj["status"]["phase"] == "Pending"
    assert obj["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    _, obj = await api.call("POST", path, {"metadata": {"name": "b"}, "spec": {**claim, "storageClassName": ""}})
    assert obj["spec"]["storageClassName"] == ""


async def test_a_new_node_is_tainted_until_it_is_ready(api: TestApi) -> None:
    _, obj = await api.call("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "2"}}})
    assert obj["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    assert obj["status"]["capacity"] == {"cpu": "2"}


async def test_services_get_addresses_and_give_them_back(api: TestApi) -> None:
    _, one = await service(api, "one")
    address = one["spec"]["clusterIP"]
    assert address.startswith("10.96.") and one["spec"]["clusterIPs"] == [address]
    assert one["spec"]["ipFamilies"] == ["IPv4"] and one["status"] == {"loadBalancer": {}}
    status, refused = await service(api, "two", clusterIP=address)
    assert status == 422 and "provided IP is already allocated" in refused["message"]
    await api.call("DELETE", f"{SERVICES}/one")
    status, two = await service(api, "two", clusterIP=address)
    assert (status, two["spec"]["clusterIP"]) == (201, address)


@pytest.mark.parametrize(("spec", "text"), [
    ({"clusterIP": "192.168.0.1"}, "not in the valid range"),
    ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}, "The range of valid ports is 30000-32767"),
])
async def test_addresses_outside_the_range_are_refused(api: TestApi, spec: dict[str, Any], text: str) -> None:
    status, body = await service(api, "s", **spec)
    assert status == 422 and text in body["message"]


async def test_a_headless_service_has_no_address(api: TestApi) -> None:
    _, obj = await service(api, "s", clusterIP="None")
    assert obj["spec"]["clusterIP"] == "None" and obj["spec"]["clusterIPs"] == ["None"]


async def test_node_ports_come_and_go_with_the_type(api: TestApi) -> None:
    _, obj = await service(api, "s")
    assert "nodePort" not in obj["spec"]["ports"][0]
    _, obj = await api.call("PATCH", f"{SERVICES}/s", {"spec": {"type": "NodePort"}}, **MERGE)
    port = obj["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    _, obj = await api.call("PUT", f"{SERVICES}/s", {"metadata": {"name": "s"}, "spec": {
        "type": "NodePort", "ports": [{"port": 80}]}})
    assert obj["spec"]["ports"][0]["nodePort"] == port and obj["spec"]["clusterIP"]
    status, _ = await service(api, "t", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    assert status == 422
    _, obj = await api.call("PATCH", f"{SERVICES}/s", {"spec": {"type": "ClusterIP"}}, **MERGE)
    assert "nodePort" not in obj["spec"]["ports"][0]
    assert (await service(api, "t", type="NodePort", ports=[{"port": 80, "nodePort": port}]))[0] == 201


async def test_a_refused_service_gives_its_address_back(api: TestApi) -> None:
    await service(api, "s", clusterIP="10.96.0.77")
    assert (await service(api, "s", clusterIP="10.96.0.78"))[0] == 409
    assert (await service(api, "t", clusterIP="10.96.0.78"))[0] == 201


async def test_a_node_touches_only_its_own(api: TestApi) -> None:
    mine = node_user("n1")
    for name, node in (("a", "n1"), ("b", "n2")):
        await pod(api, name, nodeName=node)
    body = {"status": {"phase": "Running"}}
    assert (await api.call("PATCH", f"{PODS}/a/status", body, user=mine, **MERGE))[0] == 200
    status, refused = await api.call("PATCH", f"{PODS}/b/status", body, user=mine, **MERGE)
    assert status == 403 and refused["reason"] == "Forbidden"
    assert (await api.call("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}, user=mine))[0] == 201
    assert (await api.call("POST", "/api/v1/nodes", {"metadata": {"name": "n2"}}, user=mine))[0] == 403


async def test_who_may_do_nothing_is_told_so(api: TestApi) -> None:
    nobody = User("jane", groups=(AUTHENTICATED,))
    status, body = await api.call("GET", PODS, user=nobody)
    assert status == 403 and body["message"] == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"')
    assert (await api.call("GET", "/version", user=nobody))[0] == 200


async def test_nobody_grants_what_they_do_not_hold(api: TestApi) -> None:
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}]
    base = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    await api.call("POST", f"{base}/roles", {"metadata": {"name": "maker"}, "rules": rules})
    await api.call("POST", f"{base}/rolebindings", {
        "metadata": {"name": "maker"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maker"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]})
    await api.server.registry.fresh()
    jane = User("jane", groups=(AUTHENTICATED,))
    more = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    status, body = await api.call("POST", f"{base}/roles", {"metadata": {"name": "spy"}, "rules": more}, user=jane)
    assert status == 403 and "attempting to grant RBAC permissions not currently held" in body["message"]
    assert (await api.call("POST", f"{base}/roles", {"metadata": {"name": "same"}, "rules": rules}, user=jane))[0] == 201


async def test_a_signing_request_says_who_asked(api: TestApi) -> None:
    body = {"metadata": {"name": "r"}, "spec": {
        "request": "LS0tLS1CRUdJTg==", "signerName": "example.com/x", "usages": ["client auth"], "username": "root"}}
    status, obj = await api.call("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", body)
    if status == 201:
        assert obj["spec"]["username"] == "kubernetes-admin" and "system:masters" in obj["spec"]["groups"]
    else:
        assert status == 422  # the validator wants a real request

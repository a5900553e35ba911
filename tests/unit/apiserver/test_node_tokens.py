"""Tokens and certificates that a node asks for in the name of its pods: each row is a question and its answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.orchestration.apiserver.user import node_user
from wherry.testing.api import TestApi, api_server

PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CERTIFICATES = "/apis/certificates.k8s.io/v1"
MINE = node_user("n1")


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        await make(running, "/api/v1/nodes", {"metadata": {"name": "n1"}})
        yield running


async def make(api: TestApi, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await api.call("POST", path, body)
    assert status == 201, answer
    return dict(answer)


async def driver(api: TestApi, name: str, *audiences: str) -> None:
    await make(api, "/apis/storage.k8s.io/v1/csidrivers", {"metadata": {"name": name}, "spec": {
        "volumeLifecycleModes": ["Ephemeral", "Persistent"], "tokenRequests": [{"audience": a} for a in audiences]}})


async def bound_claim(api: TestApi, name: str, driver_name: str) -> None:
    size: dict[str, Any] = {"accessModes": ["ReadWriteOnce"]}
    await make(api, "/api/v1/persistentvolumes", {"metadata": {"name": f"pv-{name}"}, "spec": {
        **size, "capacity": {"storage": "1Gi"}, "csi": {"driver": driver_name, "volumeHandle": "h"}}})
    await make(api, CLAIMS, {"metadata": {"name": name}, "spec": {
        **size, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": f"pv-{name}"}})


async def pod(api: TestApi, *volumes: dict[str, Any], node: str = "n1") -> dict[str, Any]:
    made = await make(api, PODS, {"metadata": {"name": "p"}, "spec": {
        "nodeName": node, "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": f"v{at}", **volume} for at, volume in enumerate(volumes)]}})
    await api.server.registry.fresh()
    return made


async def ask(api: TestApi, made: dict[str, Any], *audiences: str) -> tuple[int, dict[str, Any]]:
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": made["metadata"]["uid"]}
    return await api.call("POST", f"{ACCOUNT}/token", {"spec": {
        "audiences": list(audiences), "boundObjectRef": bound}}, user=MINE)


TEMPLATE = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


@pytest.mark.parametrize(("volume", "audience", "expected"), [
    pytest.param({"csi": {"driver": "inline.example.com"}}, "inline", 201, id="a driver of an inline volume"),
    pytest.param({"csi": {"driver": "inline.example.com"}}, "second", 201, id="the driver's second audience"),
    pytest.param({"csi": {"driver": "inline.example.com"}}, "claimed", 403, id="a driver that this pod does not use"),
    pytest.param({"csi": {"driver": "unknown.example.com"}}, "inline", 403, id="a driver that is not there"),
    pytest.param({"persistentVolumeClaim": {"claimName": "data"}}, "claimed", 201, id="the driver of a claim's volume"),
    pytest.param({"persistentVolumeClaim": {"claimName": "data"}}, "inline", 403, id="not that of the claim's driver"),
    pytest.param({"persistentVolumeClaim": {"claimName": "gone"}}, "claimed", 403, id="a claim that is not there"),
    pytest.param({"ephemeral": {"volumeClaimTemplate": TEMPLATE}}, "claimed", 201, id="the driver of an ephemeral claim"),
    pytest.param({"emptyDir": {}}, "inline", 403, id="no driver at all"),
])
async def test_audiences_of_the_csi_drivers_of_a_pod(
    api: TestApi, volume: dict[str, Any], audience: str, expected: int,
) -> None:
    await driver(api, "inline.example.com", "inline", "second")
    await driver(api, "claimed.example.com", "claimed")
    for name in ("data", "p-v0"):
        await bound_claim(api, name, "claimed.example.com")
    status, answer = await ask(api, await pod(api, volume), audience)
    assert status == expected, answer


async def grant(api: TestApi, rule: dict[str, Any], *, namespace: str = "") -> None:
    """`rule` for all nodes, everywhere or in one namespace."""
    await make(api, f"{RBAC}/clusterroles", {"metadata": {"name": "audiences"}, "rules": [{
        "apiGroups": [""], "verbs": ["request-serviceaccounts-token-audience"], **rule}]})
    kind, place = ("RoleBinding", f"/namespaces/{namespace}") if namespace else ("ClusterRoleBinding", "")
    await make(api, f"{RBAC}{place}/{kind.lower()}s", {
        "metadata": {"name": "audiences"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "audiences"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]})
    await api.server.registry.fresh()


REGISTRY = "https://registry.example.com/v2"


@pytest.mark.parametrize(("rule", "namespace", "expected"), [
    pytest.param({"resources": [REGISTRY]}, "", 201, id="the audience"),
    pytest.param({"resources": ["*"]}, "", 201, id="any audience"),
    pytest.param({"resources": ["other"]}, "", 403, id="another audience"),
    pytest.param({"resources": [REGISTRY], "resourceNames": ["default"]}, "", 201, id="for this account"),
    pytest.param({"resources": [REGISTRY], "resourceNames": ["builder"]}, "", 403, id="for another account"),
    pytest.param({"resources": [REGISTRY]}, "default", 201, id="in this namespace"),
    pytest.param({"resources": [REGISTRY]}, "kube-system", 403, id="in another namespace"),
    pytest.param({"resources": [REGISTRY], "verbs": ["create"]}, "", 403, id="another verb"),
    pytest.param({"resources": [REGISTRY], "apiGroups": ["apps"]}, "", 403, id="another group"),
])
async def test_audiences_that_a_rule_allows(api: TestApi, rule: dict[str, Any], namespace: str, expected: int) -> None:
    await grant(api, rule, namespace=namespace)
    status, answer = await ask(api, await pod(api), REGISTRY)
    assert status == expected, answer
    if expected == 403:
        assert f'audience "{REGISTRY}" not found in pod spec volume, system:node:n1 is not authorized to request tokens' in (
            answer["message"])


async def test_a_rule_opens_no_token_of_a_pod_elsewhere(api: TestApi) -> None:
    await grant(api, {"resources": ["*"]})
    assert (await ask(api, await pod(api, node="n2"), REGISTRY))[0] == 403


SIGNER = "example.com/s"


@pytest.mark.parametrize(("change", "expected"), [
    pytest.param({}, 201, id="its own pod as it is"),
    pytest.param({"nodeName": "n2"}, 403, id="another node"),
    pytest.param({"nodeUID": "other"}, 409, id="another uid of the node"),
    pytest.param({"podName": "gone"}, 404, id="a pod that is not there"),
    pytest.param({"podUID": "other"}, 409, id="another uid of the pod"),
    pytest.param({"serviceAccountName": "builder"}, 403, id="another account"),
    pytest.param({"serviceAccountUID": "other"}, 409, id="another uid of the account"),
    pytest.param({"signerName": "example.com/other"}, 403, id="a signer that the pod does not name"),
])
async def test_certificates_a_node_asks_for_its_pods(api: TestApi, change: dict[str, Any], expected: int) -> None:
    made = await pod(api, certificate(SIGNER))
    status, answer = await request_certificate(api, made, **change)
    assert status == expected, answer


async def test_a_node_gets_no_certificate_of_a_pod_elsewhere(api: TestApi) -> None:
    assert (await request_certificate(api, await pod(api, certificate(SIGNER), node="n2")))[0] == 403


def certificate(signer: str) -> dict[str, Any]:
    source = {"podCertificate": {"signerName": signer, "keyType": "ED25519", "credentialBundlePath": "b.pem"}}
    return {"projected": {"sources": [source]}}


async def request_certificate(api: TestApi, made: dict[str, Any], **change: Any) -> tuple[int, dict[str, Any]]:
    _, node = await api.call("GET", "/api/v1/nodes/n1")
    _, account = await api.call("GET", ACCOUNT)
    spec = {"nodeName": "n1", "nodeUID": node["metadata"]["uid"], "podName": "p", "podUID": made["metadata"]["uid"],
            "serviceAccountName": "default", "serviceAccountUID": account["metadata"]["uid"], "signerName": SIGNER,
            "stubPKCS10Request": "MA==", "maxExpirationSeconds": 86400, **change}
    return await api.call("POST", f"{CERTIFICATES}/namespaces/default/podcertificaterequests", {
        "metadata": {"name": "r"}, "spec": spec}, user=MINE)

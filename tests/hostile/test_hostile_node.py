"""A node whose key was stolen: what its certificate opens. Each row is a thing upstream's NodeRestriction refuses."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wherry.orchestration.apiserver.user import node_user
from wherry.testing.api import TestApi, api_server

PODS = "/api/v1/namespaces/default/pods"
NODE = "/api/v1/nodes/n1"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"
SECRET = "/api/v1/namespaces/default/secrets/s"
MINE = node_user("n1")
MERGE = {"content_type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        assert (await running.call("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}, user=MINE))[0] == 201
        await running.call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
        yield running


async def owner(api: TestApi, **more: Any) -> dict[str, Any]:
    _, node = await api.call("GET", NODE)
    return {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": node["metadata"]["uid"], "controller": True, **more}


async def mirror(api: TestApi, owners: list[dict[str, Any]] | None = None, **spec: Any) -> tuple[int, dict[str, Any]]:
    container = {"name": "c", "image": "i", **spec.pop("container", {})}
    body = {
        "metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "1"},
                     "ownerReferences": [await owner(api)] if owners is None else owners},
        "spec": {"nodeName": "n1", "containers": [container], **spec},
    }
    status, answer = await api.call("POST", PODS, body, user=MINE)
    return status, answer


def env(source: dict[str, Any]) -> dict[str, Any]:
    return {"container": {"env": [{"name": "A", "valueFrom": source}]}}


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


def projected(**source: Any) -> dict[str, Any]:
    return volume(projected={"sources": [source]})


@pytest.mark.parametrize("spec", [
    pytest.param(env({"secretKeyRef": {"name": "s", "key": "a"}}), id="a Secret by env"),
    pytest.param({"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, id="a Secret by envFrom"),
    pytest.param(env({"configMapKeyRef": {"name": "c", "key": "a"}}), id="a ConfigMap by env"),
    pytest.param({"imagePullSecrets": [{"name": "s"}]}, id="a pull Secret"),
    pytest.param(volume(secret={"secretName": "s"}), id="a Secret volume"),
    pytest.param(volume(configMap={"name": "c"}), id="a ConfigMap volume"),
    pytest.param(volume(persistentVolumeClaim={"claimName": "c"}), id="a claim"),
    pytest.param(volume(csi={"driver": "d", "nodePublishSecretRef": {"name": "s"}}), id="a CSI Secret"),
    pytest.param(projected(secret={"name": "s"}), id="a projected Secret"),
    pytest.param(projected(serviceAccountToken={"path": "t"}), id="a projected token"),
    pytest.param(projected(configMap={"name": "c"}), id="a projected ConfigMap"),
    pytest.param({"serviceAccountName": "default"}, id="a service account"),
    pytest.param({"resourceClaims": [{"name": "c", "resourceClaimName": "c"}]}, id="a resource claim"),
])
async def test_a_mirror_pod_refers_to_nothing(api: TestApi, spec: dict[str, Any]) -> None:
    status, answer = await mirror(api, **spec)
    assert (status, answer["reason"]) == (403, "Forbidden"), answer
    assert (await api.call("GET", SECRET, user=MINE))[0] == 403


async def test_a_plain_mirror_pod_is_taken(api: TestApi) -> None:
    status, answer = await mirror(api, **volume(hostPath={"path": "/etc"}))
    assert status == 201, answer


@pytest.mark.parametrize("change", [
    pytest.param(None, id="no owner"),
    pytest.param({"uid": "other"}, id="another uid"),
    pytest.param({"name": "n2"}, id="another node"),
    pytest.param({"kind": "Pod"}, id="no node"),
    pytest.param({"controller": False}, id="no controller"),
    pytest.param({"blockOwnerDeletion": True}, id="it blocks the deletion"),
])
async def test_a_mirror_pod_is_owned_by_its_node(api: TestApi, change: dict[str, Any] | None) -> None:
    owners = [] if change is None else [await owner(api, **change)]
    assert (await mirror(api, owners))[0] == 403


async def test_a_mirror_pod_that_is_there_opens_nothing(api: TestApi) -> None:
    """Whoever stored it: the authorizer follows no reference of a mirror pod."""
    status, answer = await api.call("POST", PODS, {
        "metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "1"}},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "c"}}]}]}})
    assert status == 201, answer
    await api.server.registry.fresh()
    assert (await api.call("GET", "/api/v1/namespaces/default/configmaps/c", user=MINE))[0] == 403


@pytest.mark.parametrize(("labels", "is_allowed"), [
    pytest.param({"node-role.kubernetes.io/control-plane": ""}, False, id="a role"),
    pytest.param({"node-restriction.kubernetes.io/pci": "a"}, False, id="node-restriction"),
    pytest.param({"x.node-restriction.kubernetes.io/pci": "a"}, False, id="below node-restriction"),
    pytest.param({"foo.k8s.io/a": "b"}, False, id="another key of k8s.io"),
    pytest.param({"kubernetes.io/foo": "b"}, False, id="another key of kubernetes.io"),
    pytest.param({"topology.kubernetes.io/zone": "a"}, True, id="its zone"),
    pytest.param({"kubelet.kubernetes.io/a": "b", "x.node.kubernetes.io/b": "c"}, True, id="its own domains"),
    pytest.param({"example.com/a": "b", "plain": "c", "notkubernetes.io/a": "b"}, True, id="nobody's domain"),
])
async def test_labels_a_node_gives_itself(api: TestApi, labels: dict[str, str], is_allowed: bool) -> None:
    status, _ = await api.call("PATCH", NODE, {"metadata": {"labels": labels}}, user=MINE, **MERGE)
    assert (status == 200) is is_allowed
    await api.call("DELETE", NODE)
    status, _ = await api.call("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": labels}}, user=MINE)
    assert (status == 201) is is_allowed


@pytest.mark.parametrize("patch", [
    pytest.param({"spec": {"taints": []}}, id="taints"),
    pytest.param({"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "u"}]}}, id="ownerReferences"),
])
async def test_a_node_does_not_change_its(api: TestApi, patch: dict[str, Any]) -> None:
    for path in (NODE, f"{NODE}/status"):
        _, before = await api.call("GET", NODE)
        status, _ = await api.call("PATCH", path, patch, user=MINE, **MERGE)
        _, after = await api.call("GET", NODE)
        assert after["metadata"].get("ownerReferences") == before["metadata"].get("ownerReferences")
        assert after["spec"] == before["spec"]
        assert status == 403 or path.endswith("/status")


def request_token(pod: dict[str, Any], audiences: list[str], **bound: Any) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"], **bound}
    return {"spec": {"audiences": audiences, "boundObjectRef": {k: v for k, v in reference.items() if v}}}


async def pod(api: TestApi, node: str = "n1") -> dict[str, Any]:
    sources = [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]
    status, answer = await api.call("POST", PODS, {"metadata": {"name": "p"}, "spec": {
        "nodeName": node, "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "projected": {"sources": sources}}]}})
    assert status == 201, answer
    await api.server.registry.fresh()
    return dict(answer)


@pytest.mark.parametrize(("audiences", "bound", "expected"), [
    pytest.param([], {}, 201, id="the API server's audience, mounted by default"),
    pytest.param(["vault"], {}, 201, id="an audience of the pod"),
    pytest.param(["bank"], {}, 403, id="an audience of nobody"),
    pytest.param(["vault", "bank"], {}, 403, id="two audiences"),
    pytest.param([], {"uid": ""}, 403, id="without uid"),
    pytest.param([], {"uid": "other"}, 409, id="another uid"),
    pytest.param([], {"name": "gone"}, 404, id="a pod that is not there"),
    pytest.param([], {"kind": "Secret", "name": "s"}, 403, id="bound to a Secret"),
    pytest.param([], {"kind": "Node", "name": "n1"}, 403, id="bound to the node"),
])
async def test_tokens_a_node_gets(api: TestApi, audiences: list[str], bound: dict[str, Any], expected: int) -> None:
    mine = await pod(api)
    status, answer = await api.call("POST", TOKEN, request_token(mine, audiences, **bound), user=MINE)
    assert status == expected, answer


async def test_a_node_gets_no_unbound_token_and_none_of_another_node(api: TestApi) -> None:
    mine = await pod(api)
    assert (await api.call("POST", TOKEN, {"spec": {}}, user=MINE))[0] == 403
    await api.call("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
    other = await pod(api, "n2")
    assert mine["metadata"]["uid"] != other["metadata"]["uid"]
    assert (await api.call("POST", TOKEN, request_token(other, []), user=MINE))[0] == 403
    assert (await api.call("POST", TOKEN, {"spec": {}}))[0] == 201  # the administrator may


def signing_request(name: str, organization: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                         x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


@pytest.mark.parametrize(("name", "organization", "expected"), [
    pytest.param("system:node:n1", "system:nodes", 201, id="its own name"),
    pytest.param("system:node:n2", "system:nodes", 403, id="another node"),
    pytest.param("system:node:n1", "system:masters", 403, id="the masters' group"),
])
async def test_certificates_a_node_asks_for(api: TestApi, name: str, organization: str, expected: int) -> None:
    status, answer = await api.call("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", {
        "metadata": {"name": "r"}, "spec": {
            "request": signing_request(name, organization), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["client auth", "digital signature"]}}, user=MINE)
    assert status == expected, answer

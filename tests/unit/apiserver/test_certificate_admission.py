"""Who may approve, sign and vouch for certificates: the subresource and the signer, both."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wherry.orchestration.apiserver.user import AUTHENTICATED, User
from wherry.testing.api import TestApi, api_server

GROUP = "/apis/certificates.k8s.io/v1"
REQUESTS = f"{GROUP}/certificatesigningrequests"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SIGNER = "example.com/web"
EVE = User("eve", groups=(AUTHENTICATED,))
MERGE = {"content_type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def make(api: TestApi, path: str, body: dict[str, Any], **more: Any) -> None:
    status, answer = await api.call("POST", path, body, **more)
    assert status == 201, answer


def signing_request(*organizations: str) -> str:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eve"), *names])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.PEM)).decode()


def issued() -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eve")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2026, 1, 1, tzinfo=UTC), datetime(
        2027, 1, 1, tzinfo=UTC)).sign(key, SHA256())
    return base64.b64encode(made.public_bytes(Encoding.PEM)).decode()


async def ask(api: TestApi, signer: str, *organizations: str) -> tuple[int, dict[str, Any]]:
    return await api.call("POST", REQUESTS, {"metadata": {"name": "r"}, "spec": {
        "request": signing_request(*organizations), "signerName": signer, "usages": ["client auth"]}})


async def allow(api: TestApi, *rules: dict[str, Any]) -> None:
    """Eve may do what `rules` say of certificates.k8s.io."""
    await make(api, f"{RBAC}/clusterroles", {"metadata": {"name": "e"}, "rules": [
        {"apiGroups": ["certificates.k8s.io"], **rule} for rule in rules]})
    await make(api, f"{RBAC}/clusterrolebindings", {
        "metadata": {"name": "e"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}]})
    await api.server.registry.fresh()


WRITE = {"resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status", "clustertrustbundles"],
         "verbs": ["create", "update", "patch"]}


def signers(verb: str, *names: str) -> dict[str, Any]:
    return {"resources": ["signers"], "verbs": [verb], **({"resourceNames": list(names)} if names else {})}


RIGHTS = [
    pytest.param((), False, id="no right on any signer"),
    pytest.param((SIGNER,), True, id="the signer"),
    pytest.param(("example.com/*",), True, id="its whole domain"),
    pytest.param(("example.com/other",), False, id="another signer of the domain"),
    pytest.param(("example.org/*",), False, id="another domain"),
    pytest.param(("*",), False, id="a star alone is a name like any other"),
]
APPROVED = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}}


@pytest.mark.parametrize(("names", "is_allowed"), RIGHTS)
@pytest.mark.parametrize("condition", ["Approved", "Denied"])
async def test_approving_needs_the_right_to_approve_for(
    api: TestApi, names: tuple[str, ...], is_allowed: bool, condition: str,
) -> None:
    assert (await ask(api, SIGNER))[0] == 201
    await allow(api, WRITE, signers("sign"), *([signers("approve", *names)] if names else []))
    decided = {"status": {"conditions": [{"type": condition, "status": "True", "reason": "r", "message": "m"}]}}
    status, answer = await api.call("PATCH", f"{REQUESTS}/r/approval", decided, user=EVE, **MERGE)
    assert status == (200 if is_allowed else 403), answer
    if not is_allowed:
        assert f'user not permitted to approve requests with signerName "{SIGNER}"' in answer["message"]


@pytest.mark.parametrize(("names", "is_allowed"), RIGHTS)
@pytest.mark.parametrize("status_of", [
    pytest.param(lambda: {"certificate": issued()}, id="a certificate"),
    pytest.param(lambda: {"conditions": [{"type": "Failed", "status": "True", "reason": "r", "message": "m"}]}, id="a failure"),
])
async def test_signing_needs_the_right_to_sign_for(
    api: TestApi, names: tuple[str, ...], is_allowed: bool, status_of: Any,
) -> None:
    assert (await ask(api, SIGNER))[0] == 201
    assert (await api.call("PATCH", f"{REQUESTS}/r/approval", APPROVED, **MERGE))[0] == 200
    await allow(api, WRITE, signers("approve"), *([signers("sign", *names)] if names else []))
    status, answer = await api.call("PATCH", f"{REQUESTS}/r/status", {"status": status_of()}, user=EVE, **MERGE)
    assert status == (200 if is_allowed else 403), answer
    if not is_allowed:
        assert f'user not permitted to sign requests with signerName "{SIGNER}"' in answer["message"]


async def test_a_status_that_signs_nothing_needs_no_signer(api: TestApi) -> None:
    assert (await ask(api, SIGNER))[0] == 201
    await allow(api, WRITE)
    status, answer = await api.call("PATCH", f"{REQUESTS}/r/status", {"metadata": {"labels": {"a": "b"}}}, user=EVE, **MERGE)
    assert status == 200, answer


@pytest.mark.parametrize(("signer", "organizations", "expected"), [
    pytest.param("kubernetes.io/kube-apiserver-client", ("system:masters",), 403, id="the masters"),
    pytest.param("kubernetes.io/kube-apiserver-client", ("team", "system:masters"), 403, id="the masters among others"),
    pytest.param("kubernetes.io/kube-apiserver-client", ("team",), 201, id="another group"),
    pytest.param(SIGNER, ("system:masters",), 201, id="a signer that the API server does not trust"),
])
async def test_groups_that_a_client_certificate_may_have(
    api: TestApi, signer: str, organizations: tuple[str, ...], expected: int,
) -> None:
    status, answer = await ask(api, signer, *organizations)
    assert status == expected, answer
    if expected == 403:
        assert "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed" in answer["message"]


@pytest.mark.parametrize(("names", "is_allowed"), RIGHTS)
async def test_a_trust_bundle_of_a_signer_needs_the_right_to_attest(
    api: TestApi, names: tuple[str, ...], is_allowed: bool,
) -> None:
    await allow(api, WRITE, *([signers("attest", *names)] if names else []))
    bundle = {"metadata": {"name": "example.com:web:a"}, "spec": {
        "signerName": SIGNER, "trustBundle": base64.b64decode(issued()).decode()}}
    status, answer = await api.call("POST", f"{GROUP}/clustertrustbundles", bundle, user=EVE)
    assert status == (201 if is_allowed else 403), answer
    if is_allowed:
        return
    assert f'user not permitted to attest for signerName "{SIGNER}"' in answer["message"]
    await make(api, f"{GROUP}/clustertrustbundles", bundle)
    path = f"{GROUP}/clustertrustbundles/example.com:web:a"
    assert (await api.call("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, user=EVE, **MERGE))[0] == 403
    assert (await api.call("PATCH", path, {"metadata": {"finalizers": ["example.com/f"]}}, user=EVE, **MERGE))[0] == 200


async def test_a_bundle_of_nobody_needs_no_signer(api: TestApi) -> None:
    await allow(api, WRITE)
    await make(api, f"{GROUP}/clustertrustbundles", {
        "metadata": {"name": "a"}, "spec": {"trustBundle": base64.b64decode(issued()).decode()}}, user=EVE)


@pytest.mark.parametrize(("names", "is_allowed"), RIGHTS)
async def test_signing_for_a_pod_needs_the_right_to_sign_for(
    api: TestApi, names: tuple[str, ...], is_allowed: bool,
) -> None:
    path = f"{GROUP}/namespaces/default/podcertificaterequests"
    await make(api, path, {"metadata": {"name": "r"}, "spec": {
        "signerName": SIGNER, "podName": "p", "podUID": "u", "serviceAccountName": "default", "serviceAccountUID": "u",
        "nodeName": "n1", "nodeUID": "u", "maxExpirationSeconds": 86400, "stubPKCS10Request": "MA=="}})
    write = {"resources": ["podcertificaterequests/status"], "verbs": ["patch"]}
    await allow(api, write, *([signers("sign", *names)] if names else []))
    denied = [{"type": "Denied", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    status, answer = await api.call("PATCH", f"{path}/r/status", {"status": {"conditions": denied}}, user=EVE, **MERGE)
    assert status == (200 if is_allowed else 403), answer

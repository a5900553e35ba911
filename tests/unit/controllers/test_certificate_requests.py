"""CertificateSigningRequests: what approves itself, what is signed for whom, what is removed. Texts are upstream's."""

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wherry.kit.clock import SystemClock, rfc3339
from wherry.kit.errors import Forbidden
from wherry.kit.reserved import Reserved, ReservedAddress
from wherry.orchestration.apiserver.pki.certificates import create_authority, sign_request
from wherry.orchestration.apiserver.user import BOOTSTRAPPERS, User, node_user
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.controllers.certificates import decide
from wherry.orchestration.controllers.certificates.asked import read
from wherry.orchestration.controllers.certificates.loop import Approver, Cleaner, Signer
from wherry.orchestration.objects.kinds import CERTIFICATE_SIGNING_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from wherry.orchestration.objects.meta import Object, condition_of
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.virtual_time import EPOCH

KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT, SERVER = ["digital signature", "client auth"], ["digital signature", "server auth"]
KUBELET, SERVING = "kube-apiserver-client-kubelet", "kubelet-serving"
BOOTSTRAPPER = User("system:bootstrap:abcdef", groups=(BOOTSTRAPPERS, "system:authenticated"))


def pem(common: str, organizations: Sequence[str] = ("system:nodes",), names: Sequence[x509.GeneralName] = ()) -> str:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return base64.b64encode(builder.sign(KEY, SHA256()).public_bytes(Encoding.PEM)).decode()


def csr(signer: str, usages: Sequence[str], request: str = "", **spec: Any) -> Object:
    return {"metadata": {"name": "r", "creationTimestamp": rfc3339(EPOCH)}, "spec": {
        "request": request or pem("system:node:n"), "signerName": f"kubernetes.io/{signer}", "usages": list(usages), **spec}}


NAME, ADDRESS = x509.DNSName("n"), x509.IPAddress(ip_address("192.0.2.1"))
URI, EMAIL = x509.UniformResourceIdentifier("spiffe://n"), x509.RFC822Name("n@example.com")


@pytest.mark.parametrize(("found", "fault"), [
    (csr(KUBELET, CLIENT), ""),
    (csr(KUBELET, [*CLIENT, "key encipherment"]), ""),
    (csr(KUBELET, SERVER), "usages did not match [client auth digital signature]"),
    (csr(KUBELET, CLIENT, pem("system:node:n", ())), "subject organization is not system:nodes"),
    (csr(KUBELET, CLIENT, pem("system:node:n", ("system:nodes", "system:masters"))), "subject organization is not system:nodes"),
    (csr(KUBELET, CLIENT, pem("jane")), "subject common name does not begin with system:node: "),
    (csr(KUBELET, CLIENT, pem("system:node:n", names=[NAME])), "DNS subjectAltNames are not allowed"),
    (csr(KUBELET, CLIENT, pem("system:node:n", names=[ADDRESS])), "IP subjectAltNames are not allowed"),
    (csr(KUBELET, CLIENT, pem("system:node:n", names=[EMAIL])), "Email subjectAltNames are not allowed"),
    (csr(KUBELET, CLIENT, pem("system:node:n", names=[URI])), "URI subjectAltNames are not allowed"),
    (csr(SERVING, SERVER, pem("system:node:n", names=[NAME, ADDRESS])), ""),
    (csr(SERVING, SERVER), "DNS or IP subjectAltName is required"),
    (csr(SERVING, SERVER, pem("system:node:n", names=[NAME, URI])), "URI subjectAltNames are not allowed"),
    (csr(SERVING, CLIENT, pem("system:node:n", names=[NAME])), "usages did not match [digital signature server auth]"),
    (csr("kube-apiserver-client", CLIENT, pem("jane", ("admins",))), ""),
    (csr("kube-apiserver-client", SERVER, pem("jane")), "invalid usage for client certificate: server auth"),
    (csr("kube-apiserver-client", ["digital signature"], pem("jane")), "missing required usage for client certificate: client auth"),
    (csr("legacy-unknown", ["any"], pem("whoever", ("system:masters",), [URI])), ""),
])
def test_each_signer_refuses_what_upstreams_does(found: Object, fault: str) -> None:
    assert decide.signer_fault(read(found)) == fault


NODE: Object = {"metadata": {"name": "n"}, "status": {"addresses": [
    {"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n"}]}}


OTHER: Object = {"metadata": {"name": "m"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.2"}]}}
HELD = Reserved(
    addresses=(ReservedAddress(IPv4Address("10.96.0.1"), "the API server", "default/kubernetes"),),
    node_addresses=(IPv4Address("192.0.2.3"),), networks=(IPv4Network("10.244.0.0/16"),))
SELF, REGISTRY = "system:node:n", "registry.wherry.local"


def shows(*rows: tuple[str, str]) -> Object:
    return {"metadata": {"name": "n"}, "status": {"addresses": [{"type": kind, "address": address} for kind, address in rows]}}


def names(*texts: str) -> list[x509.GeneralName]:
    return [x509.DNSName(text) for text in texts]


def addresses(*texts: str) -> list[x509.GeneralName]:
    return [x509.IPAddress(ip_address(text)) for text in texts]


@pytest.mark.parametrize(("wanted", "username", "common", "node", "expected"), [
    pytest.param([NAME, ADDRESS], SELF, SELF, NODE, True, id="its own"),
    pytest.param([*names("n", "localhost", REGISTRY), *addresses("127.0.0.1")], SELF, SELF, NODE, True, id="what every node answers to"),
    pytest.param(names("kubernetes"), SELF, SELF, NODE, False, id="the API server's name"),
    pytest.param(names("kubernetes"), SELF, SELF, shows(("Hostname", "kubernetes")), False, id="the API server's name, in its status"),
    pytest.param(names("db.example"), SELF, SELF, shows(("InternalDNS", "db.example")), False, id="any name in its status"),
    pytest.param(addresses("192.0.2.9"), SELF, SELF, NODE, False, id="an address it does not show"),
    pytest.param(addresses("192.0.2.2"), SELF, SELF, shows(("InternalIP", "192.0.2.2")), False, id="another node's address, in its status"),
    pytest.param(addresses("192.0.2.3"), SELF, SELF, shows(("InternalIP", "192.0.2.3")), False, id="the server's address, in its status"),
    pytest.param(addresses("10.96.0.1"), SELF, SELF, shows(("ExternalIP", "10.96.0.1")), False, id="the API's Service, in its status"),
    pytest.param(addresses("10.244.0.9"), SELF, SELF, shows(("InternalIP", "10.244.0.9")), False, id="a pod's address, in its status"),
    pytest.param([NAME], "system:node:m", SELF, NODE, False, id="asked by another node"),
    pytest.param([NAME], "system:node:m", "system:node:m", NODE, False, id="of another name"),
    pytest.param([NAME], "system:bootstrap:abcdef", SELF, NODE, False, id="asked with a bootstrap token"),
    pytest.param([NAME], SELF, SELF, None, False, id="no such node"),
])
def test_a_serving_certificate_approves_itself_only_for_what_is_the_nodes_own(
    wanted: list[x509.GeneralName], username: str, common: str, node: Object | None, expected: bool
) -> None:
    asked = read(csr(SERVING, SERVER, pem(common, names=wanted), username=username))
    assert decide.is_own_serving(asked, node, [OTHER], HELD, {"localhost", REGISTRY}) is expected


def test_a_node_by_the_api_servers_name_gets_no_serving_certificate() -> None:
    for name in ("kubernetes", "kubernetes.default.svc"):
        asked = read(csr(SERVING, SERVER, pem(f"system:node:{name}", names=names(name)), username=f"system:node:{name}"))
        assert not decide.is_own_serving(asked, {"metadata": {"name": name}}, [], HELD, set())


@pytest.mark.parametrize(("seconds", "expected"), [
    (None, timedelta(days=365)), (60, timedelta(minutes=10)), (3600, timedelta(hours=1)), (10**9, timedelta(days=365))])
def test_life_is_what_was_asked_within_bounds(seconds: int | None, expected: timedelta) -> None:
    spec = {} if seconds is None else {"expirationSeconds": seconds}
    assert decide.life(csr(KUBELET, CLIENT, **spec)) == expected


def decided(kind: str, **status: Any) -> Object:
    return {**csr(KUBELET, CLIENT), "status": {
        "conditions": [{"type": kind, "status": "True", "lastUpdateTime": rfc3339(EPOCH)}], **status}}


@pytest.mark.parametrize(("found", "hours", "expected"), [
    pytest.param(csr(KUBELET, CLIENT), 23, False, id="undecided"),
    pytest.param(csr(KUBELET, CLIENT), 25, True, id="undecided for a day"),
    pytest.param(decided("Denied"), 0.9, False, id="denied"),
    pytest.param(decided("Denied"), 1.1, True, id="denied an hour ago"),
    pytest.param(decided("Failed"), 1.1, True, id="failed an hour ago"),
    pytest.param(decided("Approved"), 25, False, id="approved and not signed yet"),
])
def test_what_nobody_needs_any_longer_is_removed(found: Object, hours: float, expected: bool) -> None:
    assert decide.is_stale(found, None, EPOCH + timedelta(hours=hours)) is expected


def as_user(on: ControlPlane, user: User) -> Client:
    return Client(LocalTransport(on.api.server.handle, user))


async def ask(client: Client, name: str, signer: str, usages: Sequence[str], request: str) -> Object:
    body = csr(signer, usages, request)
    return await client.create(CERTIFICATE_SIGNING_REQUESTS, {**body, "metadata": {"name": name}})


CA = create_authority("kubernetes", EPOCH)
APPROVER = partial(Approver, reserved=Reserved(), own_names={"localhost"})


async def condition(on: ControlPlane, name: str, kind: str) -> Object:
    async def found() -> Object | None:
        shown = await on.client.get(CERTIFICATE_SIGNING_REQUESTS, name)
        return condition_of((shown.get("status") or {}).get("conditions") or [], kind)

    return await on.until(found)  # type: ignore[no-any-return]


async def certificate(on: ControlPlane, name: str) -> x509.Certificate:
    async def found() -> str | None:
        return ((await on.client.get(CERTIFICATE_SIGNING_REQUESTS, name)).get("status") or {}).get("certificate")

    return x509.load_pem_x509_certificate(base64.b64decode(await on.until(found)))


async def test_a_machine_that_joins_gets_its_certificate_and_renews_it_by_itself() -> None:
    async with control_plane(APPROVER, partial(Signer, sign=partial(sign_request, CA))) as on:
        await ask(as_user(on, BOOTSTRAPPER), "first", KUBELET, CLIENT, pem("system:node:n"))
        assert (await condition(on, "first", "Approved"))["message"] == (
            "Auto approving kubelet client certificate after SubjectAccessReview.")
        got = await certificate(on, "first")
        got.verify_directly_issued_by(CA.certificate)
        assert got.public_key() == KEY.public_key()
        await ask(as_user(on, node_user("n")), "next", KUBELET, CLIENT, pem("system:node:n"))
        row = await condition(on, "next", "Approved")
        assert (row["reason"], row["message"]) == (
            "AutoApproved", "Auto approving self kubelet client certificate after SubjectAccessReview.")
        await certificate(on, "next")


async def test_a_serving_certificate_follows_once_the_node_shows_its_addresses() -> None:
    async with control_plane(APPROVER, partial(Signer, sign=partial(sign_request, CA))) as on:
        await ask(as_user(on, node_user("n")), "serving", SERVING, SERVER, pem("system:node:n", names=[NAME, ADDRESS]))
        await on.node("n")
        got = await certificate(on, "serving")
        assert got.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["n"]


async def test_an_approved_request_that_its_signer_refuses_fails_with_the_reason() -> None:
    async with control_plane(APPROVER, partial(Signer, sign=partial(sign_request, CA))) as on:
        made = await ask(on.client, "bad", "kube-apiserver-client", SERVER, pem("jane", ()))
        approved = {"type": "Approved", "status": "True", "reason": "ByHand", "message": ""}
        made["status"] = {"conditions": [approved]}
        await on.client.update(CERTIFICATE_SIGNING_REQUESTS, made, subresource="approval")
        row = await condition(on, "bad", "Failed")
        assert (row["reason"], row["message"]) == ("SignerValidationFailure", "invalid usage for client certificate: server auth")


async def test_nobody_gets_a_nodes_certificate_who_may_not_ask_for_one() -> None:
    async with control_plane(APPROVER, partial(Signer, sign=partial(sign_request, CA))) as on:
        eve = User("eve", groups=("system:authenticated",))
        with pytest.raises(Forbidden):
            await ask(as_user(on, eve), "eve", KUBELET, CLIENT, pem("system:node:n"))
        with pytest.raises(Forbidden, match="can only create a node CSR with CN=system:node:m"):
            await ask(as_user(on, node_user("m")), "others", KUBELET, CLIENT, pem("system:node:n"))
        reader = User("reader", groups=("system:authenticated",))
        await on.client.create(CLUSTER_ROLES, {"metadata": {"name": "asks"}, "rules": [
            {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create"]}]})
        await on.client.create(CLUSTER_ROLE_BINDINGS, {
            "metadata": {"name": "asks"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "asks"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}]})

        async def asked() -> Object | None:
            try:
                return await ask(as_user(on, reader), "readers", KUBELET, CLIENT, pem("system:node:n"))
            except Forbidden:  # the role is a moment old
                return None

        await on.until(asked)
        await ask(as_user(on, node_user("m")), "own", KUBELET, CLIENT, pem("system:node:m"))
        await certificate(on, "own")
        shown = await on.client.get(CERTIFICATE_SIGNING_REQUESTS, "readers")
        assert not (shown.get("status") or {}).get("conditions"), "to create a request is not to have it approved"


class Later(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(hours=25)


async def test_the_cleaner_removes_what_is_stale() -> None:
    made: list[Cleaner] = []

    def cleaner(tools: Tools) -> Cleaner:
        made.append(Cleaner(tools))
        return made[0]

    async with control_plane(cleaner, clock=Later()) as on:
        await ask(on.client, "old", KUBELET, CLIENT, pem("system:node:n"))

        async def is_gone() -> bool:
            await made[0].sweep()
            return await on.find(CERTIFICATE_SIGNING_REQUESTS, "old") is None

        await on.until(is_gone)

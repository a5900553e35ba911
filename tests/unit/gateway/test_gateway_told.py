"""What the gateway cannot serve is told in the status of the object that asks for it."""

import base64
import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from gateway_objects import condition_of, gateway, listener, obj, snapshot

from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.crds.definitions import NOT_ENFORCED, custom_resource_definitions
from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.dialects.gateway_api.unserved import ROUTES
from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.model.certificates import secret_of
from wherry.application.gateway.model.kinds import CONTROLLER, LISTENER_SETS
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.snapshot import Snapshot
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object

ENDS = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)  # of the certificate of `secret`


def secret(key: Any) -> Object:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(ENDS)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": certificate.public_bytes(serialization.Encoding.PEM), "tls.key": pem}
    return obj("Secret", "s", type="kubernetes.io/tls", data={k: base64.b64encode(v).decode() for k, v in data.items()})


WEAK = {
    "RSA 1024": rsa.generate_private_key(65537, 1024),
    "a curve of Bitcoin's": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("name", WEAK)
def test_a_key_envoy_refuses_is_an_invalid_certificate_ref_and_not_programmed(name: str) -> None:
    secure = listener("s", 443, "HTTPS", tls={"certificateRefs": [{"name": "s"}]})
    found = GatewayApiDialect(("192.0.2.1",)).compile(snapshot(gateway("gw", secure), secret(WEAK[name])), {})
    status = next(s.desired for s in found.statuses if s.name == "gw")
    assert condition_of(status["listeners"][0]["conditions"], "ResolvedRefs") == ("False", "InvalidCertificateRef")
    assert condition_of(status["conditions"], "Programmed")[0] == "False"
    assert not found.listeners


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_keys_envoy_takes_are_taken(key: Any) -> None:
    assert secret_of(secret(key)).name == "default/s"


@pytest.mark.parametrize(("late_s", "word"), [(-1, "is"), (0, "was")])
def test_a_certificate_that_has_expired_is_served_and_the_listener_says_when_it_ended(late_s: int, word: str) -> None:
    secure = listener("s", 443, "HTTPS", tls={"certificateRefs": [{"name": "s"}]})
    objects = snapshot(gateway("gw", secure), secret(ec.generate_private_key(ec.SECP256R1())))
    now = ENDS + datetime.timedelta(seconds=late_s)
    found = Compiler([GatewayApiDialect(("192.0.2.1",))], lambda: now).compile(objects)
    conditions = next(s.desired for s in found.statuses if s.name == "gw")["listeners"][0]["conditions"]
    assert condition_of(conditions, "Programmed") == ("True", "Programmed") and found.model.listeners
    told = next(c["message"] for c in conditions if c["type"] == "ResolvedRefs")
    assert told == f"default/s {word} valid until 2026-01-10T00:00:00+00:00"
    assert [notice.reason for notice in found.notices] == (["CertificateExpired"] if word == "was" else [])


def test_a_client_certificate_for_backends_is_not_presented_and_that_is_told() -> None:
    asking = gateway("gw", tls={"backend": {"clientCertificateRef": {"name": "s"}}})
    for spec, wanted in ((asking, ("False", "InvalidClientCertificateRef")), (gateway(), ("True", "ResolvedRefs"))):
        found = GatewayApiDialect(("192.0.2.1",)).compile(snapshot(spec), {})
        conditions = next(s.desired for s in found.statuses if s.name == "gw")["conditions"]
        assert condition_of(conditions, "ResolvedRefs") == wanted
        assert condition_of(conditions, "Programmed")[0] == "True"


def test_text_that_is_no_key_is_refused_without_its_content() -> None:
    broken = secret(WEAK["RSA 1024"])
    broken["data"]["tls.key"] = base64.b64encode(b"hunter2").decode()
    with pytest.raises(Invalid) as refused:
        secret_of(broken)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("resource", ROUTES, ids=lambda resource: resource.kind)
def test_a_route_kind_that_is_not_served_says_so_to_its_parent(resource: Any) -> None:
    given = snapshot(gateway())
    route = obj(resource.kind, "r", spec={"parentRefs": [{"name": "gw"}]})
    seen = Snapshot({**given.tables, resource.qualified_name: {"default/r": route}})
    found = GatewayApiDialect(("192.0.2.1",)).compile(seen, {})
    parent = next(s.desired for s in found.statuses if s.resource is resource)["parents"][0]
    assert (parent["controllerName"], condition_of(parent["conditions"], "Accepted")) == (CONTROLLER, ("False", "UnsupportedKind"))


def test_a_listener_set_says_so_too() -> None:
    given = snapshot(gateway())
    item = obj("ListenerSet", "l", spec={"parentRef": {"name": "gw"}})
    seen = Snapshot({**given.tables, LISTENER_SETS.qualified_name: {"default/l": item}})
    found = GatewayApiDialect(("192.0.2.1",)).compile(seen, {})
    status = next(s.desired for s in found.statuses if s.resource is LISTENER_SETS)
    assert condition_of(status["conditions"], "Accepted") == ("False", "UnsupportedKind")


def test_definitions_of_kinds_that_are_not_served_carry_the_warning_and_no_other_does() -> None:
    warned = {d["spec"]["names"]["kind"] for d in custom_resource_definitions() if NOT_ENFORCED in d["metadata"]["annotations"]}
    assert warned == {resource.kind for resource in (*ROUTES, LISTENER_SETS)}


@pytest.mark.parametrize("port", [8080, 8443, 19003, 22])
def test_a_listener_on_a_port_that_envoy_or_the_machine_has_is_not_opened(port: int) -> None:
    settings = GatewaySettings(Path("/run/x"), http_port=8080, https_port=8443)
    found = [d.compile(snapshot(gateway("gw", listener(port=port))), {}) for d in dialects_for(settings)][1]
    status = next(s.desired for s in found.statuses if s.name == "gw")
    assert condition_of(status["listeners"][0]["conditions"], "Accepted") == ("False", "PortUnavailable")
    assert not found.listeners


def test_ports_80_and_443_stay_open_where_they_are_bound_as_they_are() -> None:
    assert not {80, 443} & GatewaySettings(Path("/run/x")).unlisted_ports

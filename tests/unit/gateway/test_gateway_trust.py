"""Whom a gateway believes: client authorities of ports, names of backends; and certificates that have ended."""

import base64
import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_objects import condition_of, gateway, ingress, listener, obj, rule, service, snapshot
from test_gateway_told import ENDS, secret

from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.backend_tls import policies_of
from wherry.application.gateway.model.contract import Notice
from wherry.application.gateway.model.kinds import GATEWAYS
from wherry.application.gateway.model.values import ClientValidation, Listener
from wherry.orchestration.objects.meta import Object

KEY = ec.generate_private_key(ec.SECP256R1())


def authority(name: str) -> tuple[Object, str]:
    """A ConfigMap and its PEM; each call makes another."""
    pem = base64.b64decode(secret(ec.generate_private_key(ec.SECP256R1()))["data"]["tls.crt"]).decode()
    return obj("ConfigMap", name, data={"ca.crt": pem}), pem


ONE, ONE_PEM = authority("one")
TWO, TWO_PEM = authority("two")


def validation(name: str, mode: str = "") -> Object:
    found: Object = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": name}]}
    return {"validation": found | ({"mode": mode} if mode else {})}


def secure(name: str, *ports: int, created: str = "2026-01-01T00:00:00Z", host: str = "a.test", **frontend: Any) -> Object:
    found = gateway(name, *(
        listener(f"s{port}", port, "HTTPS", hostname=host, tls={"certificateRefs": [{"name": "s"}]}) for port in ports
    ), tls={"frontend": frontend})
    found["metadata"]["creationTimestamp"] = created
    return found


def compiled(*objects: Object) -> tuple[dict[str, Listener], dict[str, Object]]:
    """Listeners by owner; statuses of Gateways by name."""
    part = GatewayApiDialect(("192.0.2.1",)).compile(snapshot(secret(KEY), ONE, TWO, *objects), {})
    return ({one.owners[0]: one for one in part.listeners},
            {status.name: status.desired for status in part.statuses if status.resource is GATEWAYS})


@pytest.mark.parametrize(("mode", "is_optional"), [("AllowValidOnly", False), ("AllowInsecureFallback", True), ("", False)])
def test_the_mode_says_whether_a_certificate_is_needed(mode: str, is_optional: bool) -> None:
    listeners, _ = compiled(secure("gw", 443, default=validation("one", mode)))
    assert listeners["Gateway/default/gw/s443"].client == ClientValidation(ONE_PEM.encode(), is_optional)


def test_an_unknown_mode_opens_nothing() -> None:
    listeners, statuses = compiled(secure("gw", 443, default=validation("one", "AllowAll")))
    assert not listeners
    assert condition_of(statuses["gw"]["listeners"][0]["conditions"], "Accepted") == ("False", "NoValidCACertificate")


def test_a_port_of_its_own_goes_before_the_default() -> None:
    per_port = [{"port": 8443, "tls": validation("two")}, {"port": 9443, "tls": {}}]
    listeners, _ = compiled(secure("gw", 443, 8443, 9443, default=validation("one"), perPort=per_port))
    clients = {name.rpartition("/s")[2]: one.client and one.client.authorities for name, one in listeners.items()}
    assert clients == {"443": ONE_PEM.encode(), "8443": TWO_PEM.encode(), "9443": None}


def test_authorities_of_one_port_that_are_not_there_close_that_port_alone() -> None:
    listeners, statuses = compiled(secure("gw", 443, 8443, perPort=[{"port": 8443, "tls": validation("gone")}]))
    assert set(listeners) == {"Gateway/default/gw/s443"}
    assert condition_of(statuses["gw"]["listeners"][1]["conditions"], "ResolvedRefs") == ("False", "InvalidCACertificateRef")


OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def test_the_second_gateway_with_other_authorities_for_a_host_is_refused() -> None:
    """One set was used for both: clients of one team's authority entered the other's routes."""
    listeners, statuses = compiled(
        secure("a-later", 443, created=NEW, default=validation("two")), secure("older", 443, created=OLD, default=validation("one")))
    assert set(listeners) == {"Gateway/default/older/s443"}
    assert listeners["Gateway/default/older/s443"].client == ClientValidation(ONE_PEM.encode())
    conditions = statuses["a-later"]["listeners"][0]["conditions"]
    assert condition_of(conditions, "Accepted") == ("False", "HostnameConflict")
    assert condition_of(conditions, "Conflicted") == ("True", "HostnameConflict")
    assert condition_of(conditions, "Programmed")[0] == "False"
    assert "Gateway default/older" in next(c["message"] for c in conditions if c["type"] == "Conflicted")
    assert condition_of(statuses["older"]["listeners"][0]["conditions"], "Accepted") == ("True", "Accepted")


@pytest.mark.parametrize("other", [
    pytest.param(secure("later", 443, created=NEW, default=validation("one")), id="the same authorities"),
    pytest.param(secure("later", 8443, created=NEW, default=validation("two")), id="another port"),
    pytest.param(secure("later", 443, created=NEW, host="b.test", default=validation("two")), id="another host"),
])
def test_what_does_not_contradict_is_served(other: Object) -> None:
    listeners, _ = compiled(secure("older", 443, created=OLD, default=validation("one")), other)
    assert len(listeners) == 2


def policy(*names: Object) -> Object:
    return obj("BackendTLSPolicy", "p", spec={
        "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "validation": {"hostname": "a.test", "wellKnownCACertificates": "System", "subjectAltNames": list(names)}})


def test_names_of_a_backend_are_taken_as_they_are_given() -> None:
    names = ({"type": "Hostname", "hostname": "b.test"}, {"type": "URI", "uri": "spiffe://a/b"})
    table, (view,) = policies_of([policy(*names)], snapshot())
    (entry,) = table["default/web"]
    assert view.accepted is None and entry.tls is not None
    assert entry.tls.names == (("Hostname", "b.test"), ("URI", "spiffe://a/b"))


@pytest.mark.parametrize("name", [
    pytest.param({"type": "IPAddress", "hostname": "192.0.2.1"}, id="of another type"),
    pytest.param({"type": "URI"}, id="without a value"),
    pytest.param({"type": "URI", "uri": "x" * 254}, id="too long"),
    pytest.param({"type": "Hostname", "hostname": "a\nb"}, id="not printable"),
])
def test_a_name_that_is_not_understood_reaches_nobody(name: Object) -> None:
    table, (view,) = policies_of([policy(name)], snapshot())
    assert view.accepted is not None and view.accepted[0] == "Invalid"
    assert [entry.tls for entry in table["default/web"]] == [None]


def notices(now: datetime.datetime) -> list[Notice]:
    item = ingress("web", rule("a.test", ("Prefix", "/", "web")), tls=[{"hosts": ["a.test"], "secretName": "s"}])
    compiler = Compiler([IngressDialect(("192.0.2.1",))], lambda: now)
    compiled = compiler.compile(snapshot(item, service("web", 80), secret(KEY)))
    assert [one.port for one in compiled.model.listeners] == [80, 443], "it is served all the same"
    assert compiled.due_at == (None if now >= ENDS else ENDS)
    return [notice for notice in compiled.notices if notice.reason == "CertificateExpired"]


def test_an_ended_certificate_of_an_ingress_is_told() -> None:
    """Clients refuse it and nothing said why."""
    (notice,) = notices(ENDS)
    assert notice.obj["metadata"]["name"] == "web"
    assert notice.message == "the certificate of secret default/s was valid until 2026-01-10T00:00:00+00:00"
    assert notices(ENDS - datetime.timedelta(seconds=1)) == []

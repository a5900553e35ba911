"""Gateways and HTTPRoutes: who may attach where, what their rules mean, and what their statuses say."""

import pytest
from gateway_objects import condition_of, gateway, http_route, listener, obj, service, snapshot, to

from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.model.contract import Part
from wherry.application.gateway.model.durations import seconds_of
from wherry.application.gateway.model.ports import ports_of
from wherry.application.gateway.model.values import Answer, Forward, Redirect, Route
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object

ADDRESS = "192.0.2.1"


def compiled(*objects: Object, rejected: dict[str, str] | None = None) -> Part:
    return GatewayApiDialect((ADDRESS,), frozenset({22})).compile(snapshot(*objects), rejected or {})


def status_of(part: Part, kind: str, name: str) -> Object:
    return next(status.desired for status in part.statuses if (status.resource.kind, status.name) == (kind, name))


def parent_conditions(part: Part, name: str = "web") -> list[Object]:
    found: list[Object] = status_of(part, "HTTPRoute", name)["parents"][0]["conditions"]
    return found


def routes(part: Part) -> list[Route]:
    return [route for item in part.listeners for host in item.hosts for route in host.routes]


@pytest.mark.parametrize(("route", "objects", "accepted", "resolved"), [
    pytest.param(http_route("web", to("web")), [], "Accepted", "ResolvedRefs", id="fine"),
    pytest.param(http_route("web", to("gone")), [], "Accepted", "BackendNotFound", id="no such service"),
    pytest.param(http_route("web", to("web", path="/")
                 | {"backendRefs": [{"name": "web", "port": 81}]}), [], "Accepted", "BackendNotFound", id="no such port"),
    pytest.param(http_route("web", {"backendRefs": [{"name": "web", "kind": "Bucket", "group": "x"}]}), [], "Accepted",
                 "InvalidKind", id="not a service"),
    pytest.param(http_route("web", {"backendRefs": [{"name": "far", "namespace": "other", "port": 80}]}), [], "Accepted",
                 "RefNotPermitted", id="another namespace without a grant"),
    pytest.param(http_route("web", {"backendRefs": [{"name": "far", "namespace": "other", "port": 80}]}),
                 [obj("ReferenceGrant", "g", "other", spec={
                     "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                     "to": [{"group": "", "kind": "Service", "name": "far"}]})],
                 "Accepted", "ResolvedRefs", id="another namespace with a grant"),
    pytest.param(http_route("web", {"backendRefs": [{"name": "far", "namespace": "other", "port": 80}]}),
                 [obj("ReferenceGrant", "g", "other", spec={
                     "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                     "to": [{"group": "", "kind": "Service", "name": "else"}]})],
                 "Accepted", "RefNotPermitted", id="a grant for another name"),
    pytest.param(http_route("web", to("web"), parent={"name": "gw", "sectionName": "https"}), [], "NoMatchingParent",
                 "ResolvedRefs", id="no such listener"),
    pytest.param(http_route("web", to("web"), parent={"name": "gw", "port": 81}), [], "NoMatchingParent", "ResolvedRefs",
                 id="no such port of the gateway"),
    pytest.param(http_route("web", to("web", filters=[{"type": "CORS", "cors": {}}])), [], "UnsupportedValue", "ResolvedRefs",
                 id="a filter that is not there"),
    pytest.param(http_route("web", to("web", path="/(?=x)", kind="RegularExpression")), [], "UnsupportedValue", "ResolvedRefs",
                 id="an expression RE2 does not know"),
    pytest.param(http_route("web", to("web", timeouts={"request": "soon"})), [], "UnsupportedValue", "ResolvedRefs",
                 id="a duration that is none"),
])
def test_route_conditions(route: Object, objects: list[Object], accepted: str, resolved: str) -> None:
    conditions = parent_conditions(
        compiled(gateway(), service("web", 80), service("far", 80, namespace="other"), route, *objects))
    assert (condition_of(conditions, "Accepted")[1], condition_of(conditions, "ResolvedRefs")[1]) == (accepted, resolved)
    assert all(item["observedGeneration"] == 1 for item in conditions)


@pytest.mark.parametrize(("allowed", "namespace", "is_allowed"), [
    pytest.param({}, "default", True, id="same by default"),
    pytest.param({}, "other", False, id="other is refused by default"),
    pytest.param({"namespaces": {"from": "All"}}, "other", True, id="all"),
    pytest.param({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}, "other", True, id="selected"),
    pytest.param({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}}, "other", False, id="not selected"),
    pytest.param({"namespaces": {"from": "All"}, "kinds": [{"kind": "TCPRoute"}]}, "default", False, id="another kind of route"),
])
def test_listeners_choose_who_may_attach(allowed: Object, namespace: str, is_allowed: bool) -> None:
    route = http_route("web", to("web"), parent={"name": "gw", "namespace": "default"}, namespace=namespace)
    part = compiled(
        gateway("gw", listener(allowedRoutes=allowed)), service("web", 80, namespace=namespace), route,
        obj("Namespace", "other", "", metadata={"labels": {"team": "a"}}))
    assert condition_of(parent_conditions(part), "Accepted")[0] == str(is_allowed)
    assert status_of(part, "Gateway", "gw")["listeners"][0]["attachedRoutes"] == int(is_allowed)


@pytest.mark.parametrize(("listening", "wanted", "found"), [
    pytest.param("", ("a.test",), ["a.test"], id="any listener, one host"),
    pytest.param("*.test", ("a.test", "b.else"), ["a.test"], id="a wildcard listener keeps what it covers"),
    pytest.param("a.test", ("*.test",), ["a.test"], id="a wildcard route is narrowed"),
    pytest.param("*.a.test", ("*.test",), ["*.a.test"], id="two wildcards"),
    pytest.param("a.test", (), ["a.test"], id="a route without hosts takes the listener's"),
    pytest.param("a.test", ("b.test",), None, id="nothing in common"),
])
def test_hostnames_intersect(listening: str, wanted: tuple[str, ...], found: list[str] | None) -> None:
    part = compiled(gateway("gw", listener(hostname=listening)), service("web", 80), http_route("web", to("web"), hostnames=wanted))
    if found is None:
        assert condition_of(parent_conditions(part), "Accepted") == ("False", "NoMatchingListenerHostname")
    else:
        assert [host.host for item in part.listeners for host in item.hosts] == found


@pytest.mark.parametrize(("listeners", "reason"), [
    pytest.param([listener(protocol="UDP")], "UnsupportedProtocol", id="udp"),
    pytest.param([listener(port=22)], "PortUnavailable", id="a port of the machine"),
    pytest.param([listener(port=443)], "PortUnavailable", id="plain http on the port of https"),
    pytest.param([listener("a"), listener("b")], "HostnameConflict", id="the same twice"),
    pytest.param([listener("a", 8080), listener("b", 8080, "HTTPS")], "ProtocolConflict", id="one port, two protocols"),
])
def test_listeners_that_cannot_be_served_say_why(listeners: list[Object], reason: str) -> None:
    status = status_of(compiled(gateway("gw", *listeners)), "Gateway", "gw")
    for entry in status["listeners"]:
        assert condition_of(entry["conditions"], "Accepted") == ("False", reason)
        assert condition_of(entry["conditions"], "Programmed") == ("False", "Invalid")
    assert condition_of(status["conditions"], "Accepted") == ("False", "ListenersNotValid")
    assert condition_of(status["conditions"], "Programmed")[0] == "False"


@pytest.mark.parametrize(("tls", "reason"), [
    pytest.param({}, "InvalidCertificateRef", id="none"),
    pytest.param({"certificateRefs": [{"name": "gone"}]}, "InvalidCertificateRef", id="no such secret"),
    pytest.param({"certificateRefs": [{"name": "broken"}]}, "InvalidCertificateRef", id="not a certificate"),
    pytest.param({"certificateRefs": [{"name": "x", "kind": "Vault", "group": "y"}]}, "InvalidCertificateRef", id="not a secret"),
    pytest.param({"certificateRefs": [{"name": "far", "namespace": "other"}]}, "RefNotPermitted", id="no grant"),
])
def test_certificates_that_cannot_be_used_say_why(tls: Object, reason: str) -> None:
    broken = obj("Secret", "broken", data={"tls.crt": "bm8=", "tls.key": "bm8="})
    status = status_of(compiled(gateway("gw", listener("https", 443, "HTTPS", tls=tls)), broken), "Gateway", "gw")
    assert condition_of(status["listeners"][0]["conditions"], "ResolvedRefs") == ("False", reason)


def test_what_envoy_refused_is_told_to_its_owner() -> None:
    part = compiled(gateway("gw", listener(port=8080)), rejected={"Gateway/default/gw/http": "cannot bind: address in use"})
    entry = status_of(part, "Gateway", "gw")["listeners"][0]
    programmed = next(item for item in entry["conditions"] if item["type"] == "Programmed")
    assert programmed["status"] == "False" and "address in use" in programmed["message"]


def test_a_gateway_has_our_address_and_no_other() -> None:
    status = status_of(compiled(gateway()), "Gateway", "gw")
    assert status["addresses"] == [{"type": "IPAddress", "value": ADDRESS}]
    refused = status_of(compiled(gateway("gw", addresses=[{"type": "IPAddress", "value": "198.51.100.1"}])), "Gateway", "gw")
    assert condition_of(refused["conditions"], "Accepted") == ("False", "UnsupportedAddress")


def test_no_route_of_a_refused_gateway_is_served() -> None:
    refused = gateway("gw", addresses=[{"type": "IPAddress", "value": "198.51.100.1"}])
    assert compiled(refused, service("web", 80), http_route("web", to("web"))).listeners == ()


def test_order_follows_the_specification() -> None:
    def match(name: str, created: str = "2026-01-02T00:00:00Z", **fields: object) -> Object:
        return http_route(name, {"matches": [fields], "backendRefs": [{"name": "web", "port": 80}]}, created=created)

    prefix = {"type": "PathPrefix", "value": "/a"}
    header = [{"name": "x", "value": "1"}]
    made = [
        match("oldest", "2026-01-01T00:00:00Z", path=prefix),
        match("query", path=prefix, queryParams=header),
        match("exact", path={"type": "Exact", "value": "/a"}),
        match("header", path=prefix, headers=header),
        match("longer", path={"type": "PathPrefix", "value": "/a/b"}),
        match("method", path=prefix, method="GET"),
        match("by-name", path=prefix),
    ]
    part = compiled(gateway(), service("web", 80), *made)
    (port,) = ports_of(part.listeners)
    assert [route.name.split("/")[2] for route in port.doors[0].hosts[0].routes] == [
        "exact", "longer", "method", "header", "query", "oldest", "by-name"]


@pytest.mark.parametrize(("rule", "action"), [
    pytest.param({}, Answer(500), id="no backend at all"),
    pytest.param(to("gone"), Answer(500), id="only invalid backends"),
    pytest.param({"backendRefs": [{"name": "web", "port": 80, "weight": 0}]}, Answer(500), id="only weight zero"),
    pytest.param({"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]},
                 Redirect(301, "https"), id="a redirect needs no backend"),
])
def test_rules_without_a_usable_backend(rule: Object, action: Answer | Redirect) -> None:
    assert routes(compiled(gateway(), service("web", 80), http_route("web", rule)))[0].action == action


def test_invalid_backends_keep_their_share() -> None:
    rule = {"backendRefs": [{"name": "web", "port": 80, "weight": 3}, {"name": "gone", "port": 80, "weight": 1}]}
    action = routes(compiled(gateway(), service("web", 80), http_route("web", rule)))[0].action
    assert isinstance(action, Forward)
    assert [(target.backend is not None, target.weight) for target in action.targets] == [(True, 3), (False, 1)]


def test_a_change_of_one_route_leaves_the_others_as_objects() -> None:
    dialect = GatewayApiDialect((ADDRESS,))
    fixed = (gateway(), service("web", 80), http_route("a", to("web")))
    first = routes(dialect.compile(snapshot(*fixed, http_route("b", to("web"))), {}))
    second = routes(dialect.compile(snapshot(*fixed, http_route("b", to("web", path="/b"))), {}))
    assert [route for route in first if route.name.startswith("HTTPRoute/default/a")][0] is \
        [route for route in second if route.name.startswith("HTTPRoute/default/a")][0]


@pytest.mark.parametrize(("text", "seconds"), [
    pytest.param("10s", 10.0, id="seconds"),
    pytest.param("1h2m3s", 3723.0, id="mixed"),
    pytest.param("500ms", 0.5, id="milliseconds"),
    pytest.param("0s", 0.0, id="none"),
])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "1.5s", "-1s", "100000s", "10s "])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        seconds_of(text)

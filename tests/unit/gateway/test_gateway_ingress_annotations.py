"""Annotations of other controllers are enforced, refuse the requests, or are told to be without effect."""

import pytest
from gateway_objects import ingress, rule, service, snapshot

from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.contract import Part
from wherry.application.gateway.model.values import Answer, Forward, Redirect, Route
from wherry.orchestration.objects.meta import Object

NGINX = "nginx.ingress.kubernetes.io/"


def annotated(name: str, backend: str = "web", **annotations: str) -> Object:
    found = ingress(name, rule("a.test", ("Prefix", "/", backend)))
    found["metadata"]["annotations"] = {NGINX + key.replace("_", "-"): value for key, value in annotations.items()}
    return found


def part(*objects: Object) -> Part:
    return IngressDialect(("192.0.2.1",)).compile(snapshot(service("web", 80), service("new", 80), *objects), {})


def routes(found: Part) -> list[Route]:
    return sorted((r for item in found.listeners for h in item.hosts for r in h.routes), key=lambda r: r.order)


@pytest.mark.parametrize("name", [
    f"{NGINX}auth-type", f"{NGINX}auth-url", f"{NGINX}auth-tls-secret", f"{NGINX}limit-rps", f"{NGINX}server-snippet",
    f"{NGINX}satisfy", f"{NGINX}enable-modsecurity", f"{NGINX}auth-of-next-year", "konghq.com/plugins",
    "traefik.ingress.kubernetes.io/router.middlewares", "haproxy.org/deny-list", "haproxy-ingress.github.io/auth-secret",
])
def test_a_restriction_that_is_not_enforced_answers_503_and_an_event_names_it(name: str) -> None:
    item = annotated("web")
    item["metadata"]["annotations"] = {name: "5"}
    found = part(item)
    action = routes(found)[0].action
    assert isinstance(action, Answer) and action.code == 503 and name in action.body
    assert [(n.reason, name in n.message) for n in found.notices] == [("NotEnforced", True)]


def test_backend_over_tls_that_cannot_be_spoken_is_refused_and_not_sent_in_plain_text() -> None:
    assert isinstance(routes(part(annotated("web", backend_protocol="HTTPS")))[0].action, Answer)


@pytest.mark.parametrize(("name", "value"), [("auth_tls_verify_client", "off"), ("limit_rps", "0"), ("enable_modsecurity", "false")])
def test_a_restriction_that_is_off_refuses_nothing(name: str, value: str) -> None:
    assert isinstance(routes(part(annotated("web", **{name: value})))[0].action, Forward)


def test_an_annotation_without_effect_is_told_and_serves_on() -> None:
    found = part(annotated("web", rewrite_target="/x"))
    assert isinstance(routes(found)[0].action, Forward)
    assert found.notices[0].message == f"without effect at this gateway: {NGINX}rewrite-target"


def test_source_ranges_are_the_clients_of_every_route() -> None:
    route = routes(part(annotated("web", whitelist_source_range="10.0.0.0/8, 192.0.2.1", denylist_source_range="10.1.0.0/16")))[0]
    assert (route.allowed, route.denied) == (("10.0.0.0/8", "192.0.2.1/32"), ("10.1.0.0/16",))


def test_a_source_range_that_is_none_refuses() -> None:
    assert isinstance(routes(part(annotated("web", whitelist_source_range="office")))[0].action, Answer)


def test_forced_tls_redirects_without_a_tls_section() -> None:
    assert isinstance(routes(part(annotated("web", force_ssl_redirect="true")))[0].action, Redirect)


def weights(route: Route) -> dict[str, int]:
    assert isinstance(route.action, Forward)
    return {target.backend.service: target.weight for target in route.action.targets if target.backend}


def test_a_canary_gets_its_weight_and_no_more() -> None:
    found = routes(part(annotated("main"), annotated("next", "new", canary="true", canary_weight="10")))
    assert [weights(route) for route in found] == [{"web": 90, "new": 10}]


def test_a_canary_header_decides_before_the_weight() -> None:
    found = routes(part(annotated("main"), annotated("next", "new", canary="true", canary_by_header="x-next")))
    assert [(route.match.headers[0].value if route.match.headers else "", weights(route)) for route in found] == [
        ("always", {"new": 1}), ("never", {"web": 1}), ("", {"web": 1})]


@pytest.mark.parametrize("more", [
    {"canary_weight": "many"}, {"canary_by_cookie": "next"}, {"canary_by_header_pattern": "x.*", "canary_weight": "10"},
    {"canary_weight": "10", "canary_by_header": "a b"},
])
def test_a_canary_that_is_not_understood_gets_nothing(more: dict[str, str]) -> None:
    found = part(annotated("main"), annotated("next", "new", canary="true", **more))
    assert [weights(route) for route in routes(found)] == [{"web": 1}]
    assert "this canary gets no requests" in found.notices[0].message


def test_an_ingress_of_a_class_that_does_not_exist_is_told() -> None:
    item = annotated("web")
    item["spec"]["ingressClassName"] = "nginx"
    found = part(item)
    assert not found.listeners
    assert [notice.reason for notice in found.notices] == ["IngressClassNotFound"]

"""Ingress objects become the listeners and routes networking.k8s.io/v1 says they are."""

import pytest
from gateway_objects import backend, ingress, obj, rule, service, slice_of, snapshot

from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.values import Answer, Backend, Endpoint, Forward, Listener, PathKind, Redirect, Route
from wherry.kit.clock import SystemClock
from wherry.orchestration.objects.meta import Object


def compiled(*objects: Object) -> tuple[Listener, ...]:
    return IngressDialect(("192.0.2.1",)).compile(snapshot(*objects), {}).listeners


def routes_of(host: str, *objects: Object) -> tuple[Route, ...]:
    return next(h.routes for item in compiled(*objects) for h in item.hosts if h.host == host)


def service_of(route: Route) -> str:
    return route.action.targets[0].backend.service if isinstance(route.action, Forward) else ""


@pytest.mark.parametrize(("kind", "path", "wanted"), [
    pytest.param("Exact", "/a/", (PathKind.EXACT, "/a/"), id="exact keeps its slash"),
    pytest.param("Prefix", "/a/", (PathKind.PREFIX, "/a"), id="prefix drops its slash"),
    pytest.param("Prefix", "/", (PathKind.PREFIX, "/"), id="root"),
    pytest.param("ImplementationSpecific", "/a", (PathKind.PREFIX, "/a"), id="implementation specific is a prefix"),
])
def test_path_types(kind: str, path: str, wanted: tuple[PathKind, str]) -> None:
    route = routes_of("a.test", service("web", 80), ingress("web", rule("a.test", (kind, path, "web"))))[0]
    assert (route.match.path.kind, route.match.path.value) == wanted


def test_exact_comes_before_longer_prefixes_and_those_before_shorter_ones() -> None:
    paths = rule("a.test", ("Prefix", "/", "c"), ("Prefix", "/a/b/c", "b"), ("Exact", "/a", "a"))
    routes = routes_of("a.test", *(service(name, 80) for name in "abc"), ingress("web", paths))
    assert [service_of(route) for route in sorted(routes, key=lambda route: route.order)] == ["a", "b", "c"]


@pytest.mark.parametrize(("port", "found"), [
    pytest.param(80, True, id="by number"),
    pytest.param("p80", True, id="by name"),
    pytest.param("http", False, id="no such name"),
    pytest.param(81, False, id="no such number"),
])
def test_service_ports_are_found_by_number_and_name(port: int | str, found: bool) -> None:
    item = ingress("web", defaultBackend=backend("web", port))
    action = routes_of("*", service("web", 80), item)[0].action
    assert (isinstance(action, Forward), action == Answer(503, "the backend of this route cannot be used\n")) == (found, not found)


def test_default_backend_answers_for_its_hosts_and_for_unknown_hosts() -> None:
    item = ingress("web", rule("a.test", ("Prefix", "/a", "web")), defaultBackend=backend("rest"))
    listeners = compiled(service("web", 80), service("rest", 80), item)
    found = {h.host: [service_of(r) for r in sorted(h.routes, key=lambda r: r.order)] for item in listeners for h in item.hosts}
    assert found == {"a.test": ["web", "rest"], "*": ["rest"]}


def test_a_wildcard_host_stands_for_one_label() -> None:
    route = routes_of("*.a.test", service("web", 80), ingress("web", rule("*.a.test", ("Prefix", "/", "web"))))[0]
    assert route.match.headers[0].value == r"[^.]+\.a\.test(:[0-9]+)?"


@pytest.mark.parametrize(("spec", "annotations", "is_ours"), [
    pytest.param({"ingressClassName": "wherry"}, {}, True, id="our class"),
    pytest.param({"ingressClassName": "nginx"}, {}, False, id="another class"),
    pytest.param({}, {"kubernetes.io/ingress.class": "wherry"}, True, id="our class by the old annotation"),
    pytest.param({}, {"kubernetes.io/ingress.class": "nginx"}, False, id="another class by the old annotation"),
    pytest.param({}, {}, False, id="none, and no default class"),
])
def test_only_ingresses_of_our_class_are_served(spec: Object, annotations: Object, is_ours: bool) -> None:
    item = obj("Ingress", "web", spec={"defaultBackend": backend("web"), **spec}, metadata={"annotations": annotations})
    part = IngressDialect(("192.0.2.1",)).compile(snapshot(item, service("web", 80)), {})
    assert bool(part.listeners) is is_ours
    assert [status.desired for status in part.statuses] == [{"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}] * is_ours


def test_a_broken_certificate_opens_no_tls_listener() -> None:
    secret = obj("Secret", "tls", type="kubernetes.io/tls", data={"tls.crt": "bm8=", "tls.key": "bm8="})
    item = ingress("web", rule("a.test", ("Prefix", "/", "web")), tls=[{"hosts": ["a.test"], "secretName": "tls"}])
    assert {found.port for found in compiled(service("web", 80), secret, item)} == {80}


def test_ssl_redirect_needs_a_tls_host() -> None:
    item = ingress("web", rule("a.test", ("Prefix", "/", "web")))
    item["metadata"]["annotations"] = {"wherry.dev/ssl-redirect": "true"}
    assert not any(isinstance(route.action, Redirect) for route in routes_of("a.test", service("web", 80), item))


@pytest.mark.parametrize(("slices", "wanted"), [
    pytest.param([slice_of("web", "10.0.0.2", "10.0.0.1")], [("10.0.0.1", False), ("10.0.0.2", False)], id="ready, sorted"),
    pytest.param([slice_of("web", "10.0.0.1", ready=False)], [], id="not ready"),
    pytest.param([slice_of("web", "10.0.0.1", ready=False, serving=True, terminating=True)], [("10.0.0.1", False)],
                 id="only ending ones serve on"),
    pytest.param([slice_of("web", "10.0.0.1"), {**slice_of("web", "10.0.0.2", ready=False, serving=True, terminating=True)}
                  | {"metadata": {**slice_of("web")["metadata"], "name": "web-2"}}],
                 [("10.0.0.1", False), ("10.0.0.2", True)], id="ending ones drain beside ready ones"),
    pytest.param([slice_of("web", "10.0.0.1", port_name="other")], [], id="another port"),
])
def test_endpoints_follow_their_conditions(slices: list[Object], wanted: list[tuple[str, bool]]) -> None:
    item = ingress("web", defaultBackend=backend("web"))
    model = Compiler([IngressDialect(())], SystemClock().now).compile(snapshot(item, service("web", 80), *slices)).model
    assert model.endpoints == ((Backend("default", "web", 80), tuple(Endpoint(a, 8080, d) for a, d in wanted)),)


def test_an_unchanged_ingress_keeps_its_routes_as_objects() -> None:
    dialect = IngressDialect(())
    objects = (service("web", 80), ingress("a", rule("a.test", ("Prefix", "/", "web"))))
    other = ingress("b", rule("b.test", ("Prefix", "/", "web")))
    before = dialect.compile(snapshot(*objects), {}).listeners[0]
    after = next(item for item in dialect.compile(snapshot(*objects, other), {}).listeners if item.hostname == "a.test")
    assert after is before

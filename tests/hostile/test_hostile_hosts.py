"""A team that is not the first of a host gets nothing of it, whatever it claims and wherever."""

from typing import Any

import pytest

from wherry.application.gateway.compiler import Compiled, Compiler
from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.kinds import CLASS_NAME, CONTROLLER, GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, REFERENCE_GRANTS
from wherry.application.gateway.model.snapshot import snapshot_of
from wherry.kit.clock import SystemClock
from wherry.orchestration.objects.kinds import INGRESS_CLASSES, INGRESSES, SERVICES
from wherry.orchestration.objects.meta import Object

RESOURCES = (GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, REFERENCE_GRANTS, INGRESSES, INGRESS_CLASSES, SERVICES)


def obj(kind: str, name: str, namespace: str, year: int = 2020, **rest: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": f"{year}-01-01T00:00:00Z", "generation": 1}
    return {"kind": kind, "metadata": metadata, **rest}


def ingress(namespace: str, year: int, host: str, path: str = "/") -> list[Object]:
    rule = {"host": host, "http": {"paths": [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}
    return [obj("Ingress", "web", namespace, year, spec={"ingressClassName": CLASS_NAME, "rules": [rule]})]


def gateway(namespace: str, year: int, host: str, path: str = "/", *, on_listener: bool = False) -> list[Object]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"} | ({"hostname": host} if on_listener else {})
    return [
        obj("Gateway", "gw", namespace, year, spec={"gatewayClassName": CLASS_NAME, "listeners": [listener]}),
        obj("HTTPRoute", "web", namespace, year, spec={
            "parentRefs": [{"name": "gw"}], "hostnames": [] if on_listener or host == "*" else [host],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": "web", "port": 80}]}]}),
    ]


def compiled(*objects: Object) -> Compiled:
    every = [*objects, obj("IngressClass", CLASS_NAME, "", spec={"controller": CONTROLLER}),
             obj("GatewayClass", CLASS_NAME, "", spec={"controllerName": CONTROLLER}),
             *(obj("Service", "web", ns, spec={"ports": [{"port": 80}]}) for ns in ("bank", "thief"))]
    for item in every:
        if not item["metadata"]["namespace"]:
            del item["metadata"]["namespace"]
    tables = snapshot_of((r, [o for o in every if o["kind"] == r.kind]) for r in RESOURCES)
    return Compiler((IngressDialect(("192.0.2.1",)), GatewayApiDialect(("192.0.2.1",))), SystemClock().now).compile(tables)


def namespaces(found: Compiled) -> set[str]:
    return {str(r.order[7]).split("/")[0] for item in found.model.listeners for h in item.hosts for r in h.routes}


@pytest.mark.parametrize("first", [ingress("bank", 2020, "bank.test"), gateway("bank", 2020, "bank.test"),
                                   gateway("bank", 2020, "bank.test", on_listener=True)], ids=["Ingress", "route", "listener"])
@pytest.mark.parametrize("second", [
    pytest.param(ingress("thief", 2021, "bank.test", "/login"), id="an Ingress with a longer path"),
    pytest.param(gateway("thief", 2021, "bank.test", "/login"), id="a route with a longer path"),
    pytest.param(gateway("thief", 2021, "bank.test", "/login", on_listener=True), id="a listener of that name"),
])
def test_the_first_namespace_keeps_its_host_and_the_second_is_told(first: list[Object], second: list[Object]) -> None:
    found = compiled(*second, *first)
    assert namespaces(found) == {"bank"}
    told = [n.reason for n in found.notices] + [
        c["reason"] for s in found.statuses if s.namespace == "thief"
        for part in (*s.desired.get("listeners", ()), *s.desired.get("parents", ())) for c in part["conditions"]]
    assert "HostnameConflict" in told


@pytest.mark.parametrize(("owned", "asked"), [
    ("*.bank.test", "login.bank.test"), ("login.bank.test", "*.bank.test"), ("*.bank.test", "*.eu.bank.test"), ("*", "*"),
])
def test_wildcards_take_nothing_and_lose_nothing(owned: str, asked: str) -> None:
    found = compiled(*gateway("bank", 2020, owned), *gateway("thief", 2021, asked, on_listener=asked != "*"))
    assert namespaces(found) == {"bank"}


@pytest.mark.parametrize("owned", ["*", "*.test"])
def test_nobody_reserves_the_whole_world(owned: str) -> None:
    assert namespaces(compiled(*gateway("thief", 2020, owned), *ingress("bank", 2021, "bank.test"))) == {"bank", "thief"}


def test_an_old_gateway_does_not_make_a_late_route_the_first() -> None:
    late = gateway("thief", 2019, "bank.test")
    late[1]["metadata"]["creationTimestamp"] = "2021-01-01T00:00:00Z"
    assert namespaces(compiled(*late, *ingress("bank", 2020, "bank.test"))) == {"bank"}


def test_a_grant_of_the_owner_lets_another_namespace_in() -> None:
    grant = obj("ReferenceGrant", "g", "bank", spec={
        "from": [{"group": "networking.k8s.io", "kind": "Ingress", "namespace": "thief"}],
        "to": [{"group": "networking.k8s.io", "kind": "Ingress"}]})
    both = (*ingress("bank", 2020, "bank.test"), *ingress("thief", 2021, "bank.test", "/login"))
    assert namespaces(compiled(*both, grant)) == {"bank", "thief"}

"""The proxy's pure half: which frontends a Service has, and that a change costs what it changes."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.reserved import Reserved, ReservedAddress, port_rows
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.proxy.ruleset import Ruleset, arranged
from wherry.orchestration.proxy.service_table import Frontend, ServiceRules, rules_for
from wherry.orchestration.proxy.settings import ProxySettings

RESERVED = Reserved(
    (*port_rows("the API server", [6443]), *port_rows("the gateway", [80], holder="wherry-system/wherry-gateway")),
    (ReservedAddress(IPv4Address("10.96.0.10"), "cluster DNS"),),
    (IPv4Address("192.0.2.2"),), (IPv4Network("10.96.0.0/16"), IPv4Network("10.244.0.0/16")),
)
SETTINGS = ProxySettings(
    table="wherry-t-svc", node_name="n", node_addresses=("192.0.2.2",), service_cidr="10.96.0.0/16", pod_cidrs=("10.244.0.0/16",),
    link_prefix="wt", reserved=RESERVED,
)


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "web", "namespace": "d"},
            "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "type": "ClusterIP",
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}}


def endpoint(address: str, **conditions: bool) -> Object:
    return {"addresses": [address], "conditions": {"ready": True, **conditions}, "nodeName": "n"}


def slices(*endpoints: Object) -> list[Object]:
    return [{"addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": list(endpoints)}]


def frontends(svc: Object, *endpoints: Object) -> dict[tuple[str, str, int], Frontend]:
    return {f.key: f for f in rules_for("d/web", svc, slices(*endpoints), SETTINGS).frontends}


@pytest.mark.parametrize(("endpoints", "chosen"), [
    pytest.param([endpoint("10.244.0.1"), endpoint("10.244.0.2", ready=False)], ["10.244.0.1"], id="ready ones only"),
    pytest.param([endpoint("10.244.0.1", ready=False, serving=True, terminating=True)], ["10.244.0.1"], id="serving and terminating when none is ready"),
    pytest.param([endpoint("10.244.0.1", ready=False, serving=False, terminating=True)], [], id="none that serves"),
])
def test_endpoints_of_a_cluster_address(endpoints: list[Object], chosen: list[str]) -> None:
    assert [a for a, _ in frontends(service(), *endpoints)[("10.96.0.7", "tcp", 80)].endpoints] == chosen


def test_a_load_balancer_is_reached_on_its_address_and_its_node_port() -> None:
    svc = service(type="LoadBalancer", ports=[{"name": "http", "port": 81, "nodePort": 30080, "protocol": "TCP"}])
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}
    assert set(frontends(svc, endpoint("10.244.0.1"))) == {
        ("10.96.0.7", "tcp", 81), ("192.0.2.2", "tcp", 81), ("192.0.2.2", "tcp", 30080)}


def test_a_port_of_the_cluster_itself_is_never_taken() -> None:
    svc = service(type="LoadBalancer", ports=[{"name": "http", "port": 6443, "protocol": "TCP"}])
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}
    assert set(frontends(svc, endpoint("10.244.0.1"))) == {("10.96.0.7", "tcp", 6443)}


def test_local_policy_without_a_local_endpoint_drops_when_there_are_others() -> None:
    far = {**endpoint("10.244.1.1"), "nodeName": "other"}
    assert frontends(service(internalTrafficPolicy="Local"), far)[("10.96.0.7", "tcp", 80)].is_dropped
    assert not frontends(service(internalTrafficPolicy="Local"))[("10.96.0.7", "tcp", 80)].is_dropped


def test_a_terminating_endpoint_stays_with_publish_not_ready_addresses() -> None:
    ready, leaving = endpoint("10.244.0.1"), endpoint("10.244.0.2", ready=True, serving=False, terminating=True)
    found = frontends(service(publishNotReadyAddresses=True), ready, leaving)
    assert [a for a, _ in found["10.96.0.7", "tcp", 80].endpoints] == ["10.244.0.1", "10.244.0.2"]


@pytest.mark.parametrize("label", ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"])
def test_a_slice_or_service_with_a_label_of_other_proxies_leaves_the_rules(label: str) -> None:
    mine, other = slices(endpoint("10.244.0.1")), slices(endpoint("10.244.0.2"))
    other[0]["metadata"] = {"labels": {label: ""}}
    [frontend] = rules_for("d/web", service(), mine + other, SETTINGS).frontends
    assert frontend.endpoints == (("10.244.0.1", 8080),)
    marked = service()
    marked["metadata"]["labels"] = {label: ""}
    assert rules_for("d/web", marked, mine, SETTINGS) == ServiceRules("d/web")


def test_headless_and_external_name_services_need_no_rule() -> None:
    assert rules_for("d/web", service(clusterIP="None", clusterIPs=["None"]), slices(), SETTINGS) == ServiceRules("d/web")
    assert rules_for("d/web", service(type="ExternalName"), slices(), SETTINGS) == ServiceRules("d/web")


def rules(name: str, number: int, count: int) -> ServiceRules:
    ip = f"10.96.{number // 250}.{number % 250 + 1}"
    endpoints = tuple((f"10.244.0.{i + 1}", 8080) for i in range(count))
    return ServiceRules(name, (Frontend((ip, "tcp", 80), endpoints),), (ip,))


def test_one_more_endpoint_among_many_services_is_a_few_elements() -> None:
    ruleset = Ruleset(SETTINGS)
    for number in range(500):
        ruleset.replace(rules(f"d/s{number}", number, 2))
    text = ruleset.replace(rules("d/s7", 7, 3))
    elements = text.replace("\n", " ").count("10.96.0.8 . tcp . 80")
    assert elements == 3, "the verdict away and back, and one endpoint"


def test_an_unchanged_service_costs_nothing_and_a_removed_one_leaves_nothing() -> None:
    ruleset = Ruleset(SETTINGS)
    ruleset.replace(rules("d/a", 1, 2))
    assert ruleset.replace(rules("d/a", 1, 2)) == ""
    ruleset.replace(ServiceRules("d/a"))
    assert "add element" not in ruleset.full()


addresses = st.lists(st.tuples(st.sampled_from([f"10.0.0.{i}" for i in range(9)]), st.just(80)), unique=True, max_size=9).map(tuple)


@given(addresses, addresses)
def test_survivors_keep_their_number_unless_a_hole_must_be_filled(old: tuple[tuple[str, int], ...], new: tuple[tuple[str, int], ...]) -> None:
    found = arranged(old, new)
    assert sorted(found) == sorted(new)
    moved = [e for i, e in enumerate(found) if e in old and old.index(e) != i]
    assert len(moved) <= len(set(old) - set(new))

"""Which routes lead to other nodes: what a node writes of itself draws no traffic that is not its own."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from wherry.assembly.node_routes import routes_to
from wherry.orchestration.objects.meta import Object

WITHIN = IPv4Network("10.244.0.0/16")


def node(name: str, cidr: str, address: str, made: str = "2026-01-01T00:00:00Z") -> Object:
    return {"metadata": {"name": name, "creationTimestamp": made}, "spec": {"podCIDR": cidr},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]}}


OWN = {**node("own", "10.244.0.0/24", "192.0.2.1"), "status": {}}  # its status is not written yet
OTHER = node("other", "10.244.1.0/24", "192.0.2.2")


def test_every_other_node_has_one_route() -> None:
    assert routes_to([OTHER, OWN], "own", WITHIN) == {IPv4Network("10.244.1.0/24"): IPv4Address("192.0.2.2")}


@pytest.mark.parametrize(("cidr", "address"), [
    pytest.param("0.0.0.0/0", "192.0.2.9", id="everything"),
    pytest.param("10.96.0.0/16", "192.0.2.9", id="the Services"),
    pytest.param("192.0.2.0/24", "192.0.2.9", id="the machines"),
    pytest.param("10.244.0.0/24", "192.0.2.9", id="our range"),
    pytest.param("10.244.0.128/25", "192.0.2.9", id="a part of our range"),
    pytest.param("10.244.1.0/25", "192.0.2.9", id="a part of an older node's"),
    pytest.param("10.244.0.0/16", "192.0.2.9", id="the whole range"),
    pytest.param("10.244.2.1/24", "192.0.2.9", id="no range"),
    pytest.param("fd00::/64", "192.0.2.9", id="another family"),
    pytest.param("", "192.0.2.9", id="none yet"),
    pytest.param("10.244.2.0/24", "node.example", id="no address"),
    pytest.param("10.244.2.0/24", "fd00::1", id="an address of another family"),
])
def test_a_node_draws_no_traffic_that_is_not_its_own(cidr: str, address: str) -> None:
    claiming = node("a-claiming", cidr, address, made="2026-01-02T00:00:00Z")
    assert routes_to([claiming, OTHER, OWN], "own", WITHIN) == {IPv4Network("10.244.1.0/24"): IPv4Address("192.0.2.2")}

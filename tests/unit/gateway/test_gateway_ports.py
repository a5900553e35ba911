"""Listeners that share a port: who answers for which host, and names with wildcards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.application.gateway.model.hostnames import covers, intersection, is_hostname, most_specific
from wherry.application.gateway.model.ports import owner_among, ports_of
from wherry.application.gateway.model.values import Answer, Listener, Protocol, Route, RouteMatch, VirtualHost

LABELS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)
PATTERNS = st.one_of(LABELS, LABELS.map(lambda name: f"*.{name}"), st.just("*"))


def listener(hostname: str, *hosts: str, protocol: Protocol = Protocol.HTTP, owner: str = "") -> Listener:
    routes = tuple(VirtualHost(host, (Route(f"{hostname}>{host}", (0,), RouteMatch(), Answer(200)),)) for host in hosts)
    return Listener(80, protocol, hostname, hosts=routes, owners=(owner or hostname,))


def answers(*listeners: Listener) -> dict[str, dict[str, list[str]]]:
    (port,) = ports_of(listeners)
    return {door.hostname: {host.host: [route.name for route in host.routes] for host in door.hosts} for door in port.doors}


@given(st.sets(PATTERNS), PATTERNS)
@pytest.mark.slow
def test_the_quick_look_up_finds_the_most_specific_owner(patterns: set[str], host: str) -> None:
    assert owner_among(dict.fromkeys(patterns), host) == most_specific(patterns, host)


@given(PATTERNS, PATTERNS, LABELS)
def test_an_intersection_stands_for_what_both_stand_for(left: str, right: str, name: str) -> None:
    both = intersection(left, right)
    assert (covers(left, name) and covers(right, name)) == (bool(both) and covers(both, name))


@pytest.mark.parametrize(("listeners", "wanted"), [
    pytest.param([listener("*", "a.test")], {"*": {"a.test": ["*>a.test"]}}, id="one"),
    pytest.param([listener("*", "a.test", "b.test"), listener("a.test")],
                 {"a.test": {"a.test": []}, "*": {"b.test": ["*>b.test"]}}, id="a narrower listener keeps its host"),
    pytest.param([listener("*.test", "x.test"), listener("*.a.test", "y.a.test"), listener("*", "x.a.test")],
                 {"*.a.test": {"*.a.test": [], "y.a.test": ["*.a.test>y.a.test"]},
                  "*.test": {"*.test": [], "x.test": ["*.test>x.test"]}, "*": {}}, id="wildcards"),
    pytest.param([listener("a.test", "a.test", owner="one"), listener("a.test", "a.test", owner="two")],
                 {"a.test": {"a.test": ["a.test>a.test", "a.test>a.test"]}}, id="equal ones are merged"),
    pytest.param([listener("*", "a.test"), listener("b.test", "b.test", protocol=Protocol.HTTPS)],
                 {"*": {"a.test": ["*>a.test"]}}, id="another protocol cannot join"),
])
def test_a_host_belongs_to_its_most_specific_listener(listeners: list[Listener], wanted: dict[str, object]) -> None:
    assert answers(*listeners) == wanted


@pytest.mark.parametrize(("text", "is_fine"), [
    pytest.param("a.example.com", True, id="name"),
    pytest.param("*.example.com", True, id="wildcard"),
    pytest.param("*", False, id="star alone"),
    pytest.param("*.*.com", False, id="two stars"),
    pytest.param("a.*.com", False, id="star inside"),
    pytest.param("A.com", False, id="upper case"),
    pytest.param("a..com", False, id="empty label"),
    pytest.param("a.com:80", False, id="port"),
    pytest.param("a" * 254, False, id="long"),
])
def test_hostnames(text: str, is_fine: bool) -> None:
    assert is_hostname(text) is is_fine

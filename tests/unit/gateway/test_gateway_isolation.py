"""The owners whose routes Envoy refuses are found by halves, whoever and however many they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.application.gateway.model.values import Answer, PathMatch, Route, RouteMatch, VirtualHost
from wherry.application.gateway.xds.feed import named_in
from wherry.application.gateway.xds.isolation import PROBE, Hosts, Isolation, owner_of, share_of

NUMBERS = st.sets(st.integers(0, 30))


def route(number: int, *, path: str = "/") -> Route:
    return Route(f"HTTPRoute/default/r{number}/0/0", (number,), RouteMatch(PathMatch(value=f"{path}{number}")), Answer(200))


def hosts_of(numbers: set[int], *, path: str = "/") -> Hosts:
    """Two hosts share the routes."""
    return tuple(VirtualHost(host, tuple(route(n, path=path) for n in sorted(numbers) if n % 3 != skip))
                 for skip, host in ((1, "a.test"), (2, "b.test")))


class Envoy:
    """Refuses whatever has a bad owner's route in it, or those of both of a pair; counts."""

    def __init__(self, isolation: Isolation, bad: set[int], pair: tuple[int, int] | None = None) -> None:
        self.pair = {f"HTTPRoute/default/r{n}" for n in pair or ()}
        self.isolation, self.bad, self.probes = isolation, {f"HTTPRoute/default/r{n}" for n in bad}, 0
        self.serves: Hosts = ()

    def judge(self, table: str, hosts: Hosts) -> bool:
        version = repr(hosts)
        self.isolation.sent(table, version, hosts)
        owners = {owner_of(route) for host in hosts for route in host.routes}
        if self.refuses(owners, hosts):
            return self.isolation.refused(table, version, "no")
        if table != PROBE:
            self.serves = hosts
        return self.isolation.taken(table, version)

    def refuses(self, owners: set[str], hosts: Hosts) -> bool:
        del hosts
        return bool(owners & self.bad or self.pair and self.pair <= owners)

    def settle(self, wanted: Hosts) -> None:
        while self.judge("port-80", self.isolation.offered("port-80", wanted)):
            while (probed := self.isolation.probe()):
                self.probes += 1
                assert self.judge(PROBE, probed)


@given(good=NUMBERS, bad=NUMBERS)
def test_exactly_the_bad_owners_are_refused_and_everybody_else_is_served(good: set[int], bad: set[int]) -> None:
    isolation = Isolation()
    envoy = Envoy(isolation, bad)
    wanted = hosts_of(good | bad)
    envoy.settle(wanted)
    present = {owner_of(route) for host in wanted for route in host.routes}
    assert set(isolation.refusals) == envoy.bad & present
    assert {owner_of(route) for host in envoy.serves for route in host.routes} == present - envoy.bad


def test_one_bad_owner_of_a_thousand_costs_twenty_probes_at_most() -> None:
    isolation = Isolation()
    envoy = Envoy(isolation, {700})
    envoy.settle((VirtualHost("a.test", tuple(route(n) for n in range(1000))),))
    assert set(isolation.refusals) == {"HTTPRoute/default/r700"} and envoy.probes <= 20


def test_a_refused_owner_keeps_what_envoy_took_before_and_is_tried_again_once_it_changes() -> None:
    isolation = Isolation()
    envoy = Envoy(isolation, set())
    envoy.settle(hosts_of({3, 6}))
    before = share_of(envoy.serves, "HTTPRoute/default/r3")
    envoy.bad = {"HTTPRoute/default/r3"}
    envoy.isolation.refused("port-80", "another version", "no")
    changed = tuple(VirtualHost(host.host, tuple(route(n, path="/new") if n == 3 else route(n) for n in (3, 6)))
                    for host in hosts_of({3, 6}))
    offered = isolation.offered("port-80", changed)
    isolation.sent("port-80", "v2", offered)
    assert isolation.refused("port-80", "v2", "no")
    isolation.sent(PROBE, "v3", isolation.probe())
    assert isolation.refused(PROBE, "v3", "no"), "one owner changed, and one probe says that it is refused by itself"
    assert share_of(isolation.offered("port-80", changed), "HTTPRoute/default/r3") == before
    mended = hosts_of({3, 6}, path="/mended")
    assert isolation.offered("port-80", mended) == mended and not isolation.refusals


@given(good=NUMBERS, pair=st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda two: two[0] != two[1]), before=NUMBERS)
@pytest.mark.slow
def test_of_routes_refused_only_together_one_is_told_and_all_others_are_served(good: set[int], pair: tuple[int, int], before: set[int]) -> None:
    """Each half was taken, so nobody was to blame: the listener alone was told, and no route of the port changed any more."""
    isolation = Isolation()
    envoy = Envoy(isolation, set(), pair)
    if not set(pair) <= before:
        envoy.settle(hosts_of(before))
    wanted = hosts_of(good | set(pair) | before)
    envoy.settle(wanted)
    present = {owner_of(route) for host in wanted for route in host.routes}
    (told, text), = isolation.refusals.items()
    assert told in envoy.pair and text == "refused together with other routes, not by itself: no"
    assert {owner_of(route) for host in envoy.serves for route in host.routes} == present - {told}
    envoy.settle(wanted)
    assert set(isolation.refusals) == {told}, "and nothing is tried again while nothing changes"
    other, = envoy.pair - {told}
    envoy.settle(hosts_of((good | before | set(pair)) - {int(other.rpartition("r")[2])}))
    assert isolation.refusals == {}, "the other went away, so it is served"


def test_a_name_that_begins_like_the_refused_one_is_not_blamed() -> None:
    names = ["default/web/80", "default/web/8080", "default/web/80/h2c", "port-80", "port-8080", "x-default/web/80"]
    assert named_in("Error adding/updating cluster(s) default/web/80: bad", names) == ["default/web/80"]
    assert named_in("Error adding/updating listener(s) port-8080: bad\n", names) == ["port-8080"]
    assert named_in("Proto constraint validation failed", names) == []

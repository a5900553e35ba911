"""Programmed is said of what every Envoy has confirmed, and of nothing else."""

from typing import Any

from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.kinds import GATEWAYS, HTTP_ROUTES
from wherry.application.gateway.model.values import Listener, Protocol, VirtualHost
from wherry.application.gateway.programmed import Programmed, held_back
from wherry.application.gateway.xds.resources import ResourceSet
from wherry.orchestration.objects.meta import Object

OWNER = "Gateway/default/gw/http"


def door(port: int = 80, *hosts: str, owner: str = OWNER) -> Listener:
    return Listener(port, Protocol.HTTP, hosts=tuple(VirtualHost(host, ()) for host in hosts), owners=(owner,))


def test_a_listener_waits_until_every_envoy_has_it() -> None:
    programmed, first, second = Programmed(), ResourceSet(), ResourceSet()
    programmed.published(first, [door()])
    assert programmed.pending([door()]) == {OWNER}
    assert not programmed.confirmed(()) and programmed.pending([door()]) == {OWNER}
    assert programmed.confirmed([first]) and programmed.pending([door()]) == frozenset()
    programmed.published(second, [door(81)])
    assert programmed.pending([door(81)]) == {OWNER}
    assert not programmed.confirmed([first, second]), "one of two Envoys"
    assert programmed.confirmed([second, second]) and programmed.pending([door(81)]) == frozenset()


def test_under_a_stream_of_changes_a_listener_becomes_programmed_all_the_same() -> None:
    programmed, sets = Programmed(), [ResourceSet() for _ in range(5)]
    for resources in sets:
        programmed.published(resources, [door()])
    assert programmed.confirmed([sets[1]]) and programmed.pending([door()]) == frozenset()


def test_routes_do_not_count() -> None:
    programmed, resources = Programmed(), ResourceSet()
    programmed.published(resources, [door(80, "a.test")])
    programmed.confirmed([resources])
    assert programmed.pending([door(80, "a.test", "b.test")]) == frozenset()


def test_a_listener_that_is_the_same_to_envoy_needs_no_other_confirmation() -> None:
    programmed, resources = Programmed(), ResourceSet()
    other = "Gateway/default/other/http"
    programmed.published(resources, [door()])
    programmed.confirmed([resources])
    programmed.published(resources, [door(), door(owner=other)])
    assert programmed.confirmed([resources]) and programmed.pending([door(owner=other)]) == frozenset()


def test_what_nobody_remembers_is_not_taken_as_confirmed() -> None:
    programmed, resources = Programmed(), ResourceSet()
    programmed.published(resources, [door()])
    assert not programmed.confirmed([ResourceSet()]) and programmed.pending([door()]) == {OWNER}


def programmed_condition(status: str, generation: int) -> Object:
    return {"type": "Programmed", "status": status, "reason": "Programmed", "message": "", "observedGeneration": generation}


def desired(generation: int = 2, status: str = "True") -> Object:
    conditions = [{"type": "Accepted", "status": "True"}, programmed_condition(status, generation)]
    return {"addresses": [], "conditions": conditions, "listeners": [{"name": "http", "conditions": conditions}]}


def said(obj: Object, pending: set[str] | None = None, **wanted: Any) -> list[tuple[str, str, int]]:
    """(status, reason, generation) of Programmed, of the Gateway and of its listener."""
    status = Status(GATEWAYS, "default", "gw", desired(**wanted))
    found = held_back(status, obj, frozenset({OWNER} if pending is None else pending))
    return [(c["status"], c["reason"], c["observedGeneration"]) for part in (found, found["listeners"][0])
            for c in part["conditions"] if c["type"] == "Programmed"]


def test_a_new_gateway_is_not_programmed_yet() -> None:
    assert said({}) == [("False", "Pending", 2)] * 2
    waiting = {"status": {"conditions": [{"type": "Programmed", "status": "Unknown", "reason": "Pending"}]}}
    assert said(waiting) == [("False", "Pending", 2)] * 2


def test_a_changed_gateway_is_programmed_as_it_was() -> None:
    assert said({"status": desired(generation=1)}) == [("True", "Programmed", 1)] * 2


def test_what_is_confirmed_refused_or_no_gateway_is_said_as_it_is() -> None:
    assert said({}, set()) == [("True", "Programmed", 2)] * 2
    assert said({}, {"Gateway/default/other/http"}) == [("True", "Programmed", 2)] * 2
    assert said({"status": desired(1)}, status="False") == [("False", "Programmed", 2)] * 2
    route = Status(HTTP_ROUTES, "default", "gw", {"parents": []})
    assert held_back(route, {}, frozenset({OWNER})) is route.desired

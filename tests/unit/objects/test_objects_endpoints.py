"""Which endpoints each reader takes: the table of `objects/endpoints.py`, asked of the readers themselves."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.application.gateway.model.services import SLICES_BY_SERVICE, endpoints_of
from wherry.application.gateway.model.snapshot import Snapshot, by_service
from wherry.application.gateway.model.values import Backend
from wherry.orchestration.apiserver.registry.endpoints import ready_endpoints
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.wire import SRV, A
from wherry.orchestration.objects.endpoints import behind_port, service_of, takers
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.proxy.service_table import rules_for
from wherry.orchestration.proxy.settings import ProxySettings

SETTINGS = ProxySettings(
    table="wherry-t-svc", node_name="here", node_addresses=("192.0.2.2",), service_cidr="10.96.0.0/16",
    pod_cidrs=("10.244.0.0/16",), link_prefix="wt",
)
LABELS = {"kubernetes.io/service-name": "web"}
IS_READY, IS_DRAINING = "ready", "draining"


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "web", "namespace": "d"},
            "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}}


def slice_of(*endpoints: Object, **fields: Any) -> Object:
    return {"metadata": {"name": "web-1", "namespace": "d", "labels": LABELS}, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}], "endpoints": list(endpoints), **fields}


def endpoint(*addresses: str, node: str = "here", **conditions: bool | None) -> Object:
    return {"addresses": list(addresses), "conditions": conditions, "nodeName": node}


class Stored:
    """The slices as the API server's cache gives them."""

    def __init__(self, slices: Sequence[Object]) -> None:
        self._slices = slices

    def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        assert (resource, namespace) == (ENDPOINT_SLICES, "d")
        return self._slices


def proxied(slices: Sequence[Object], **spec: Any) -> set[tuple[str, int]]:
    [frontend] = rules_for("d/web", service(**spec), slices, SETTINGS).frontends
    return set(frontend.endpoints)


def resolved(slices: Sequence[Object]) -> set[str]:
    found = records_for(service(clusterIP="None", clusterIPs=["None"]), slices, "c.local").get("web.d.svc.c.local", set())
    return {".".join(map(str, data)) for kind, data in found if kind == A}


def routed(slices: Sequence[Object]) -> dict[tuple[str, int], str]:
    snapshot = Snapshot({SERVICES.qualified_name: {"d/web": service()}, SLICES_BY_SERVICE: by_service(slices)})
    found = endpoints_of(snapshot, Backend("d", "web", 80))
    assert len({(e.address, e.port) for e in found}) == len(found)
    return {(e.address, e.port): IS_DRAINING if e.is_draining else IS_READY for e in found}


def forwarded(slices: Sequence[Object]) -> set[tuple[str, int]]:
    return set(ready_endpoints(Stored(slices), "d", "web", "http"))


READY, ENDING, GONE = "10.244.0.1", "10.244.0.2", "10.244.0.3"


@pytest.mark.parametrize(("conditions", "is_ready", "is_draining"), [
    pytest.param({}, True, False, id="nothing said is ready"),
    pytest.param({"ready": None, "serving": None, "terminating": None}, True, False, id="null is nothing said"),
    pytest.param({"ready": True, "serving": True, "terminating": False}, True, False, id="ready"),
    pytest.param({"ready": False}, False, False, id="not ready"),
    pytest.param({"ready": False, "serving": True}, False, False, id="not ready, whatever serves"),
    pytest.param({"ready": False, "serving": True, "terminating": True}, False, True, id="serves while it terminates"),
    pytest.param({"ready": False, "terminating": True}, False, True, id="terminates, and nobody says that it does not serve"),
    pytest.param({"ready": False, "serving": False, "terminating": True}, False, False, id="terminates and does not serve"),
    pytest.param({"ready": True, "serving": False, "terminating": True}, True, False, id="ready to its end: publishNotReadyAddresses"),
])
def test_each_reader_takes_an_endpoint_by_its_conditions(conditions: dict[str, bool | None], is_ready: bool, is_draining: bool) -> None:
    alone = [slice_of(endpoint(READY, **conditions))]
    place = (READY, 8080)
    assert proxied(alone) == ({place} if is_ready or is_draining else set())
    assert routed(alone) == ({place: IS_READY} if is_ready or is_draining else {})
    assert resolved(alone) == ({READY} if is_ready else set())
    assert forwarded(alone) == ({place} if is_ready else set())


def test_beside_a_ready_endpoint_an_ending_one_drains_at_the_gateway_and_is_left_out_elsewhere() -> None:
    slices = [slice_of(endpoint(READY), endpoint(ENDING, ready=False, terminating=True), endpoint(GONE, ready=False))]
    assert proxied(slices) == forwarded(slices) == {(READY, 8080)}
    assert routed(slices) == {(READY, 8080): IS_READY, (ENDING, 8080): IS_DRAINING}
    assert resolved(slices) == {READY}


@pytest.mark.parametrize(("fields", "seen"), [
    pytest.param({"addressType": "FQDN"}, "", id="names are no addresses"),
    pytest.param({"addressType": "IPv6", "endpoints": [endpoint("fd00::1")]}, "gateway api", id="IPv6"),
    pytest.param({"ports": [{"name": "http"}]}, "dns", id="a port without a number"),
    pytest.param({"ports": [{"name": "other", "port": 8080}]}, "dns", id="another port"),
    pytest.param({"ports": [{"name": "http", "port": 8080, "protocol": "UDP"}]}, "dns api", id="another protocol"),
    pytest.param({"ports": None}, "dns", id="no ports"),
    pytest.param({"endpoints": None}, "", id="no endpoints"),
    pytest.param({"endpoints": [{"addresses": []}]}, "", id="no address"),
    pytest.param({}, "proxy dns gateway api", id="as it should be"),
])
def test_each_reader_takes_the_families_and_ports_it_can(fields: dict[str, Any], seen: str) -> None:
    slices = [slice_of(endpoint(READY), **fields)]
    found = {"proxy": proxied(slices), "dns": resolved(slices), "gateway": routed(slices), "api": forwarded(slices)}
    assert [name for name, taken in found.items() if taken] == seen.split()


def test_only_dns_looks_at_more_than_the_first_address() -> None:
    slices = [slice_of(endpoint(READY, ENDING))]
    assert proxied(slices) == set(routed(slices)) == forwarded(slices) == {(READY, 8080)}
    assert resolved(slices) == {READY, ENDING}


def test_a_headless_service_has_an_srv_record_for_each_named_port() -> None:
    ports = [{"name": "http", "port": 8080}, {"name": "", "port": 9}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "any"}]
    found = records_for(service(clusterIP="None", clusterIPs=["None"]), [slice_of(endpoint(READY), ports=ports)], "c.local")
    assert {name for name, data in found.items() if any(kind == SRV for kind, _ in data)} == {
        "_http._tcp.web.d.svc.c.local", "_dns._udp.web.d.svc.c.local"}


@pytest.mark.parametrize(("endpoints", "chosen", "is_dropped"), [
    pytest.param([endpoint(READY), endpoint(ENDING, node="there")], [READY], False, id="those of this node"),
    pytest.param([endpoint(READY, ready=False, terminating=True), endpoint(ENDING, node="there")], [READY], False,
                 id="an ending one here before a ready one there"),
    pytest.param([endpoint(READY, node="there")], [], True, id="all of them there"),
    pytest.param([endpoint(READY, node="")], [], True, id="one that nobody says the node of"),
    pytest.param([endpoint(READY, ready=False)], [], False, id="none at all"),
])
def test_a_local_policy_takes_endpoints_of_the_node(endpoints: list[Object], chosen: list[str], is_dropped: bool) -> None:
    [frontend] = rules_for("d/web", service(internalTrafficPolicy="Local"), [slice_of(*endpoints)], SETTINGS).frontends
    assert ([address for address, _ in frontend.endpoints], frontend.is_dropped) == (chosen, is_dropped)


def test_a_slice_belongs_to_the_service_of_its_label_and_namespace() -> None:
    assert service_of(slice_of()) == "d/web"
    assert service_of({"metadata": {"name": "web-1", "namespace": "d"}}) == ""


booleans = st.sampled_from([True, False, None])
endpoints = st.builds(
    endpoint, st.sampled_from([f"10.244.0.{i}" for i in range(6)]), node=st.sampled_from(["here", "there"]),
    ready=booleans, serving=booleans, terminating=booleans)
READERS: dict[str, Callable[[Sequence[Object]], Any]] = {
    "proxy": proxied, "proxy, Local": lambda slices: proxied(slices, internalTrafficPolicy="Local"), "dns": resolved,
    "gateway": routed, "api": forwarded}


@pytest.mark.parametrize("reader", READERS)
@given(found=st.lists(endpoints, max_size=8), cuts=st.lists(st.integers(0, 8), max_size=3), random=st.randoms(use_true_random=False))
def test_order_and_division_into_slices_change_nothing(reader: str, found: list[Object], cuts: list[int], random: Random) -> None:
    shuffled = random.sample(found, len(found))
    ends = [0, *sorted(cuts), len(found)]
    divided = [slice_of(*shuffled[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    random.shuffle(divided)
    assert READERS[reader](divided) == READERS[reader]([slice_of(*found)])


@given(st.lists(endpoints, max_size=8))
def test_nobody_drains_who_is_ready_and_whoever_is_chosen_may_take_traffic(found: list[Object]) -> None:
    taken = takers(behind_port([slice_of(*found)], "http"))
    assert not taken.ready & taken.draining
    assert taken.chosen() == (taken.ready or taken.draining)
    allowed = {(each["addresses"][0], 8080) for each in found
               if each["conditions"]["ready"] is not False or (each["conditions"]["terminating"] and each["conditions"]["serving"] is not False)}
    assert taken.ready | taken.draining == allowed

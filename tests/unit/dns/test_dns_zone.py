"""The cluster's zone says what the specification says, and no datagram breaks the server."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.dns.forward import Forwarder, resolvers
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.server import DnsServer
from wherry.orchestration.dns.wire import (
    AAAA,
    CNAME,
    NOERROR,
    NXDOMAIN,
    PTR,
    SOA,
    SRV,
    TXT,
    A,
    Malformed,
    aged,
    lifetimes,
    name_bytes,
    read_query,
)
from wherry.orchestration.dns.zone import Zone
from wherry.orchestration.objects.meta import Object


def service(name: str = "web", ip: str = "10.96.0.7", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}}


def slice_of(*endpoints: Object) -> Object:
    return {"addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": list(endpoints)}


def zone_of(*services: tuple[Object, list[Object]]) -> Zone:
    zone = Zone("cluster.local", "10.96.0.10", ("10.96.0.0/16",))
    for svc, slices in services:
        zone.replace(f"shop/{svc['metadata']['name']}", records_for(svc, slices, "cluster.local"))
    return zone


HEADLESS = (service("db", "None"), [slice_of({"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": True}},
                                              {"addresses": ["10.244.0.6"], "conditions": {"ready": True}},
                                              {"addresses": ["10.244.0.7"], "conditions": {"ready": False}})])
EXTERNAL = ({"metadata": {"name": "out", "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}}, [])
ZONE = zone_of((service(), []), HEADLESS, EXTERNAL)


@pytest.mark.parametrize(("name", "kind", "data"), [
    pytest.param("web.shop.svc.cluster.local", A, {b"\x0a\x60\x00\x07"}, id="a service has its address"),
    pytest.param("7.0.96.10.in-addr.arpa", PTR, {name_bytes("web.shop.svc.cluster.local")}, id="an address has its service"),
    pytest.param("_http._tcp.web.shop.svc.cluster.local", SRV, {struct.pack("!HHH", 0, 100, 80) + name_bytes("web.shop.svc.cluster.local")}, id="a named port"),
    pytest.param("db.shop.svc.cluster.local", A, {b"\x0a\xf4\x00\x05", b"\x0a\xf4\x00\x06"}, id="headless: ready endpoints only"),
    pytest.param("db-0.db.shop.svc.cluster.local", A, {b"\x0a\xf4\x00\x05"}, id="a pod with a hostname"),
    pytest.param("10-244-0-6.db.shop.svc.cluster.local", A, {b"\x0a\xf4\x00\x06"}, id="a pod without one"),
    pytest.param("5.0.244.10.in-addr.arpa", PTR, {name_bytes("db-0.db.shop.svc.cluster.local")}, id="its address back"),
    pytest.param("out.shop.svc.cluster.local", CNAME, {name_bytes("web.shop.svc.cluster.local")}, id="an external name"),
    pytest.param("10-1-2-3.shop.pod.cluster.local", A, {b"\x0a\x01\x02\x03"}, id="a pod by its address"),
    pytest.param("dns-version.cluster.local", TXT, {b"\x051.1.0"}, id="the schema version"),
])
def test_the_zone_answers_by_the_specification(name: str, kind: int, data: set[bytes]) -> None:
    assert ZONE.is_ours(name)
    assert {r.data for r in ZONE.find(name, kind).answers if r.kind == kind} == data


@pytest.mark.parametrize(("name", "kind", "code"), [
    pytest.param("web.shop.svc.cluster.local", AAAA, NOERROR, id="no such record of an existing name"),
    pytest.param("shop.svc.cluster.local", A, NOERROR, id="a name above existing names"),
    pytest.param("nothing.shop.svc.cluster.local", A, NXDOMAIN, id="an unknown service"),
    pytest.param("example.com.shop.svc.cluster.local", A, NXDOMAIN, id="a search path on an outside name"),
    pytest.param("1.2.96.10.in-addr.arpa", PTR, NXDOMAIN, id="a free service address"),
])
def test_a_negative_answer_carries_the_soa(name: str, kind: int, code: int) -> None:
    found = ZONE.find(name, kind)
    assert (found.code, found.answers, [r.kind for r in found.authority]) == (code, (), [SOA])


def test_a_cname_inside_is_followed_and_srv_brings_addresses() -> None:
    assert [r.kind for r in ZONE.find("out.shop.svc.cluster.local", A).answers] == [CNAME, A]
    assert [r.data for r in ZONE.find("_http._tcp.web.shop.svc.cluster.local", SRV).additional] == [b"\x0a\x60\x00\x07"]


def test_a_removed_service_leaves_no_name() -> None:
    zone = zone_of((service(), []))
    assert zone.replace("shop/web", {}) and not zone.replace("shop/web", {})
    assert zone.find("web.shop.svc.cluster.local", A).code == NXDOMAIN
    assert zone.find("shop.svc.cluster.local", A).code == NXDOMAIN


def query(name: str, kind: int = A, *, edns: bool = False) -> bytes:
    head = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, int(edns))
    return head + name_bytes(name) + struct.pack("!HH", kind, 1) + (b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0) if edns else b"")


def server(zone: Zone = ZONE) -> DnsServer:
    return DnsServer((), zone, Forwarder(()))


def test_the_question_comes_back_in_the_clients_own_spelling() -> None:
    message = query("wEb.ShoP.svc.Cluster.LOCAL")
    answer = server().answer_now(message)
    assert isinstance(answer, bytes) and answer[:2] == b"\x12\x34" and answer[12 : len(message)] == message[12:]


def test_answers_with_several_addresses_take_turns() -> None:
    made = server()
    assert len({made.answer_now(query("db.shop.svc.cluster.local")) for _ in range(4)}) == 2


def test_an_outside_name_is_handed_on() -> None:
    asked = server().answer_now(query("example.com"))
    assert not isinstance(asked, bytes) and asked is not None and asked.name == "example.com"


async def test_without_resolvers_an_outside_name_fails_at_once() -> None:
    made = server()
    message = query("example.com")
    answer = await made.answer_later(read_query(message), message)
    assert answer[3] & 15 == 2


def test_our_own_address_is_no_resolver_for_us() -> None:
    assert resolvers("nameserver 10.96.0.10\nnameserver 192.0.2.1 # x\nnameserver ::1\noptions x", frozenset({"10.96.0.10"})) == ("192.0.2.1",)


@given(st.binary(max_size=600))
def test_no_datagram_raises(data: bytes) -> None:
    answer = server().answer_now(data)
    assert answer is None or answer


@given(st.binary(min_size=12, max_size=300))
def test_a_foreign_answer_is_walked_or_refused(data: bytes) -> None:
    try:
        found = lifetimes(data)
    except Malformed:
        return
    assert len(aged(data, found.offsets, 5)) == len(data)


@given(st.text(alphabet="abcXYZ-09", min_size=1, max_size=20), st.booleans())
def test_a_query_written_is_read_back(label: str, edns: bool) -> None:
    read = read_query(query(f"{label}.svc.cluster.local", edns=edns))
    assert read.name == f"{label}.svc.cluster.local".lower() and read.has_edns == edns

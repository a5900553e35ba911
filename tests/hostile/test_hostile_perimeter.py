"""A tenant, or a pod bound past the API server, asks for what is the cluster's: its ports, its addresses."""

import asyncio
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from wherry.assembly.node import NodeSettings
from wherry.assembly.perimeter import reserved
from wherry.infrastructure.linux import namespaces
from wherry.infrastructure.network import nft
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.sandbox_network import PortTaken, SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.kit.reserved import Reserved, ReservedAddress, port_rows
from wherry.orchestration.agent.plan.admission import admit
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.proxy.ruleset import Ruleset
from wherry.orchestration.proxy.service_table import rules_for
from wherry.orchestration.proxy.settings import ProxySettings
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.api import TestApi, api_server
from wherry.testing.ranges import some_subnet

CLUSTER = NodeSettings(Path("/var/lib/wherry"), node_name="n", node_address="192.0.2.2")
LIST = reserved(CLUSTER)
PORTS = (6443, 10250, 5050, 22, 53, 80, 443)
DNS, FIRST, LAST = "10.96.0.10", "10.96.0.0", "10.96.255.255"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server(settings=ApiServerSettings(reserved=LIST)) as running:
        yield running


@pytest.fixture
async def lenient_api() -> AsyncIterator[TestApi]:
    async with api_server(settings=ApiServerSettings(reserved=LIST, allows_external_ips=True)) as running:
        yield running


def pod(port: int, **more: Any) -> dict[str, Any]:
    ports = [{"containerPort": 80, "hostPort": port, "protocol": "TCP", **more}]
    return {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]}}


async def service(api: TestApi, **spec: Any) -> tuple[int, dict[str, Any], list[str]]:
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 53, "protocol": "UDP"}], **spec}}
    answer = await api.raw("POST", SERVICES, body)
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body), [value for name, value in answer.headers if name == "warning"]


@pytest.mark.parametrize("port", PORTS)
async def test_a_host_port_of_the_cluster_is_refused_by_the_api_server(api: TestApi, port: int) -> None:
    status, body = await api.call("POST", "/api/v1/namespaces/default/pods", pod(port))
    assert (status, body["details"]["causes"][0]["field"]) == (422, "spec.containers[0].ports[0].hostPort")


async def test_a_host_port_on_the_dns_address_is_refused(api: TestApi) -> None:
    status, body = await api.call("POST", "/api/v1/namespaces/default/pods", pod(5300, hostIP=DNS))
    assert (status, body["details"]["causes"][0]["field"]) == (422, "spec.containers[0].ports[0].hostIP")


@pytest.mark.parametrize("port", [80, 54321])
async def test_a_host_port_that_is_nobodys_or_of_a_hostnetwork_pod_is_accepted(api: TestApi, port: int) -> None:
    body = pod(port)
    body["spec"]["hostNetwork"] = port == 80
    body["spec"]["containers"][0]["ports"][0]["containerPort"] = port
    assert (await api.call("POST", "/api/v1/namespaces/default/pods", body))[0] == 201


@pytest.mark.parametrize("port", PORTS)
def test_a_pod_bound_past_the_api_server_is_rejected_by_the_agent(port: int) -> None:
    rejection = admit(pod(port), node={"metadata": {"name": "n"}}, others=(), allocatable={}, reserved=LIST)
    assert rejection is not None and rejection.reason == "NodePorts" and "reserved" in rejection.message


@pytest.mark.parametrize("address", [DNS, FIRST, LAST, "10.96.0.1", "10.96.0.11"])
async def test_a_cluster_ip_that_is_reserved_is_refused(api: TestApi, address: str) -> None:
    assert (await service(api, clusterIP=address))[0] == 422


async def test_an_external_ip_is_refused_by_default_and_its_deprecation_is_said(api: TestApi) -> None:
    status, body, warnings = await service(api, externalIPs=["203.0.113.7"])
    assert (status, "Use of external IPs is denied by admission control" in body["message"]) == (403, True)
    assert warnings == ['299 - "spec.externalIPs is deprecated"']


@pytest.mark.parametrize("address", [DNS, "192.0.2.2", "10.96.3.4", "10.244.0.9", "224.0.0.9", LAST])
async def test_even_where_external_ips_are_allowed_those_of_the_cluster_are_not(lenient_api: TestApi, address: str) -> None:
    assert (await service(lenient_api, externalIPs=[address]))[0] in (403, 422)


async def test_an_external_ip_is_accepted_where_the_operator_allows_it_and_kept_where_no_longer() -> None:
    store, merge = MemoryStore(), {"content_type": "application/merge-patch+json"}
    async with api_server(store=store, settings=ApiServerSettings(reserved=LIST, allows_external_ips=True)) as api:
        assert (await service(api, externalIPs=["203.0.113.7"]))[0] == 201
    async with api_server(store=store, settings=ApiServerSettings(reserved=LIST), default_account=False) as api:
        label, more = {"metadata": {"labels": {"a": "b"}}}, {"spec": {"externalIPs": ["203.0.113.7", "203.0.113.8"]}}
        assert (await api.call("PATCH", f"{SERVICES}/s", label, **merge))[0] == 200  # type: ignore[arg-type]
        assert (await api.call("PATCH", f"{SERVICES}/s", more, **merge))[0] == 403  # type: ignore[arg-type]


async def test_a_node_port_of_the_cluster_is_neither_taken_nor_given_out() -> None:
    ports = Reserved(port_rows("the API server", range(30000, 30002)))
    async with api_server(settings=ApiServerSettings(reserved=ports, node_ports=(30000, 30002))) as api:
        body = {"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]}}
        assert (await api.call("POST", SERVICES, body))[0] == 422
        del body["spec"]["ports"][0]["nodePort"]  # type: ignore[index]
        _, made = await api.call("POST", SERVICES, body)
        assert made["spec"]["ports"][0]["nodePort"] == 30002


def proxy(table: str = "wherry-t-svc") -> ProxySettings:
    return ProxySettings(table, "n", ("192.0.2.2",), "10.96.0.0/16", ("10.244.0.0/24",), "wt", LIST)


SLICE = {"addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
         "endpoints": [{"addresses": ["10.244.0.5"], "conditions": {"ready": True}}]}


@pytest.mark.parametrize(("spec", "ingress"), [
    pytest.param({"clusterIP": DNS}, [], id="a cluster address that is the DNS server's"),
    pytest.param({"clusterIP": "10.96.0.77", "externalIPs": [DNS]}, [], id="an external address that is"),
    pytest.param({"clusterIP": "10.96.0.77", "externalIPs": ["10.244.0.9"]}, [], id="an external address that is a pod's"),
    pytest.param({"clusterIP": "10.96.0.77", "type": "LoadBalancer"}, [DNS], id="a balancer address that is"),
    pytest.param({"clusterIP": "10.96.0.77", "type": "LoadBalancer"}, ["192.0.2.2"], id="the gateway's port by a balancer"),
])
def test_what_is_stored_from_earlier_leads_nowhere(spec: dict[str, Any], ingress: list[str]) -> None:
    stored = {"spec": {"ports": [{"port": 80, "protocol": "TCP"}], **spec},
              "status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}}}
    found = rules_for("t/s", stored, [SLICE], proxy())
    assert {key[0] for key in (f.key for f in found.frontends)} | set(found.own_addresses) <= {"10.96.0.77"}


def test_the_gateways_own_service_has_its_ports() -> None:
    stored = {"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.77", "ports": [{"port": 80, "protocol": "TCP"}]},
              "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}}
    found = rules_for("wherry-system/wherry-gateway", stored, [SLICE], proxy())
    assert ("192.0.2.2", "tcp", 80) in {f.key for f in found.frontends}


@pytest.fixture
def tag() -> Iterator[str]:
    """A cluster id whose nft tables are gone afterwards."""
    name = f"h{random.randrange(16**6):06x}"
    yield name
    for table in (f"wherry-{name}-net", f"wherry-{name}-svc"):
        subprocess.run(["nft", "delete", "table", "ip", table], capture_output=True)


def network(tag: str, folder: Path) -> NetworkSettings:
    held = Reserved(port_rows("the API server", [6443]), (ReservedAddress(IPv4Address("10.96.0.10"), "cluster DNS"),))
    return NetworkSettings(tag, folder / "addresses.json", addresses=some_subnet(), reserved=held)


@pytest.mark.node
async def test_a_sandbox_gets_no_reserved_port_whoever_asks(tag: str, tmp_path: Path) -> None:
    door, path = SandboxNetwork(network(tag, tmp_path)), str(tmp_path / "net")
    namespaces.create({"net": path})
    try:
        await door.restore(())
        with pytest.raises(PortTaken, match="reserved for the API server"):
            await door.attach("a", path, [PortForward("tcp", 80, 6443)])
        with pytest.raises(PortTaken, match="reserved for cluster DNS"):
            await door.attach("a", path, [PortForward("udp", 53, 5353, "10.96.0.10")])
    finally:
        await door.teardown()
        namespaces.drop(path)


@pytest.mark.node
async def test_after_a_restart_both_tables_are_what_they_should_be_whatever_was_done_to_them(tag: str, tmp_path: Path) -> None:
    settings, path = network(tag, tmp_path), str(tmp_path / "net")
    door, rules = SandboxNetwork(settings), Ruleset(proxy(f"wherry-{tag}-svc"))
    namespaces.create({"net": path})
    try:
        await door.restore(())
        await door.attach("a", path, [PortForward("tcp", 80, 54321)])
        await nft.load(rules.full())
        clean = [await nft.list_table(settings.table), await nft.list_table(f"wherry-{tag}-svc")]
        journal = settings.journal.with_name(settings.journal.name + ".ports")
        ports = json.loads(journal.read_text())
        ports["a"].append({"protocol": "tcp", "container_port": 80, "host_port": 6443, "host_ip": ""})
        journal.write_text(json.dumps(ports))
        await nft.load(
            f"add element ip {settings.table} any_ports {{ tcp . 6443 : 192.0.2.9 . 80 }}\n"
            f"flush chain ip {settings.table} ports\nadd rule ip {settings.table} ports dnat to 192.0.2.9\n"
            f"flush chain ip wherry-{tag}-svc output\nadd rule ip wherry-{tag}-svc output tcp dport 6443 dnat to 192.0.2.9\n"
            f"add chain ip wherry-{tag}-svc extra {{ type nat hook output priority -101; }}\n"
        )
        again = SandboxNetwork(settings)
        await again.restore(("a",))
        await nft.load(Ruleset(proxy(f"wherry-{tag}-svc")).full())
        assert [await nft.list_table(settings.table), await nft.list_table(f"wherry-{tag}-svc")] == clean
    finally:
        await door.teardown()
        await asyncio.to_thread(namespaces.drop, path)


@pytest.mark.node
async def test_an_element_that_redirects_a_reserved_port_is_past_by_the_rules_before_it(tag: str, tmp_path: Path) -> None:
    """The second line: even with the port in the map, a connection to it reaches who listens there."""
    settings = network(tag, tmp_path)
    door = SandboxNetwork(settings)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    held = Reserved(port_rows("the API server", [port]))
    table = NetworkSettings(tag, settings.journal, addresses=settings.addresses, reserved=held)
    door = SandboxNetwork(table)
    try:
        await door.restore(())
        await nft.load(f"add element ip {table.table} any_ports {{ tcp . {port} : 192.0.2.9 . 80 }}")
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
        writer.close()
    finally:
        server.close()
        await door.teardown()

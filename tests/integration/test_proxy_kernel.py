"""The rules in a real kernel: namespaces of the test's own, real TCP and UDP between them, removed at the end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from wherry.orchestration.proxy.ruleset import NO_NUMBER, Ruleset, mark_base
from wherry.orchestration.proxy.service_table import Frontend, ServiceRules
from wherry.orchestration.proxy.settings import ProxySettings

pytestmark = pytest.mark.node

NAME = f"wpx{os.getpid() % 10000}"
PODS = {"a": "10.244.9.2", "b": "10.244.9.3"}
CLIENT, NODE = "172.31.9.2", "172.31.9.1"
VIP = "10.96.0.7"
SETTINGS = ProxySettings(
    table=f"wherry-{NAME}-svc", node_name="n", node_addresses=(NODE,), service_cidr="10.96.0.0/16", pod_cidrs=("10.244.0.0/16",),
    link_prefix=f"{NAME}v",
)
# Answers each TCP connection and UDP datagram with its name and the client's address as it sees it.
SERVER = """
import socket, sys, threading
name = sys.argv[1].encode()
tcp = socket.create_server(("0.0.0.0", 8080))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", 8080))
def datagrams():
    while True:
        data, peer = udp.recvfrom(100); udp.sendto(name + b" " + peer[0].encode(), peer)
threading.Thread(target=datagrams, daemon=True).start()
print("up", flush=True)
while True:
    connection, peer = tcp.accept(); connection.sendall(name + b" " + peer[0].encode()); connection.close()
"""
TCP = "import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2])),3); print(s.recv(100).decode())"
UDP = ("import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(3); "
       "s.sendto(b'x',(sys.argv[1],int(sys.argv[2]))); print(s.recv(100).decode())")


def sh(text: str) -> None:
    subprocess.run(text, shell=True, check=True, capture_output=True)


@pytest.fixture(scope="module")
def world() -> Iterator[str]:
    """A node namespace that routes, two pod namespaces with a server each, a client namespace outside."""
    node = f"{NAME}-n"
    spaces = [node, f"{NAME}-c", *(f"{NAME}-{p}" for p in PODS)]
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for space in spaces:
            sh(f"ip netns add {space} && ip -n {space} link set lo up")
        sh(f"ip netns exec {node} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0")
        sh(f"ip -n {node} link add {NAME}x type veth peer name eth0 netns {NAME}-c && ip -n {node} addr add {NODE}/24 dev {NAME}x"
           f" && ip -n {node} link set {NAME}x up && ip -n {NAME}-c addr add {CLIENT}/24 dev eth0 && ip -n {NAME}-c link set eth0 up"
           f" && ip -n {NAME}-c route add default via {NODE} && ip -n {node} route add default via {CLIENT}")
        for pod, address in PODS.items():
            link, space = f"{NAME}v{pod}", f"{NAME}-{pod}"
            sh(f"ip -n {node} link add {link} type veth peer name eth0 netns {space} && ip -n {node} link set {link} up"
               f" && ip netns exec {node} sysctl -qw net.ipv4.conf.{link}.proxy_arp=1 && ip -n {node} route add {address}/32 dev {link}"
               f" && ip -n {space} addr add {address}/32 dev eth0 && ip -n {space} link set eth0 up"
               f" && ip -n {space} route add 169.254.1.1 dev eth0 scope link && ip -n {space} route add default via 169.254.1.1")
            server = subprocess.Popen(["ip", "netns", "exec", space, sys.executable, "-c", SERVER, pod], stdout=subprocess.PIPE)
            servers.append(server)
            assert server.stdout and server.stdout.readline() == b"up\n"
        yield node
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def load(node: str, text: str) -> None:
    done = subprocess.run(["ip", "netns", "exec", node, "nft", "-f", "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def ask(space: str, program: str, address: str, port: int) -> str:
    done = subprocess.run(["ip", "netns", "exec", space, sys.executable, "-c", program, address, str(port)], text=True, capture_output=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def both(key: tuple[str, str, int], **more: object) -> Frontend:
    return Frontend(key, tuple((a, 8080) for a in PODS.values()), **more)  # type: ignore[arg-type]


@pytest.fixture
def ruleset(world: str) -> Ruleset:
    made = Ruleset(SETTINGS)
    made.replace(ServiceRules("d/web", (both((VIP, "tcp", 80)), both((VIP, "udp", 80)), both((NODE, "tcp", 30080))), (VIP,)))
    load(world, made.full())
    return made


@pytest.mark.parametrize(("program", "where"), [
    pytest.param(TCP, "b", id="tcp from a pod"), pytest.param(UDP, "b", id="udp from a pod"),
    pytest.param(TCP, "n", id="tcp from the node"), pytest.param(UDP, "n", id="udp from the node"),
    pytest.param(TCP, "c", id="tcp from outside"),
])
def test_a_service_spreads_over_its_endpoints(world: str, ruleset: Ruleset, program: str, where: str) -> None:
    names = {ask(f"{NAME}-{where}", program, VIP, 80).split()[0] for _ in range(24)}
    assert names == {"a", "b"}


def test_a_pod_reaches_itself_through_its_own_service(world: str, ruleset: Ruleset) -> None:
    change = ruleset.replace(ServiceRules("d/web", (Frontend((VIP, "tcp", 80), ((PODS["a"], 8080),)),), (VIP,)))
    load(world, change)
    assert ask(f"{NAME}-a", TCP, VIP, 80).split()[0] == "a"


def test_a_node_port_answers_from_outside_with_the_clients_own_address(world: str, ruleset: Ruleset) -> None:
    assert ask(f"{NAME}-c", TCP, NODE, 30080).split()[1] == CLIENT


@pytest.mark.parametrize("where", ["b", "n", "c"])
def test_a_service_without_endpoints_and_an_undefined_port_are_refused_at_once(world: str, ruleset: Ruleset, where: str) -> None:
    assert "refused" in ask(f"{NAME}-{where}", TCP, VIP, 81)
    load(world, ruleset.replace(ServiceRules("d/web", (Frontend((VIP, "tcp", 80), ()),), (VIP,))))
    assert "refused" in ask(f"{NAME}-{where}", TCP, VIP, 80)


def test_affinity_sticks_and_moves_on_when_the_endpoint_goes(world: str, ruleset: Ruleset) -> None:
    load(world, ruleset.replace(ServiceRules("d/web", (both((VIP, "tcp", 80), affinity_s=10800),), (VIP,))))
    first = {ask(f"{NAME}-c", TCP, VIP, 80).split()[0] for _ in range(10)}
    assert len(first) == 1
    other = ({"a", "b"} - first).pop()
    load(world, ruleset.replace(ServiceRules("d/web", (Frontend((VIP, "tcp", 80), ((PODS[other], 8080),), 10800),), (VIP,))))
    assert {ask(f"{NAME}-c", TCP, VIP, 80).split()[0] for _ in range(4)} == {other}


def test_source_ranges_keep_others_out(world: str, ruleset: Ruleset) -> None:
    load(world, ruleset.replace(ServiceRules("d/web", (both((NODE, "tcp", 30080), ranges=("172.31.9.2/32",)),), ())))
    assert ask(f"{NAME}-c", TCP, NODE, 30080).split()[0] in PODS
    load(world, ruleset.replace(ServiceRules("d/web", (both((NODE, "tcp", 30080), ranges=("198.51.100.0/24",)),), ())))
    assert "timed out" in ask(f"{NAME}-c", TCP, NODE, 30080)


def test_ten_thousand_services_load_in_one_transaction(world: str) -> None:
    made = Ruleset(SETTINGS)
    for number in range(10_000):
        ip = f"10.96.{number // 250}.{number % 250 + 1}"
        made.replace(ServiceRules(f"d/s{number}", (Frontend((ip, "tcp", 80), ((PODS["a"], 8080), (PODS["b"], 8080))),), (ip,)))
    load(world, made.full())
    assert ask(f"{NAME}-c", TCP, "10.96.39.250", 80).split()[0] in PODS


DOCKERS = f"""table ip {NAME}-docker {{
  chain prerouting {{
    type nat hook prerouting priority -110;
    ip daddr {NODE} tcp dport 9999 dnat to {PODS['a']}:8080
  }}
}}
"""


@pytest.mark.parametrize("port", [pytest.param(30080, id="another cluster's"), pytest.param(9999, id="Docker's")])
def test_a_translation_that_is_not_this_clusters_keeps_its_clients_address(world: str, ruleset: Ruleset, port: int) -> None:
    other = replace(SETTINGS, table=f"{NAME}-other", pod_cidrs=("10.99.0.0/16",), service_cidr="10.98.0.0/16", link_prefix="other")
    load(world, Ruleset(other).full() + DOCKERS)
    try:
        assert ask(f"{NAME}-c", TCP, NODE, port).split()[1] == CLIENT
    finally:
        load(world, f"delete table ip {NAME}-other\ndelete table ip {NAME}-docker\n")


def test_a_mark_of_ours_means_nothing_to_a_kubelets_chains() -> None:
    assert NO_NUMBER < 0x4000 and mark_base(SETTINGS.table) & 0xFFFF == 0
    assert mark_base("wherry-a-svc") != mark_base("wherry-b-svc")


def test_nothing_runs_in_the_machines_own_namespace() -> None:
    listed = asyncio.run(_tables())
    assert SETTINGS.table not in listed


async def _tables() -> str:
    process = await asyncio.create_subprocess_exec("nft", "list", "tables", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()

"""Beside firewalls that drop (Docker, ufw, firewalld, a kubelet) ours gets through, theirs stays as it was, nothing of ours stays.

The firewalls are their rules, in a network namespace that stands for the machine; the machine's own tables are not touched.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.infrastructure.linux import namespaces
from wherry.infrastructure.network import foreign_filters, nft
from wherry.infrastructure.network.settings import NetworkSettings

pytestmark = pytest.mark.node

DOCKER = """
table ip filter {
  chain DOCKER-USER { ip daddr 203.0.113.9 drop; }
  chain DOCKER-FORWARD { oifname "docker0" ct state established,related accept; iifname "docker0" oifname != "docker0" accept; }
  chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; jump DOCKER-FORWARD; }
}
"""
UFW = """
table ip filter {
  chain ufw-before-input { iifname "lo" accept; ct state established,related accept; ct state invalid drop; }
  chain ufw-user-input { tcp dport 22 accept; }
  chain ufw-before-forward { ct state established,related accept; }
  chain INPUT { type filter hook input priority filter; policy drop; jump ufw-before-input; jump ufw-user-input; }
  chain FORWARD { type filter hook forward priority filter; policy drop; jump ufw-before-forward; }
}
"""
FIREWALLD = """
table inet firewalld {
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept
    ct state established,related accept
    iifname "lo" accept
    ct state invalid drop
    reject with icmpx type admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept
    ct state established,related accept
    ct status dnat accept
    reject with icmpx type admin-prohibited
  }
}
"""
KUBELET = """
table ip filter {
  chain KUBE-FIREWALL {
    meta mark & 0x8000 == 0x8000 counter drop comment "kubernetes firewall for dropping marked packets"
    ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct state != { established, related } ct status & dnat != dnat counter drop
  }
  chain KUBE-FORWARD { ct state invalid counter drop; meta mark & 0x4000 == 0x4000 accept; ct state established,related accept; }
  chain KUBE-KUBELET-CANARY { }
  chain INPUT { type filter hook input priority filter; policy accept; jump KUBE-FIREWALL; }
  chain OUTPUT { type filter hook output priority filter; policy accept; jump KUBE-FIREWALL; }
  chain FORWARD { type filter hook forward priority filter; policy accept; jump KUBE-FORWARD; }
}
table ip nat {
  chain KUBE-MARK-MASQ { meta mark set meta mark | 0x4000; }
  chain KUBE-POSTROUTING { meta mark & 0x4000 != 0x4000 counter return; meta mark set meta mark ^ 0x4000; counter masquerade; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; jump KUBE-POSTROUTING; }
}
"""
FIREWALLS = [
    pytest.param(DOCKER, id="Docker"), pytest.param(UFW, id="ufw"), pytest.param(FIREWALLD, id="firewalld"),
    pytest.param(KUBELET, id="a kubelet"), pytest.param(DOCKER + FIREWALLD, id="two of them"),
]  # fmt: skip
# A machine with two sandboxes and the port 30080 that leads to one; who reaches whom is printed as JSON.
SCRIPT = """
import asyncio, json, socket, sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from wherry.infrastructure.linux import namespaces
from wherry.infrastructure.network import foreign_filters
from wherry.infrastructure.network.node_link import NodeLink
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings

folder, outside, opens = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "open"
DNS = "10.96.0.10"
settings = NetworkSettings("ff", folder / "addresses.json", addresses=IPv4Network("10.244.7.0/24"))

def listening(path, address="0.0.0.0", port=8080):
    make = lambda: socket.create_server((address, port))
    return namespaces.inside_network(path, make) if path else make()

def reaches(path, address, port=8080):
    door = namespaces.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM) if path else socket.socket()
    with door:
        door.settimeout(1.5)
        try:
            door.connect((address, port))
        except OSError:
            return False
        return True

async def nothing(settings):
    pass

async def main():
    paths = {name: str(folder / name) for name in ("a", "b")}
    for path in paths.values():
        namespaces.create({"net": path})
    network, link = SandboxNetwork(settings), NodeLink(settings)
    if not opens:
        foreign_filters.open_for = nothing
    try:
        await network.restore(())
        await link.ensure([IPv4Address(DNS)])
        a = str(await network.attach("a", paths["a"], (PortForward("tcp", 8080, 30080),)))
        b = str(await network.attach("b", paths["b"]))
        with listening(paths["a"]), listening(paths["b"]), listening(outside), listening("", DNS, 53), listening("", port=2222):
            print(json.dumps({
                "pod to pod": reaches(paths["a"], b), "pod to the outside": reaches(paths["a"], "172.31.5.2"),
                "outside to a port of the machine": reaches(outside, "172.31.5.1", 30080),
                "the machine to its own port": reaches("", "127.0.0.1", 30080),
                "pod to cluster DNS": reaches(paths["a"], DNS, 53), "the machine to a pod": reaches("", a),
                "pod to the machine's ssh": reaches(paths["a"], "172.31.5.1", 2222),
                "pod to what a rule forbids": reaches(paths["a"], "203.0.113.9"),
            }))
    finally:
        await network.teardown()
        await link.remove()
        for path in paths.values():
            namespaces.drop(path)

asyncio.run(main())
"""
SETTINGS = NetworkSettings("ff", Path("/nowhere"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    """Namespaces `net`, with an uplink, and `outside`, which is what the uplink leads to."""
    made = {name: str(tmp_path / name) for name in ("net", "outside")}
    try:
        for path in made.values():
            namespaces.create({"net": path})
        with open(made["outside"]) as outside:
            inside(made["net"], "ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns",
                   f"/proc/self/fd/{outside.fileno()}", passes=(outside.fileno(),))  # fmt: skip
        for words in ("link set lo up", "addr add 172.31.5.1/24 dev up0", "link set up0 up", "route add default via 172.31.5.2"):
            inside(made["net"], "ip", *words.split())
        for words in ("link set lo up", "addr add 172.31.5.2/24 dev eth0", "addr add 203.0.113.9/32 dev lo", "link set eth0 up"):
            inside(made["outside"], "ip", *words.split())
        yield tmp_path
    finally:
        for path in made.values():
            namespaces.drop(path)


def inside(path: str | Path, *argv: str, stdin: str = "", passes: tuple[int, ...] = ()) -> str:
    done = subprocess.run(
        ["nsenter", f"--net={path}", *argv], input=stdin, capture_output=True, text=True, timeout=120, pass_fds=passes
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rules(machine: Path) -> str:
    """Everything that is loaded, without counts."""
    return re.sub(r"packets \d+ bytes \d+", "", inside(machine / "net", "nft", "list", "ruleset"))


def reached(machine: Path, firewall: str, how: str) -> dict[str, bool]:
    inside(machine / "net", "nft", "-f", "-", stdin=firewall)
    before = rules(machine)
    folder = machine / "work"
    folder.mkdir()
    printed = inside(machine / "net", sys.executable, "-c", SCRIPT, str(folder), str(machine / "outside"), how)
    assert rules(machine) == before, "their rules are untouched and nothing of ours stays"
    return dict(json.loads(printed))


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_what_a_cluster_needs_passes_and_what_was_forbidden_stays_forbidden(machine: Path, firewall: str) -> None:
    found = reached(machine, firewall, "open")
    assert found.pop("pod to the machine's ssh") is (firewall in (DOCKER, KUBELET)), "they do not guard the machine itself"
    assert found.pop("pod to what a rule forbids") is (DOCKER not in firewall)
    assert all(found.values()), found


@pytest.mark.parametrize("firewall", [DOCKER, UFW, FIREWALLD], ids=["Docker", "ufw", "firewalld"])
def test_without_our_rules_these_firewalls_do_drop(machine: Path, firewall: str) -> None:
    """That the test above can fail."""
    assert not reached(machine, firewall, "closed")["pod to the outside"]


async def _open_twice_then_after_a_reload() -> list[str]:
    await nft.load(DOCKER)
    for _ in range(2):
        await foreign_filters.open_for(SETTINGS)
    opened = await nft.list_chain("filter", "FORWARD")
    await nft.delete_table("filter")
    await nft.load(DOCKER)
    keeping = asyncio.create_task(foreign_filters.keep_open_for(SETTINGS))
    async with asyncio.timeout(30):
        while SETTINGS.table not in (again := await nft.list_chain("filter", "FORWARD")):
            await asyncio.sleep(0.02)
    keeping.cancel()
    return [opened, again]


def test_rules_come_once_and_come_again_after_the_firewall_was_loaded_anew(machine: Path) -> None:
    opened, again = namespaces.inside_network(str(machine / "net"), lambda: asyncio.run(_open_twice_then_after_a_reload()))
    assert opened.count(SETTINGS.table) == 2 and again.count(SETTINGS.table) == 2


async def _dropping_rules() -> list[str]:
    await nft.load(DOCKER + FIREWALLD)
    return [rule for chain in await foreign_filters.base_chains("forward") for rule in await foreign_filters.dropping_rules(chain)]


def test_what_drops_is_found_through_the_chains_that_lead_to_it(machine: Path) -> None:
    found = namespaces.inside_network(str(machine / "net"), lambda: asyncio.run(_dropping_rules()))
    assert [rule.partition(" with")[0] for rule in found] == [
        "ip filter DOCKER-USER: ip daddr 203.0.113.9 drop", "inet firewalld filter_FORWARD: reject",
    ]  # fmt: skip

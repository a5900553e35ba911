"""Sandboxes on the network, in real namespaces: links, addresses, restore and teardown; nothing of containers."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import pytest_asyncio

from wherry.infrastructure.linux import namespaces, netlink
from wherry.infrastructure.network import nft, ruleset
from wherry.infrastructure.network.address_pool import AddressesExhausted
from wherry.infrastructure.network.node_link import NodeLink
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.sandbox_network import PortTaken, SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.testing.ranges import some_subnet

pytestmark = pytest.mark.node


class Bench:
    """A network and namespaces for it."""

    def __init__(self, folder: Path, prefix: int = 24) -> None:
        self.tag = f"n{random.randrange(16**6):06x}"
        self.folder = folder
        network = some_subnet(prefix)
        self.settings = NetworkSettings(self.tag, folder / "addresses.json", addresses=network)
        self.network = SandboxNetwork(self.settings)
        self.held: list[str] = []

    def namespace(self, name: str) -> str:
        path = str(self.folder / f"net-{name}")
        namespaces.create({"net": path})
        self.held.append(path)
        return path

    async def close(self) -> None:
        await self.network.teardown()
        for path in self.held:
            namespaces.drop(path)
        with netlink.open_socket() as door:
            left = [link.name for link in netlink.links(door) if link.name.startswith(self.settings.link_prefix)]
        assert left == []
        assert await nft.list_table(self.settings.table) == ""
        assert list(self.folder.iterdir()) == []


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    try:
        await made.network.restore(())
        yield made
    finally:
        await made.close()


def inside(path: str, *argv: str) -> str:
    found = subprocess.run(["nsenter", f"--net={path}", *argv], capture_output=True, text=True, check=False)
    return found.stdout + found.stderr


async def test_two_sandboxes_and_the_machine_reach_each_other(bench: Bench) -> None:
    paths = {name: bench.namespace(name) for name in ("a", "b")}
    addresses = {name: await bench.network.attach(name, path) for name, path in paths.items()}
    for target in (str(addresses["b"]), subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()[0]):
        assert "0% packet loss" in await asyncio.to_thread(inside, paths["a"], "busybox", "ping", "-c1", "-W2", target)
    assert "0% packet loss" in await asyncio.to_thread(
        lambda: subprocess.run(["busybox", "ping", "-c1", "-W2", str(addresses["a"])], capture_output=True, text=True).stdout
    )


async def test_the_sandbox_has_one_address_one_way_out_and_no_ipv6_on_the_link(bench: Bench) -> None:
    path = bench.namespace("a")
    address = await bench.network.attach("a", path)
    with namespaces.inside_network(path, netlink.open_socket) as door:
        index = netlink.link_index(door, "eth0")
        assert index is not None and netlink.addresses(door, index) == [address]
        routes = {str(route.destination): str(route.gateway) for route in netlink.routes(door)}
        assert routes == {"0.0.0.0/0": "169.254.1.1", "169.254.1.1/32": "None"}
        assert {link.name for link in netlink.links(door) if link.is_up} == {"lo", "eth0"}


async def test_a_forged_source_address_is_dropped(bench: Bench) -> None:
    """Strict reverse path filtering at the veth: only the sandbox's own address comes through."""
    name = bench.network.link_name("a")
    await bench.network.attach("a", bench.namespace("a"))
    assert Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").read_text().strip() == "1"


async def test_attach_and_detach_are_idempotent_and_addresses_rest_before_reuse(bench: Bench) -> None:
    path = bench.namespace("a")
    first = await bench.network.attach("a", path)
    assert await bench.network.attach("a", path) == first
    await bench.network.detach("a")
    await bench.network.detach("a")
    assert bench.network.address("a") is None
    assert await bench.network.attach("b", bench.namespace("b")) != first


async def test_a_namespace_that_is_not_there_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(OSError):
        await bench.network.attach("a", str(bench.folder / "no-such"))
    assert bench.network.address("a") is None


async def test_restore_keeps_the_living_and_drops_the_rest(bench: Bench) -> None:
    paths = {name: bench.namespace(name) for name in ("live", "dead")}
    ports = (PortForward("tcp", 80, 23_456, ""),)
    address = await bench.network.attach("live", paths["live"], ports)
    await bench.network.attach("dead", paths["dead"], (PortForward("tcp", 80, 23_457),))
    await nft.delete_table(bench.settings.table)
    again = SandboxNetwork(bench.settings)
    await again.restore(["live"])
    assert again.address("live") == address and again.address("dead") is None
    table = await nft.list_table(bench.settings.table)
    assert f"tcp . 23456 : {address} . 80" in table and "23457" not in table
    with netlink.open_socket() as door:
        names = [link.name for link in netlink.links(door)]
    assert again.link_name("live") in names and again.link_name("dead") not in names
    with pytest.raises(PortTaken):
        await again.attach("other", bench.namespace("other"), ports)
    await again.detach("live")
    assert "23456" not in await nft.list_table(bench.settings.table)
    bench.network = again


async def test_one_port_at_two_addresses_is_two_ports(bench: Bench) -> None:
    path = bench.namespace("a")
    await bench.network.attach("a", path, (PortForward("tcp", 80, 24_000, "127.0.0.2"), PortForward("udp", 53, 24_000)))
    await bench.network.attach("b", bench.namespace("b"), (PortForward("tcp", 80, 24_000, "127.0.0.3"),))
    table = await nft.list_table(bench.settings.table)
    assert "127.0.0.2 . tcp . 24000" in table and "udp . 24000" in table


async def test_a_full_range_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, prefix=30)
    try:
        await bench.network.restore(())
        await bench.network.attach("a", bench.namespace("a"))
        with pytest.raises(AddressesExhausted, match="all 1 sandbox addresses"):
            await bench.network.attach("b", bench.namespace("b"))
        await bench.network.detach("a")
        await bench.network.attach("b", bench.namespace("b2"))
    finally:
        await bench.close()


async def test_many_at_once(bench: Bench) -> None:
    paths = [bench.namespace(str(number)) for number in range(30)]
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(bench.network.attach(f"s{n}", path)) for n, path in enumerate(paths)]
    assert len({task.result() for task in made}) == 30


async def test_the_node_link_has_exactly_the_addresses_asked_for(bench: Bench) -> None:
    link = NodeLink(bench.settings)
    base = int(bench.settings.addresses.network_address)
    one, two, three = (IPv4Address(base + offset) for offset in (201, 202, 203))
    try:
        for wanted in ([one, two], [two, three], [two, three]):
            await link.ensure(wanted)
            with netlink.open_socket() as door:
                index = netlink.link_index(door, bench.settings.node_link)
                assert index is not None and sorted(netlink.addresses(door, index)) == sorted(wanted)
        path = bench.namespace("a")
        await bench.network.attach("a", path)
        assert "0% packet loss" in await asyncio.to_thread(inside, path, "busybox", "ping", "-c1", "-W2", str(two))
    finally:
        await link.remove()
        await link.remove()


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param((), id="no port"),
        pytest.param((PortForward("tcp", 80, 8080), PortForward("udp", 53, 53, "10.0.0.1"), PortForward("sctp", 1, 2)), id="all"),
    ],
)
async def test_the_kernel_accepts_the_ruleset(bench: Bench, ports: tuple[PortForward, ...]) -> None:
    text = ruleset.render(bench.settings, [(IPv4Address("10.1.1.1"), ports)])
    await nft.check(text)
    with pytest.raises(nft.LoadFailed):
        await nft.check(text + "\nnonsense\n")

"""Sandboxes on the network: one routed veth each, an address, the way out and the ports of the machine.

In:    an id, the path of a network namespace, ports.
Out:   the sandbox's address; `AddressesExhausted`, `PortTaken`, `OSError` from the kernel. Undone as a whole on failure.
Shape: the sandbox's eth0 has a /32 and a default route by 169.254.1.1, which is nobody: a permanent neighbour entry leads
       to the machine's end. The machine has a /32 route by veth. No bridge, so no packet bypasses NAT, and strict reverse
       path filtering at each veth stops forged source addresses.
Lives: links, routes and rules outlive this process; `restore` adopts them.
"""

import asyncio
import errno
import hashlib
import json
import os
import socket
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from wherry.infrastructure.linux import namespaces, netlink
from wherry.infrastructure.network import foreign_filters, nft, ruleset
from wherry.infrastructure.network.address_pool import AddressPool
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.kit.errors import AlreadyExists

GATEWAY = IPv4Address("169.254.1.1")
GATEWAY_MAC = bytes.fromhex("eeeeeeeeeeee")
MTU_DEFAULT = 1500
ANYWHERE = IPv4Network("0.0.0.0/0")


class PortTaken(AlreadyExists):
    """A port of the machine already leads to another sandbox."""


class SandboxNetwork:
    """See the module docstring. `restore` first; then any number of calls at a time."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._pool = AddressPool(settings.addresses, settings.journal)
        self._ports_file = settings.journal.with_name(settings.journal.name + ".ports")
        self._ports: dict[str, tuple[PortForward, ...]] = {}
        self._mtu = MTU_DEFAULT
        self._ports_lock = asyncio.Lock()

    async def restore(self, live_ids: Collection[str]) -> None:
        """Load the rules, adopt what `live_ids` hold and take away the remains of all others."""
        await asyncio.to_thread(self._prepare_machine)
        self._pool.load()
        self._ports = {owner: self._allowed(ports) for owner, ports in self._read_ports().items() if owner in live_ids}
        for owner in self._pool.owners() - frozenset(live_ids):
            await asyncio.to_thread(self._delete_links, [self.link_name(owner)])
            self._pool.release(owner)
        await asyncio.to_thread(self._delete_strays, {self.link_name(owner) for owner in live_ids})
        held = [(address, ports) for owner, ports in self._ports.items() if (address := self._pool.holder(owner))]
        await nft.load(ruleset.render(self._settings, held))
        await foreign_filters.open_for(self._settings)
        self._write_ports()

    async def attach(self, id: str, netns_path: str, port_mappings: Sequence[PortForward] = ()) -> IPv4Address:
        """Give the namespace its link and address, and open its ports. Idempotent by id."""
        address = self._pool.acquire(id)
        try:
            await asyncio.to_thread(self._connect, id, netns_path, address, bool(port_mappings))
            if port_mappings:
                await self._open(id, address, tuple(port_mappings))
        except (OSError, AlreadyExists, nft.LoadFailed):
            await self.detach(id)
            raise
        return address

    async def detach(self, id: str) -> None:
        """Close its ports, remove its link, release its address. Idempotent."""
        address = self._pool.holder(id)
        if address is None:
            return
        async with self._ports_lock:
            ports = self._ports.pop(id, ())
            if ports:
                await nft.load(ruleset.close_port_text(self._settings, address, ports))
                self._write_ports()
        await asyncio.to_thread(self._delete_links, [self.link_name(id)])
        self._pool.release(id)

    def address(self, id: str) -> IPv4Address | None:
        """The address a sandbox holds."""
        return self._pool.holder(id)

    async def teardown(self) -> None:
        """Remove every link (the node's own too), rule and file of this cluster's sandbox network. Idempotent."""
        await asyncio.to_thread(self._delete_strays, set())
        await asyncio.to_thread(self._delete_links, [self._settings.node_link])
        await nft.delete_table(self._settings.table)
        await foreign_filters.close_for(self._settings)
        self._pool.forget()
        self._ports.clear()
        self._ports_file.unlink(missing_ok=True)

    def link_name(self, id: str) -> str:
        """The machine's end of a sandbox's veth."""
        return self._settings.link_prefix + hashlib.sha256(id.encode()).hexdigest()[:8]

    async def _open(self, id: str, address: IPv4Address, ports: tuple[PortForward, ...]) -> None:
        async with self._ports_lock:
            taken = {key for owner, held in self._ports.items() if owner != id for key in map(_port_key, held)}
            for port in ports:
                if owner_of := self._owner_of(port):
                    raise PortTaken(f"port {port.host_port}/{port.protocol} of this machine is reserved for {owner_of}")
                if _port_key(port) in taken:
                    raise PortTaken(f"port {port.host_port}/{port.protocol} of this machine already leads to another sandbox")
            if self._ports.get(id) == ports:
                return
            await nft.load(ruleset.open_port_text(self._settings, address, ports))
            self._ports[id] = ports
            self._write_ports()

    def _owner_of(self, port: PortForward) -> str:
        reserved = self._settings.reserved
        by_port = reserved.port_owner(port.protocol, port.host_port)
        return by_port or next((r.owner for r in reserved.addresses if str(r.address) == port.host_ip), "")

    def _allowed(self, ports: tuple[PortForward, ...]) -> tuple[PortForward, ...]:
        """What a journal of another day says is opened again only as far as it may."""
        return tuple(port for port in ports if not self._owner_of(port))

    def _connect(self, id: str, netns_path: str, address: IPv4Address, from_loopback: bool) -> None:
        name, mac = self.link_name(id), b"\x0a\x58" + address.packed
        with ExitStack() as stack:
            outer = stack.enter_context(netlink.open_socket())
            if netlink.link_index(outer, name) is None:
                namespace = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, namespace)
                pair = netlink.add_veth(name, GATEWAY_MAC, "eth0", mac, namespace, self._mtu)
                netlink.carry_out(outer, [pair, netlink.set_up(name)])
            index = netlink.link_index(outer, name)
            assert index is not None
            source = self._settings.node_address
            route = netlink.add_route(index, IPv4Network(address), source=source)
            netlink.carry_out(outer, [route, netlink.add_neighbour(index, address, mac)])
            inner = stack.enter_context(namespaces.inside_network(netns_path, netlink.open_socket))
            _configure_inside(inner, address)
        _set(name, "ipv4", "rp_filter", "1")
        _set(name, "ipv6", "disable_ipv6", "1")
        if from_loopback:
            # 127.0.0.1:port of the machine leads here; the `guard` chain keeps sandboxes from using it the other way.
            _set(name, "ipv4", "route_localnet", "1")

    def _prepare_machine(self) -> None:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
        with netlink.open_socket() as door:
            links = netlink.links(door)
            default = next((route for route in netlink.routes(door) if route.destination == ANYWHERE), None)
        for link in links:
            is_uplink = link.name == self._settings.uplink if self._settings.uplink else (
                default is not None and link.index == default.link_index
            )
            if is_uplink:
                self._mtu = link.mtu

    def _delete_links(self, names: Collection[str]) -> None:
        with netlink.open_socket() as door:
            for name in names:
                try:
                    netlink.carry_out(door, [netlink.delete_link(name)])
                except OSError as error:
                    if error.errno != errno.ENODEV:  # gone already, perhaps this moment, with its other end's namespace
                        raise

    def _delete_strays(self, keep: Collection[str]) -> None:
        with netlink.open_socket() as door:
            names = [link.name for link in netlink.links(door)]
        prefix, node = self._settings.link_prefix, self._settings.node_link
        self._delete_links([n for n in names if n.startswith(prefix) and n != node and n not in keep])

    def _read_ports(self) -> dict[str, tuple[PortForward, ...]]:
        try:
            data = json.loads(self._ports_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {owner: tuple(PortForward(**port) for port in ports) for owner, ports in data.items()}

    def _write_ports(self) -> None:
        data = {owner: [asdict(port) for port in ports] for owner, ports in self._ports.items()}
        self._ports_file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._ports_file.with_name(f".{self._ports_file.name}.tmp")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        os.replace(temporary, self._ports_file)


def _configure_inside(door: socket.socket, address: IPv4Address) -> None:
    index = netlink.link_index(door, "eth0")
    assert index is not None
    netlink.carry_out(
        door,
        [
            netlink.set_up("lo"),
            netlink.set_up("eth0"),
            netlink.add_address(index, address),
            netlink.add_route(index, IPv4Network(GATEWAY)),
            netlink.add_route(index, ANYWHERE, gateway=GATEWAY),
            netlink.add_neighbour(index, GATEWAY, GATEWAY_MAC),
        ],
    )


def _set(link: str, family: str, name: str, value: str) -> None:
    try:
        Path(f"/proc/sys/net/{family}/conf/{link}/{name}").write_text(value, encoding="ascii")
    except FileNotFoundError:
        pass  # a kernel without that protocol has no such file, and nothing to set


def _port_key(port: PortForward) -> tuple[str, int, str]:
    return (port.protocol, port.host_port, "" if port.host_ip == "0.0.0.0" else port.host_ip)

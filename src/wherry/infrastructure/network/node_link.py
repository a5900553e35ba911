"""Extra addresses of this machine (such as the DNS address of the cluster), on a link of their own.

The link is a bridge without ports: the kernels this is tested on have no `dummy`. Addresses have host scope, so that the
kernel never takes one as the source of a packet that leaves the machine.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address

from wherry.infrastructure.linux import netlink
from wherry.infrastructure.network.settings import NetworkSettings


class NodeLink:
    """See the module docstring. Survives this process; `remove` takes it away."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._name = settings.node_link

    async def ensure(self, addresses: Sequence[IPv4Address]) -> None:
        """Exactly these addresses from here on. Idempotent."""
        await asyncio.to_thread(self._ensure, frozenset(addresses))

    async def remove(self) -> None:
        """Idempotent."""
        await asyncio.to_thread(self._remove)

    def _ensure(self, wanted: frozenset[IPv4Address]) -> None:
        with netlink.open_socket() as door:
            index = netlink.link_index(door, self._name)
            if index is None:
                netlink.carry_out(door, [netlink.add_link(self._name, "bridge")])
                index = netlink.link_index(door, self._name)
            assert index is not None
            present = set(netlink.addresses(door, index))
            changes = [netlink.delete_address(index, address) for address in sorted(present - wanted)]
            changes += [
                netlink.add_address(index, address, scope=netlink.SCOPE_HOST) for address in sorted(wanted - present)
            ]
            netlink.carry_out(door, changes)

    def _remove(self) -> None:
        with netlink.open_socket() as door:
            if netlink.link_index(door, self._name) is not None:
                netlink.carry_out(door, [netlink.delete_link(self._name)])

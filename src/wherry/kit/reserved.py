"""What of this machine and its ranges belongs to the cluster and its operator, and no workload may claim: one value.

In:    ports of the machine, addresses, ranges; each with the words that say whose it is.
Out:   "" for what is free, else those words. Pure.
Never: knows who asks. A `holder` is compared with the asker's name by whoever enforces the list; "" is nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

PROTOCOLS = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class ReservedPort:
    """A port of this machine. `holder` is the one name it may lead to all the same."""

    protocol: str  # tcp | udp | sctp
    port: int
    owner: str
    holder: str = ""


@dataclass(frozen=True, slots=True)
class ReservedAddress:
    """An address that is never given out or redirected. `holder` as with ports."""

    address: IPv4Address
    owner: str
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The whole list. `networks` are the cluster's own ranges: nothing from outside may claim an address in them."""

    ports: tuple[ReservedPort, ...] = ()
    addresses: tuple[ReservedAddress, ...] = ()
    node_addresses: tuple[IPv4Address, ...] = ()
    networks: tuple[IPv4Network, ...] = ()

    def port_owner(self, protocol: str, port: int, *, asker: str = "") -> str:
        """Whose the port is, "" when `asker` may have it."""
        wanted = protocol.lower()
        for row in self.ports:
            if (row.protocol, row.port) == (wanted, port) and not (asker and row.holder == asker):
                return row.owner
        return ""

    def address_owner(self, address: str, *, asker: str = "") -> str:
        """Whose a single address is, "" when `asker` may have it; addresses of other families are free."""
        parsed = _parsed(address)
        for row in self.addresses:
            if row.address == parsed and not (asker and row.holder == asker):
                return row.owner
        return "this node" if parsed in self.node_addresses else ""

    def foreign_owner(self, address: str) -> str:
        """As `address_owner`, for an address that must lie outside the cluster: its ranges and loopback count too."""
        if owner := self.address_owner(address):
            return owner
        parsed = _parsed(address)
        if parsed is None:
            return ""
        if parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local or parsed.is_multicast:
            return "this machine"
        return "the cluster's own ranges" if any(parsed in network for network in self.networks) else ""

    def plain_ports(self) -> tuple[tuple[str, int], ...]:
        """Ports that nobody may have, without repeats."""
        return tuple(sorted({(row.protocol, row.port) for row in self.ports if not row.holder}))

    def plain_addresses(self) -> tuple[IPv4Address, ...]:
        """Addresses that nobody may have and that are not the node's."""
        return tuple(sorted({row.address for row in self.addresses if not row.holder} - set(self.node_addresses)))


def port_rows(
    owner: str, ports: Iterable[int], *, protocols: Iterable[str] = ("tcp",), holder: str = ""
) -> tuple[ReservedPort, ...]:
    """One row for each protocol and port."""
    chosen = tuple(protocols)
    return tuple(ReservedPort(protocol, port, owner, holder) for port in ports for protocol in chosen)


def _parsed(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None

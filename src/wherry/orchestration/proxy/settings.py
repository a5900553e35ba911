"""What the service proxy of one node needs to know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Addresses as text. `table` names the one nftables table (family ip) of this package.

    `protected_ports` of the node's own addresses are never redirected, whatever a Service asks for: they are the
    cluster's own (API server, node API, registry) and the way in for the operator (ssh).
    """

    table: str
    node_name: str
    node_addresses: tuple[str, ...]
    service_cidr: str
    pod_cidrs: tuple[str, ...]
    link_prefix: str  # of the links of this node's sandboxes
    protected_ports: frozenset[tuple[str, int]] = frozenset()  # (tcp | udp | sctp, port)

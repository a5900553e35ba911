"""What the service proxy of one node needs to know."""

from dataclasses import dataclass

from wherry.kit.reserved import Reserved


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Addresses as text. `table` names the one nftables table (family ip) of this package.

    What is `reserved` is never redirected, whatever a Service says: the cluster's own ports (API server, node API,
    registry, gateway), the operator's (ssh), the DNS address and the ends of the ranges.
    """

    table: str
    node_name: str
    node_addresses: tuple[str, ...]
    service_cidr: str
    pod_cidrs: tuple[str, ...]
    link_prefix: str  # of the links of this node's sandboxes
    reserved: Reserved = Reserved()

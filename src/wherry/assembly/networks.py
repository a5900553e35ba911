"""The node's own link and the network of its sandboxes.

In:    the node's settings. Out: their settings; the link with the addresses that are the cluster's on this machine.
"""

from ipaddress import IPv4Address, IPv4Network

from wherry.assembly.address import node_address
from wherry.assembly.node import NodeSettings
from wherry.assembly.perimeter import reserved
from wherry.infrastructure.network.node_link import NodeLink
from wherry.infrastructure.network.settings import NetworkSettings


def network_settings(settings: NodeSettings, node_cidr: str = "") -> NetworkSettings:
    """The sandbox network's part of the settings. `node_cidr`: the node's range; "": what names and rules alone need."""
    pods, services = IPv4Network(settings.cluster.pod_cidr), IPv4Network(settings.cluster.service_cidr)
    return NetworkSettings(
        cluster=settings.id,
        journal=settings.run_dir / "network.json",
        addresses=IPv4Network(node_cidr) if node_cidr else pods,
        not_masqueraded=(pods, services),
        node_address=IPv4Address(node_address(settings)),
        reserved=reserved(settings),
    )


async def ensure_link(settings: NodeSettings) -> None:
    """The link, with the address of cluster DNS, and the node's own where the machine has none to give. Idempotent."""
    own = {IPv4Address(settings.cluster.dns_address)}
    if node_address(settings) == settings.cluster.fallback_address:
        own.add(IPv4Address(settings.cluster.fallback_address))
    await NodeLink(network_settings(settings)).ensure(sorted(own))

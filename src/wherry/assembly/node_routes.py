"""The component `routes`: the pods of other nodes are reached by plain routes.

In:    Nodes (spec.podCIDR, status.addresses), as this node may see them. Out: one route a node; a line when one is too far.
"""

import asyncio
import logging
from ipaddress import IPv4Address, IPv4Network

from wherry.assembly.node import NodeSettings
from wherry.assembly.shared import Process
from wherry.infrastructure.network import node_routes
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import Object, name_of

REPAIR_S = 60.0  # a route that somebody took away comes back

log = logging.getLogger(__name__)


def routes_to(nodes: list[Object], own: str) -> dict[IPv4Network, IPv4Address]:
    """Range -> address, of every node but `own` that has both."""
    found = {}
    for node in nodes:
        cidr = (node.get("spec") or {}).get("podCIDR")
        rows = (node.get("status") or {}).get("addresses") or ()
        address = next((row["address"] for row in rows if row.get("type") == "InternalIP"), None)
        if cidr and address and name_of(node) != own:
            found[IPv4Network(cidr)] = IPv4Address(address)
    return found


async def run(process: Process) -> None:
    """Run until cancelled; the routes stay."""
    settings = process.node
    nodes, changed = process.node_informers.of(NODES), asyncio.Event()

    def wake(old: Object | None, new: Object | None) -> None:
        changed.set()

    nodes.subscribe(wake)
    await nodes.wait_synced()
    while True:
        changed.clear()
        try:
            await node_routes.ensure(routes_to(nodes.list(), settings.node_name), within=IPv4Network(settings.cluster.pod_cidr))
        except Invalid as error:
            log.warning("%s", error)
        try:
            async with asyncio.timeout(REPAIR_S):
                await changed.wait()
        except TimeoutError:
            continue


async def remove(settings: NodeSettings) -> None:
    """Take them away."""
    await node_routes.ensure({}, within=IPv4Network(settings.cluster.pod_cidr))

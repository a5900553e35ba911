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
from wherry.orchestration.client.loop_kit import Watch, watching
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import Object, name_of

REPAIR_S = 60.0  # a route that somebody took away comes back

log = logging.getLogger(__name__)


def routes_to(nodes: list[Object], own: str, within: IPv4Network) -> dict[IPv4Network, IPv4Address]:
    """Range -> address, of every node but `own` that has both.

    A node writes its own address, and may create its Node with any range: one outside `within`, or one that overlaps a range an
    older Node has, draws no traffic; neither does what is no IPv4 range or address."""
    found, held = dict[IPv4Network, IPv4Address](), list[IPv4Network]()
    for node in sorted(nodes, key=lambda one: (name_of(one) != own, one["metadata"].get("creationTimestamp", ""), name_of(one))):
        try:
            cidr = IPv4Network((node.get("spec") or {}).get("podCIDR") or "")
            if not cidr.subnet_of(within) or any(cidr.overlaps(other) for other in held):
                continue
            held.append(cidr)
            if name_of(node) != own:
                found[cidr] = IPv4Address(_internal_address(node))
        except ValueError:
            continue
    return found


def _internal_address(node: Object) -> str:
    rows = (node.get("status") or {}).get("addresses") or ()
    return next((str(row["address"]) for row in rows if row.get("type") == "InternalIP"), "")


async def run(process: Process) -> None:
    """Run until cancelled; the routes stay."""
    settings, within = process.node, IPv4Network(process.node.cluster.pod_cidr)
    changed = asyncio.Event()
    async with watching(process.node_informers, (Watch(NODES),), lambda _: changed.set()) as seen:
        while True:
            changed.clear()
            try:
                await node_routes.ensure(routes_to(seen[NODES].list(), settings.node_name, within), within=within)
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

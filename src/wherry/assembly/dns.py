"""The component `dns`: names of Services and pods as answers, upstream's CoreDNS.

In:    the node's settings and identity. Out: answers at the cluster's DNS address.
"""

from wherry.assembly.shared import Process
from wherry.orchestration.dns.forward import Forwarder, machine_resolvers
from wherry.orchestration.dns.loop import kept
from wherry.orchestration.dns.server import DnsServer
from wherry.orchestration.dns.zone import Zone


async def run(process: Process) -> None:
    """Run until cancelled."""
    cluster = process.node.cluster
    await process.linked()
    zone = Zone(cluster.cluster_domain, cluster.dns_address, (cluster.service_cidr, cluster.pod_cidr))
    forwarder = Forwarder(machine_resolvers(frozenset({cluster.dns_address})))
    server = DnsServer((cluster.dns_address,), zone, forwarder)
    async with kept(zone, process.node_informers, server.zone_changed):
        await server.run()

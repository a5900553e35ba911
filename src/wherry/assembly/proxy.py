"""The component `proxy`: Services as nftables rules, upstream's kube-proxy.

In:    the node's settings and identity. Out: one nftables table.
"""

from wherry.assembly.address import node_address
from wherry.assembly.networks import network_settings
from wherry.assembly.node import NodeSettings
from wherry.assembly.perimeter import reserved
from wherry.assembly.shared import Process
from wherry.infrastructure.network import nft
from wherry.orchestration.proxy.loop import Proxy
from wherry.orchestration.proxy.settings import ProxySettings


def proxy_settings(settings: NodeSettings) -> ProxySettings:
    """The service proxy's part of the settings."""
    return ProxySettings(
        table=f"wherry-{settings.id}-svc",
        node_name=settings.node_name,
        node_addresses=(node_address(settings),),
        service_cidr=settings.cluster.service_cidr,
        pod_cidrs=(settings.cluster.pod_cidr,),
        link_prefix=network_settings(settings).link_prefix,
        reserved=reserved(settings),
    )


async def run(process: Process) -> None:
    """Run until cancelled; the rules stay."""
    await Proxy(proxy_settings(process.node), process.node_informers, nft).run()

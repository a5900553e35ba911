"""The address of this machine that pods and other machines use.

In:    the kernel's routes.
Out:   the source address of the default route; on a machine without one, an address of the cluster's own link.
"""

import socket
from ipaddress import IPv4Network

from wherry.assembly.settings import ClusterSettings

# A documentation address: connecting a datagram socket sends nothing, it only asks the kernel for the route.
ANYWHERE = ("198.51.100.1", 9)
FALLBACK_INDEX = 11  # of the service range; the one after cluster DNS


def of_default_route() -> str:
    """"" when there is no default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ANYWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def fallback(settings: ClusterSettings) -> str:
    """For machines without a default route."""
    return str(IPv4Network(settings.service_cidr).network_address + FALLBACK_INDEX)


def node_address(settings: ClusterSettings) -> str:
    """What was chosen, else the default route's, else the fallback."""
    return settings.node_address or of_default_route() or fallback(settings)

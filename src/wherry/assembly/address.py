"""The address of this machine that pods and other machines use.

In:    the kernel's routes.
Out:   the source address of the default route; on a machine without one, an address of the cluster's own link.
"""

import socket

from wherry.assembly.node import NodeSettings

# A documentation address: connecting a datagram socket sends nothing, it only asks the kernel for the route.
ANYWHERE = ("198.51.100.1", 9)

def of_default_route() -> str:
    """"" when there is no default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ANYWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def node_address(settings: NodeSettings) -> str:
    """What was chosen, else the default route's, else the fallback."""
    return settings.node_address or of_default_route() or settings.cluster.fallback_address

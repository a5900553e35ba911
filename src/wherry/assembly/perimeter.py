"""The cluster's perimeter: which ports and addresses no workload gets, and where the cluster's own servers listen.

In:    the node's settings, this machine's address.
Out:   one `Reserved` for API server, agent, sandbox network, proxy and gateway; listening addresses.
"""

from ipaddress import IPv4Address, IPv4Network, ip_address

from wherry.assembly.address import node_address
from wherry.assembly.node import NodeSettings, address_list, port_list
from wherry.kit.reserved import PROTOCOLS, Reserved, ReservedAddress, port_rows

# The one Service that may lead to the gateway's ports, and the one that has the API's address. Both namespaces are the
# cluster's own: who may write there is an administrator.
GATEWAY_SERVICE = "wherry-system/wherry-gateway"
KUBERNETES_SERVICE = "default/kubernetes"
LOOPBACK = "127.0.0.1"
READY_PORT_FIRST = 19000  # on loopback; spread so that several clusters of one machine do not meet
READY_PORTS = 1000


def gateway_ready_port(settings: NodeSettings) -> int:
    """Where Envoy says that it serves."""
    return READY_PORT_FIRST + int(settings.id, 16) % READY_PORTS


def listen_hosts(settings: NodeSettings) -> tuple[str, ...]:
    """Where API server, agent and registry listen: what was chosen, else loopback and the node's address."""
    chosen = address_list(settings.listen_addresses)
    if any(ip_address(host).is_unspecified for host in chosen):
        return chosen[:1]
    # Loopback and the node's own always: the components, `kubectl` here and the pods reach the API there.
    return tuple(dict.fromkeys((LOOPBACK, node_address(settings), *chosen)))


def reserved(settings: NodeSettings) -> Reserved:
    """The one list."""
    services = IPv4Network(settings.cluster.service_cidr)
    own = IPv4Address(node_address(settings))
    ports = (
        *port_rows("the API server", [settings.api_port]),
        *port_rows("the node agent", [settings.node_port]),
        *port_rows("the image registry", [settings.registry_port]),
        *port_rows("the operator", port_list(settings.reserved_ports), protocols=PROTOCOLS),
    )
    if settings.gateway:
        ports += port_rows("the gateway", [gateway_ready_port(settings)])
        ports += port_rows("the gateway", [settings.gateway_http_port, settings.gateway_https_port], holder=GATEWAY_SERVICE)
    addresses = (
        ReservedAddress(services.network_address, "the range itself: it is its first address"),
        ReservedAddress(services.broadcast_address, "the range itself: it is its last address"),
        ReservedAddress(IPv4Address(settings.cluster.kubernetes_address), "the API server", KUBERNETES_SERVICE),
        ReservedAddress(IPv4Address(settings.cluster.dns_address), "cluster DNS"),
        ReservedAddress(IPv4Address(settings.cluster.fallback_address), "this node"),
    )
    return Reserved(ports, addresses, (own,), (services, IPv4Network(settings.cluster.pod_cidr)))

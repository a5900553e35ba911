"""The scarce values of a Service: its cluster addresses and node ports. Pure.

In:    a Service's spec. Out: `Value`s: an address, or (protocol, port).
"""

from wherry.orchestration.objects.meta import Object

Value = str | tuple[str, int]


def addresses(spec: Object) -> list[str]:
    """Its cluster addresses; none for a headless one."""
    listed = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in listed if address != "None"]


def node_ports(spec: Object) -> list[tuple[str, int]]:
    """Its node ports, that of health checks (TCP) with them."""
    found = [(p.get("protocol", "TCP"), int(p["nodePort"])) for p in spec.get("ports") or () if p.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(("TCP", int(spec["healthCheckNodePort"])))
    return found


def values(spec: Object) -> list[Value]:
    """All of them."""
    return [*addresses(spec), *node_ports(spec)]


def needs_node_ports(spec: Object) -> bool:
    """Whether every port gets one."""
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts", True) is not False
    return spec.get("type") == "NodePort"


def needs_health_port(spec: Object) -> bool:
    """Whether load balancers are to ask this node for its health."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"

"""EndpointSlices as those read them who send traffic: one reading for proxy, DNS, gateway and API server. Pure.

In:    EndpointSlices, in any order; the same endpoint may stand in several.
Out:   their ports and endpoints, and which places (address and port) take traffic.
Spec:  discovery.k8s.io/v1 of 1.37: without a value ready and serving are true, terminating is false; KEP-1672, KEP-1669.
       Kubernetes pkg/proxy/endpointslicecache.go and topology.go, apiserver/pkg/util/proxy ResolveEndpoint; CoreDNS
       plugin/kubernetes/object/endpoint.go.
Never: publishNotReadyAddresses, which no reader of upstream's looks at: who writes the slice says ready because of it.
       Topology hints (one zone). Slices of type FQDN, whose meaning is not defined.

Who takes what:

    reader      families   addresses  port                  endpoints
    proxy       IPv4       first      by name and protocol  ready; where none is, those that serve while they terminate;
                                                            under a Local policy both of this node alone, which an
                                                            endpoint without a node name is not on
    DNS         IPv4       all        each that has a name  ready, of headless Services
    gateway     IPv4 IPv6  first      by name, TCP          ready, and beside them as draining those that serve while
                                                            they terminate; where none is ready, these
    API server  IPv4 IPv6  first      by name               ready
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object, labels_of, namespace_of
from wherry.orchestration.objects.well_known import LABEL_SERVICE_NAME

IPV4 = ("IPv4",)
IPV4_AND_IPV6 = ("IPv4", "IPv6")
PROTOCOL_DEFAULT = "TCP"

Place = tuple[str, int]  # address, port


@dataclass(frozen=True, slots=True)
class SlicePort:
    """One port of a slice; those without a number are left out."""

    name: str
    number: int
    protocol: str  # in upper case


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a slice. Neither ready nor draining: no traffic."""

    addresses: tuple[str, ...]  # at least one; only the first has a meaning to most
    is_ready: bool
    is_draining: bool  # not ready, but serves while it terminates
    node: str = ""  # "" when nobody says
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes traffic. A place is ready if any slice says so."""

    ready: frozenset[Place]
    draining: frozenset[Place]

    def chosen(self) -> frozenset[Place]:
        """The ready ones; where there is none, those that end but still serve."""
        return self.ready or self.draining


def service_of(endpoint_slice: Object) -> str:
    """Key of the Service a slice belongs to, "" for none."""
    name = labels_of(endpoint_slice).get(LABEL_SERVICE_NAME, "")
    return f"{namespace_of(endpoint_slice)}/{name}" if name else ""


def ports_in(endpoint_slice: Object) -> Iterator[SlicePort]:
    """The ports of a slice."""
    for port in endpoint_slice.get("ports") or ():
        if port.get("port"):
            yield SlicePort(port.get("name") or "", int(port["port"]), str(port.get("protocol") or PROTOCOL_DEFAULT).upper())


def endpoints_in(endpoint_slice: Object) -> Iterator[SliceEndpoint]:
    """The endpoints of a slice, whatever their state."""
    for endpoint in endpoint_slice.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        is_ready = conditions.get("ready") is not False
        ends_serving = bool(conditions.get("terminating")) and conditions.get("serving") is not False
        if addresses := tuple(endpoint.get("addresses") or ()):
            yield SliceEndpoint(
                addresses, is_ready, ends_serving and not is_ready, endpoint.get("nodeName") or "", endpoint.get("hostname") or ""
            )


def behind_port(
    slices: Iterable[Object], name: str, protocol: str = "", *, families: tuple[str, ...] = IPV4
) -> Iterator[tuple[Place, SliceEndpoint]]:
    """Every endpoint behind a Service's port, by the port's name ("" for the unnamed one); `protocol` "" for any."""
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") not in families:
            continue
        for port in ports_in(endpoint_slice):
            if port.name == name and protocol.upper() in ("", port.protocol):
                yield from (((endpoint.addresses[0], port.number), endpoint) for endpoint in endpoints_in(endpoint_slice))


def takers(found: Iterable[tuple[Place, SliceEndpoint]]) -> Takers:
    """Those of `behind_port` that take traffic."""
    pairs = tuple(found)
    ready = frozenset(place for place, endpoint in pairs if endpoint.is_ready)
    return Takers(ready, frozenset(place for place, endpoint in pairs if endpoint.is_draining) - ready)

"""Services and their endpoint slices as frontends: which address and port leads to which endpoints.

In:    Services, EndpointSlices, the node's settings.
Out:   per Service a tuple of `Frontend`s. Pure; knows no nftables.
Spec:  kubernetes.io/docs/reference/networking/virtual-ips; KEP-2086 (internal policy). Which endpoints: `objects/endpoints.py`.
Never: healthCheckNodePort (not here yet).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wherry.orchestration.objects.endpoints import PROTOCOL_DEFAULT, Place, SliceEndpoint, behind_port, takers
from wherry.orchestration.objects.meta import Object, labels_of
from wherry.orchestration.objects.well_known import IS_HEADLESS_SERVICE
from wherry.orchestration.proxy.settings import ProxySettings

AFFINITY_S_DEFAULT = 10800
NOT_OURS_LABELS = frozenset({"service.kubernetes.io/service-proxy-name", IS_HEADLESS_SERVICE})  # as kube-proxy
NO_ADDRESS = ("", "None")

Key = tuple[str, str, int]  # address, protocol in lower case, port


@dataclass(frozen=True, slots=True)
class Frontend:
    """One (address, protocol, port) that clients may dial.

    `endpoints` empty: refused when the address is the Service's own, else left alone. `is_dropped`: there are endpoints,
    none of them on this node, and the policy is Local. `ranges` empty: everybody may.
    """

    key: Key
    endpoints: tuple[Place, ...]
    affinity_s: int = 0
    ranges: tuple[str, ...] = ()
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """All of one Service. `own_addresses` lead nowhere but to it: undefined ports there are refused."""

    name: str  # namespace/name
    frontends: tuple[Frontend, ...] = ()
    own_addresses: tuple[str, ...] = ()


def rules_for(name: str, service: Object, slices: Sequence[Object], settings: ProxySettings) -> ServiceRules:
    """What the node must do for one Service."""
    spec = service.get("spec") or {}
    given = spec.get("clusterIPs") or (spec.get("clusterIP", ""),)
    reserved = settings.reserved
    cluster_ips = tuple(
        ip for ip in given if ip not in NO_ADDRESS and ":" not in ip and not reserved.address_owner(ip, asker=name)
    )
    if spec.get("type") == "ExternalName" or not cluster_ips or not _is_ours(service):
        return ServiceRules(name)
    slices = [endpoint_slice for endpoint_slice in slices if _is_ours(endpoint_slice)]
    affinity_s = _affinity_s(spec)
    frontends: list[Frontend] = []
    for port in spec.get("ports") or ():
        protocol = str(port.get("protocol") or PROTOCOL_DEFAULT).lower()
        found = tuple(behind_port(slices, port.get("name") or "", protocol))
        inside, inside_dropped = _choose(found, spec.get("internalTrafficPolicy") == "Local", settings.node_name)
        outside, outside_dropped = _choose(found, spec.get("externalTrafficPolicy") == "Local", settings.node_name)
        frontends += [
            Frontend((ip, protocol, port["port"]), inside, affinity_s, (), inside_dropped) for ip in cluster_ips
        ]
        for address, number, ranges in _outside_addresses(spec, service, port, settings):
            if address in settings.node_addresses and reserved.port_owner(protocol, number, asker=name):
                continue
            frontends.append(Frontend((address, protocol, number), outside, affinity_s, ranges, outside_dropped))
    own = (*cluster_ips, *(ip for ip in _external_ips(spec, settings) if ip not in settings.node_addresses))
    return ServiceRules(name, _without_repeats(frontends), own)


def _is_ours(obj: Object) -> bool:
    """False for Services and slices whose label takes them from every ordinary proxy, whatever its value."""
    return NOT_OURS_LABELS.isdisjoint(labels_of(obj))


def _external_ips(spec: Object, settings: ProxySettings) -> list[str]:
    return [ip for ip in spec.get("externalIPs") or () if ":" not in ip and not settings.reserved.foreign_owner(ip)]


def _outside_addresses(
    spec: Object, service: Object, port: Object, settings: ProxySettings
) -> Iterable[tuple[str, int, tuple[str, ...]]]:
    ranges = tuple(str(r) for r in spec.get("loadBalancerSourceRanges") or () if ":" not in r)
    yield from ((ip, port["port"], ()) for ip in _external_ips(spec, settings))
    if spec.get("type") == "LoadBalancer":
        given = [i.get("ip", "") for i in (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
                 if i.get("ipMode", "VIP") == "VIP"]  # fmt: skip
        yield from ((ip, port["port"], ranges) for ip in given if ip and ":" not in ip
                    and (ip in settings.node_addresses or not settings.reserved.foreign_owner(ip)))
    if spec.get("type") in ("NodePort", "LoadBalancer") and port.get("nodePort"):
        yield from ((ip, port["nodePort"], ()) for ip in settings.node_addresses)


def _affinity_s(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or AFFINITY_S_DEFAULT)


def _choose(
    found: Sequence[tuple[Place, SliceEndpoint]], only_local: bool, node: str
) -> tuple[tuple[Place, ...], bool]:
    """Who gets the traffic. The flag says: nobody, though there are endpoints on other nodes."""
    near = takers(each for each in found if each[1].node == node) if only_local else takers(found)
    return tuple(sorted(near.chosen())), only_local and not near.chosen() and bool(takers(found).chosen())


def _without_repeats(frontends: list[Frontend]) -> tuple[Frontend, ...]:
    return tuple({frontend.key: frontend for frontend in reversed(frontends)}.values())[::-1]

"""A Service and its endpoints as DNS records. Pure.

In:    a Service, its EndpointSlices, the cluster's domain.
Out:   names (lower case, no final dot) with records; PTR names included.
Spec:  Kubernetes DNS-Based Service Discovery 1.1.0. Which endpoints: `objects/endpoints.py`.
"""

import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from wherry.orchestration.dns.wire import CNAME, PTR, SRV, A, name_bytes
from wherry.orchestration.objects.endpoints import IPV4, PROTOCOL_DEFAULT, endpoints_in, ports_in
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

NO_ADDRESS = ("", "None")
SRV_PRIORITY, SRV_WEIGHT = 0, 100

Data = tuple[int, bytes]  # record type, rdata
Records = dict[str, set[Data]]


def records_for(service: Object, slices: Sequence[Object], domain: str) -> Records:
    """Everything the zone says because of this Service."""
    found: Records = {}
    base = f"{name_of(service)}.{namespace_of(service)}.svc.{domain}".lower()
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        if target := spec.get("externalName"):
            _add(found, base, CNAME, name_bytes(str(target).lower()))
        return found
    given = spec.get("clusterIPs") or (spec.get("clusterIP", ""),)
    addresses = [ip for ip in given if ip not in NO_ADDRESS and ":" not in ip]
    if addresses:
        _with_address(found, base, addresses, spec)
    elif "None" in given:
        _headless(found, base, slices)
    return found


def _with_address(found: Records, base: str, addresses: list[str], spec: Object) -> None:
    for address in addresses:
        _add(found, base, A, IPv4Address(address).packed)
        _add(found, pointer_name(address), PTR, name_bytes(base))
    for port in spec.get("ports") or ():
        if port.get("name"):
            name = _srv_name(port["name"], port.get("protocol") or PROTOCOL_DEFAULT, base)
            _add(found, name, SRV, _srv(port["port"], base))


def _headless(found: Records, base: str, slices: Sequence[Object]) -> None:
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") not in IPV4:
            continue
        ports = [port for port in ports_in(endpoint_slice) if port.name]
        for endpoint in endpoints_in(endpoint_slice):
            for address in endpoint.addresses if endpoint.is_ready else ():
                target = f"{endpoint.hostname or address.replace('.', '-')}.{base}".lower()
                packed = IPv4Address(address).packed
                _add(found, base, A, packed)
                _add(found, target, A, packed)
                if endpoint.hostname:
                    _add(found, pointer_name(address), PTR, name_bytes(target))
                for port in ports:
                    _add(found, _srv_name(port.name, port.protocol, base), SRV, _srv(port.number, target))


def pointer_name(address: str) -> str:
    """`1.0.96.10.in-addr.arpa`."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def _srv_name(port: str, protocol: str, base: str) -> str:
    return f"_{port}._{protocol}.{base}".lower()


def _srv(port: int, target: str) -> bytes:
    return struct.pack("!HHH", SRV_PRIORITY, SRV_WEIGHT, port) + name_bytes(target)


def _add(found: Records, name: str, kind: int, data: bytes) -> None:
    found.setdefault(name, set()).add((kind, data))


def pod_address(labels: Iterable[str]) -> bytes | None:
    """The address in a pod record's first label (`10-244-0-7`), or None."""
    first = next(iter(labels), "")
    try:
        return IPv4Address(first.replace("-", ".")).packed
    except ValueError:
        return None

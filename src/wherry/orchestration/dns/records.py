"""A Service and its endpoints as DNS records. Pure.

In:    a Service, its EndpointSlices, the cluster's domain.
Out:   names (lower case, no final dot) with records; PTR names included.
Spec:  Kubernetes DNS-Based Service Discovery 1.1.0.
"""

import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from wherry.orchestration.dns.wire import CNAME, PTR, SRV, A, name_bytes
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
        _headless(found, base, slices, bool(spec.get("publishNotReadyAddresses")))
    return found


def _with_address(found: Records, base: str, addresses: list[str], spec: Object) -> None:
    for address in addresses:
        _add(found, base, A, IPv4Address(address).packed)
        _add(found, pointer_name(address), PTR, name_bytes(base))
    for port in spec.get("ports") or ():
        if port.get("name"):
            _add(found, _srv_name(port, base), SRV, _srv(port["port"], base))


def _headless(found: Records, base: str, slices: Sequence[Object], publishes_all: bool) -> None:
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") != "IPv4":
            continue
        for endpoint in endpoint_slice.get("endpoints") or ():
            if not publishes_all and (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for address in endpoint.get("addresses") or ():
                target = f"{endpoint.get('hostname') or address.replace('.', '-')}.{base}".lower()
                packed = IPv4Address(address).packed
                _add(found, base, A, packed)
                _add(found, target, A, packed)
                if endpoint.get("hostname"):
                    _add(found, pointer_name(address), PTR, name_bytes(target))
                for port in endpoint_slice.get("ports") or ():
                    if port.get("name") and port.get("port"):
                        _add(found, _srv_name(port, base), SRV, _srv(port["port"], target))


def pointer_name(address: str) -> str:
    """`1.0.96.10.in-addr.arpa`."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def _srv_name(port: Object, base: str) -> str:
    return f"_{port['name']}._{port.get('protocol') or 'TCP'}.{base}".lower()


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

"""From a reference to a Service port to a backend, and from a backend to its endpoints. Pure.

In:    Services and their EndpointSlices.
Out:   `Backend` or what is wrong with the reference; `Endpoint`s sorted.
Spec:  Service v1 (named ports, appProtocol); KEP-3726 (kubernetes.io/h2c). Which endpoints: `objects/endpoints.py`.
"""

from collections.abc import Mapping
from typing import Any

from wherry.application.gateway.model.backend_tls import tls_for
from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.snapshot import Reader
from wherry.application.gateway.model.values import PLAIN, Backend, BackendProtocol, Endpoint
from wherry.kit.errors import NotFound, Unsupported
from wherry.orchestration.objects.endpoints import IPV4_AND_IPV6, PROTOCOL_DEFAULT, behind_port, takers
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.well_known import LABEL_SERVICE_NAME

SLICES_BY_SERVICE = "endpointslices by service"
H2C = "kubernetes.io/h2c"
GRPC = frozenset({"grpc", "kubernetes.io/grpc"})


def backend_for(reader: Reader, namespace: str, name: str, port: int | str) -> Backend:
    """The backend behind a Service's port, given by number or name.

    Raise `NotFound` when the Service or the port does not exist, `Unsupported` for ports that cannot speak HTTP, `Refused`
    for those whose BackendTLSPolicy cannot be followed.
    """
    service = reader.get(SERVICES.qualified_name, f"{namespace}/{name}")
    if service is None:
        reader.lacks(Lack(SERVICES, namespace, name))
        raise NotFound(f"service {namespace}/{name!s} not found")
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise Unsupported(f"service {namespace}/{name} is of type ExternalName, which the gateway does not follow")
    found = _port(spec, port)
    if found is None:
        reader.lacks(Lack(SERVICES, namespace, name))
        raise NotFound(f"service {namespace}/{name} has no port {port}")
    if found.get("protocol", "TCP") != "TCP":
        raise Unsupported(f"port {port} of service {namespace}/{name} is {found['protocol']}, not TCP")
    tls = tls_for(reader, f"{namespace}/{name}", str(found.get("name") or ""))
    return Backend(namespace, name, int(found["port"]), _protocol(found), tls or PLAIN)


def endpoints_of(reader: Reader, backend: Backend) -> tuple[Endpoint, ...]:
    """Where the backend answers: the ready endpoints, or when there is none those that end but still serve."""
    service = reader.get(SERVICES.qualified_name, f"{backend.namespace}/{backend.service}")
    port = _port((service or {}).get("spec") or {}, backend.port)
    if port is None:
        return ()
    slices = reader.get(SLICES_BY_SERVICE, f"{backend.namespace}/{backend.service}") or ()
    found = takers(behind_port(slices, str(port.get("name") or ""), PROTOCOL_DEFAULT, families=IPV4_AND_IPV6))
    if not found.chosen():
        reader.lacks(Lack(ENDPOINT_SLICES, backend.namespace, labels=f"{LABEL_SERVICE_NAME}={backend.service}"))
    draining = found.draining if found.ready else ()
    return (*(Endpoint(*place) for place in sorted(found.chosen())), *(Endpoint(*place, True) for place in sorted(draining)))


def _port(spec: Mapping[str, Any], wanted: int | str) -> Object | None:
    for port in spec.get("ports") or ():
        number = port.get("port")
        if number and (number == wanted or (isinstance(wanted, str) and port.get("name") == wanted)):
            return dict(port)
    return None


def _protocol(port: Mapping[str, Any]) -> BackendProtocol:
    named = port.get("appProtocol")
    return BackendProtocol.H2C if named == H2C or named in GRPC else BackendProtocol.HTTP1

"""Objects and snapshots for gateway tests, as short as the tests need them."""

from typing import Any

from wherry.application.gateway.model.kinds import (
    CLASS_NAME,
    CONTROLLER,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    REFERENCE_GRANTS,
)
from wherry.application.gateway.model.snapshot import Snapshot, snapshot_of
from wherry.orchestration.objects.kinds import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    INGRESS_CLASSES,
    INGRESSES,
    NAMESPACES,
    SECRETS,
    SERVICES,
)
from wherry.orchestration.objects.meta import Object

RESOURCES = {
    resource.kind: resource
    for resource in (
        GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, REFERENCE_GRANTS, ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES, NAMESPACES,
        SECRETS, SERVICES, CONFIG_MAPS,
    )
}  # fmt: skip


def snapshot(*objects: Object) -> Snapshot:
    """A snapshot with our classes in it."""
    every = (*objects, obj("IngressClass", CLASS_NAME, "", spec={"controller": CONTROLLER}),
             obj("GatewayClass", CLASS_NAME, "", spec={"controllerName": CONTROLLER}))
    return snapshot_of(
        (resource, [item for item in every if item["kind"] == kind]) for kind, resource in RESOURCES.items())


def obj(kind: str, name: str, namespace: str = "default", *, created: str = "2026-01-01T00:00:00Z", **rest: Any) -> Object:
    """Any object."""
    metadata = {"name": name, "creationTimestamp": created, "generation": 1, **rest.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"kind": kind, "metadata": metadata, **rest}


def service(name: str, *ports: int, namespace: str = "default", **port: Any) -> Object:
    """A Service with named ports `p80`, ..."""
    return obj("Service", name, namespace, spec={"ports": [{"name": f"p{number}", "port": number, **port} for number in ports]})


def slice_of(name: str, *addresses: str, port: int = 8080, port_name: str = "p80", namespace: str = "default",
             **conditions: bool) -> Object:
    """An EndpointSlice of service `name`."""
    return obj("EndpointSlice", f"{name}-1", namespace, metadata={"labels": {"kubernetes.io/service-name": name}},
               addressType="IPv4", ports=[{"name": port_name, "port": port}],
               endpoints=[{"addresses": [address], "conditions": conditions} for address in addresses])


def ingress(name: str = "web", *rules: Object, **spec: Any) -> Object:
    """An Ingress of our class."""
    return obj("Ingress", name, spec={"ingressClassName": CLASS_NAME, "rules": list(rules), **spec})


def rule(host: str, *paths: tuple[str, str, str]) -> Object:
    """A rule; paths are (type, path, service) with port 80."""
    entries = [{"path": path, "pathType": kind, "backend": backend(name)} for kind, path, name in paths]
    return {"host": host, "http": {"paths": entries}} if host else {"http": {"paths": entries}}


def backend(name: str, port: int | str = 80) -> Object:
    """An Ingress backend."""
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def gateway(name: str = "gw", *listeners: Object, **spec: Any) -> Object:
    """A Gateway of our class, with a plain listener on port 80 unless others are given."""
    return obj("Gateway", name, spec={"gatewayClassName": CLASS_NAME, "listeners": list(listeners) or [listener()], **spec})


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **rest: Any) -> Object:
    """A listener."""
    return {"name": name, "port": port, "protocol": protocol, **rest}


def http_route(name: str = "web", *rules: Object, parent: Object | None = None, namespace: str = "default",
               hostnames: tuple[str, ...] = (), created: str = "2026-01-01T00:00:00Z") -> Object:
    """An HTTPRoute attached to gateway `gw`."""
    spec: Object = {"parentRefs": [parent or {"name": "gw"}], "rules": list(rules)}
    if hostnames:
        spec["hostnames"] = list(hostnames)
    return obj("HTTPRoute", name, namespace, created=created, spec=spec)


def to(*names: str, path: str = "/", kind: str = "PathPrefix", **rest: Any) -> Object:
    """A rule that sends one path to services' port 80."""
    return {"matches": [{"path": {"type": kind, "value": path}}],
            "backendRefs": [{"name": name, "port": 80} for name in names], **rest}


def condition_of(conditions: list[Object], kind: str) -> tuple[str, str]:
    """(status, reason)."""
    found = next(item for item in conditions if item["type"] == kind)
    return found["status"], found["reason"]

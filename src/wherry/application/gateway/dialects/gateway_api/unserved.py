"""Kinds of the Gateway API that are defined and not served: their status says so to each Gateway of ours they name.

In:    GRPCRoutes, TLSRoutes, TCPRoutes, UDPRoutes, ListenerSets, the views of Gateways.
Spec:  Gateway API v1 RouteParentStatus, ListenerSetStatus. `UnsupportedKind` is our reason: upstream expects that a kind
       which no controller serves is not installed.
"""

from collections.abc import Container, Mapping
from typing import Any

from wherry.application.gateway.dialects.gateway_api.conditions import condition, generation_of
from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.kinds import (
    CONTROLLER,
    GATEWAY_GROUP,
    GRPC_ROUTES,
    LISTENER_SETS,
    TCP_ROUTES,
    TLS_ROUTES,
    UDP_ROUTES,
)
from wherry.application.gateway.model.snapshot import Snapshot
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

ROUTES = (GRPC_ROUTES, TLS_ROUTES, TCP_ROUTES, UDP_ROUTES)
REASON = "UnsupportedKind"


def statuses_of(snapshot: Snapshot, gateways: Container[str]) -> tuple[Status, ...]:
    """A refusal for every object that names a Gateway of ours."""
    found = []
    for resource in ROUTES:
        for route in snapshot.all(resource):
            references = (route.get("spec") or {}).get("parentRefs") or ()
            parents = [_parent(resource.kind, route, ref) for ref in references if _names(ref, route, gateways)]
            found.append(Status(resource, namespace_of(route), name_of(route), {"parents": parents}))
    for item in snapshot.all(LISTENER_SETS):
        if _names((item.get("spec") or {}).get("parentRef") or {}, item, gateways):
            desired = {"conditions": [_refusal("Accepted", "ListenerSet", item), _refusal("Programmed", "ListenerSet", item)]}
            found.append(Status(LISTENER_SETS, namespace_of(item), name_of(item), desired))
    return tuple(found)


def _names(reference: Mapping[str, Any], source: Object, gateways: Container[str]) -> bool:
    if reference.get("group", GATEWAY_GROUP) != GATEWAY_GROUP or reference.get("kind", "Gateway") != "Gateway":
        return False
    return f"{reference.get('namespace') or namespace_of(source)}/{reference.get('name')}" in gateways


def _parent(kind: str, route: Object, reference: Mapping[str, Any]) -> Object:
    return {"parentRef": dict(reference), "controllerName": CONTROLLER, "conditions": [_refusal("Accepted", kind, route)]}


def _refusal(condition_type: str, kind: str, obj: Object) -> Object:
    message = f"{kind} is not served by this gateway"
    return condition(condition_type, False, REASON, message, generation=generation_of(obj))

"""Statuses of GatewayClasses and Gateways.

Spec:  Gateway API v1 GatewayClassStatus, GatewayStatus; features by the names of its package `features`.
"""

from collections.abc import Mapping

from wherry.application.gateway.dialects.gateway_api.conditions import condition, generation_of
from wherry.application.gateway.dialects.gateway_api.gateways import GatewayView, ListenerView
from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.kinds import GATEWAY_CLASSES, GATEWAY_GROUP, GATEWAYS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

FEATURES = (
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
)


def of_class(obj: Object) -> Status:
    """Accepted, and what is supported."""
    generation = generation_of(obj)
    has_parameters = bool((obj.get("spec") or {}).get("parametersRef"))
    accepted = condition("Accepted", True, "Accepted", "handled by Wherry", generation=generation)
    if has_parameters:
        accepted = condition(
            "Accepted", False, "InvalidParameters", "spec.parametersRef is not supported", generation=generation)
    desired = {"conditions": [accepted], "supportedFeatures": [{"name": name} for name in FEATURES]}
    return Status(GATEWAY_CLASSES, "", name_of(obj), desired)


def of_gateway(
    obj: Object, view: GatewayView, counts: Mapping[tuple[str, str], int], rejected: Mapping[str, str], addresses: tuple[str, ...]
) -> Status:
    """Conditions, addresses and listeners. `rejected`: Envoy's words by owner."""
    listeners = [_listener(view, listener, counts, rejected) for listener in view.listeners]
    served = [entry for entry in listeners if _is_true(entry, "Programmed")]
    desired = {
        "addresses": [{"type": _address_type(address), "value": address} for address in addresses],
        "conditions": _conditions(view, listeners, len(served), addresses),
        "listeners": listeners,
    }
    return Status(GATEWAYS, namespace_of(obj), name_of(obj), desired)


def of_route(status: Status, rejected: Mapping[str, str]) -> Status:
    """The status with Envoy's refusal in it, if there is one; else the same."""
    refusal = rejected.get(f"{status.resource.kind}/{status.key}") if rejected else None
    if refusal is None:
        return status
    parents = [{**parent, "conditions": [refused(entry, refusal) for entry in parent["conditions"]]}
               for parent in status.desired["parents"]]
    return Status(status.resource, status.namespace, status.name, {"parents": parents})


def refused(entry: Object, refusal: str) -> Object:
    """A condition Accepted that is true says no more; others stay."""
    if entry["type"] != "Accepted" or entry["status"] != "True":
        return entry
    return condition("Accepted", False, "Invalid", f"Envoy refused it: {refusal}", generation=entry["observedGeneration"])


def _conditions(view: GatewayView, listeners: list[Object], served: int, addresses: tuple[str, ...]) -> list[Object]:
    bad = [entry["name"] for entry in listeners if not _is_true(entry, "Accepted")]
    accepted = condition("Accepted", True, "Accepted", "", generation=view.generation)
    programmed = condition("Programmed", True, "Programmed", "", generation=view.generation)
    if view.problem:
        accepted = condition("Accepted", False, *view.problem, generation=view.generation)
    elif bad:
        message = f"listeners {', '.join(bad)} are not accepted"
        accepted = condition("Accepted", len(bad) < len(listeners), "ListenersNotValid", message, generation=view.generation)
    if view.problem or not served:
        reason = "AddressNotUsable" if view.problem and view.problem[0] == "UnsupportedAddress" else "Invalid"
        programmed = condition("Programmed", False, reason, "no listener can be served", generation=view.generation)
    elif not addresses:
        programmed = condition("Programmed", False, "AddressNotAssigned", "the gateway has no address", generation=view.generation)
    unresolved = view.resolved or ("ResolvedRefs", "")
    resolved = condition("ResolvedRefs", view.resolved is None, *unresolved, generation=view.generation)
    return [accepted, programmed, resolved]


def _listener(
    view: GatewayView, listener: ListenerView, counts: Mapping[tuple[str, str], int], rejected: Mapping[str, str]
) -> Object:
    refusal = rejected.get(view.owner(listener), "")
    programmed = condition("Programmed", True, "Programmed", "", generation=view.generation)
    if view.problem or not listener.is_usable:
        programmed = condition("Programmed", False, "Invalid", "see the other conditions", generation=view.generation)
    elif refusal:
        programmed = condition("Programmed", False, "Invalid", f"Envoy refused it: {refusal}", generation=view.generation)
    return {
        "name": listener.name,
        "supportedKinds": [{"group": GATEWAY_GROUP, "kind": kind} for kind in listener.kinds],
        "attachedRoutes": counts.get((view.key, listener.name), 0),
        "conditions": [*map(dict, listener.conditions), programmed],
    }


def _is_true(entry: Object, kind: str) -> bool:
    return any(item["type"] == kind and item["status"] == "True" for item in entry["conditions"])


def _address_type(address: str) -> str:
    return "IPAddress" if ":" in address or address.replace(".", "").isdigit() else "Hostname"

"""What BackendTLSPolicies say in their statuses: one ancestor for each Gateway of ours whose routes use the Service.

In:    the views of policies and of Gateways, HTTPRoutes.
Spec:  Gateway API v1 PolicyStatus; conditions Accepted and ResolvedRefs of BackendTLSPolicy.
"""

from collections.abc import Iterable, Mapping

from wherry.application.gateway.dialects.gateway_api.conditions import condition, generation_of
from wherry.application.gateway.dialects.gateway_api.gateways import GatewayView
from wherry.application.gateway.dialects.gateway_api.statuses import refused
from wherry.application.gateway.model.backend_tls import POLICY_VIEWS, PolicyView
from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.kinds import BACKEND_TLS_POLICIES, CONTROLLER, GATEWAY_GROUP, HTTP_ROUTES
from wherry.application.gateway.model.snapshot import Snapshot
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

ANCESTORS_MAX = 16


def policy_statuses(
    snapshot: Snapshot, gateways: Mapping[str, GatewayView], rejected: Mapping[str, str]
) -> tuple[Status, ...]:
    """A status for every policy that some Gateway of ours meets. `rejected`: Envoy's words by owner."""
    policies: tuple[PolicyView, ...] = snapshot.get(POLICY_VIEWS, "") or ()
    if not policies:
        return ()
    met: dict[str, set[str]] = {}  # service to Gateways
    for route in snapshot.all(HTTP_ROUTES):
        parents = set(_parents(route)) & gateways.keys()
        for service in _services(route):
            met.setdefault(service, set()).update(parents)
    found = []
    for view in policies:
        reached = sorted({gateway for service in view.services for gateway in met.get(service, ())})
        refusal = next((rejected[f"Service/{name}"] for name in sorted(view.services) if f"Service/{name}" in rejected), "")
        desired = {"ancestors": [_ancestor(view, gateway, refusal) for gateway in reached[:ANCESTORS_MAX]]}
        found.append(Status(BACKEND_TLS_POLICIES, namespace_of(view.policy), name_of(view.policy), desired))
    return tuple(found)


def _parents(route: Object) -> Iterable[str]:
    for reference in (route.get("spec") or {}).get("parentRefs") or ():
        yield f"{reference.get('namespace') or namespace_of(route)}/{reference.get('name')}"


def _services(route: Object) -> Iterable[str]:
    for rule in (route.get("spec") or {}).get("rules") or ():
        for reference in rule.get("backendRefs") or ():
            yield f"{reference.get('namespace') or namespace_of(route)}/{reference.get('name')}"


def _ancestor(view: PolicyView, gateway: str, refusal: str) -> Object:
    namespace, name = gateway.split("/")
    generation = generation_of(view.policy)
    accepted = condition("Accepted", view.accepted is None, *(view.accepted or ("Accepted", "")), generation=generation)
    return {
        "ancestorRef": {"group": GATEWAY_GROUP, "kind": "Gateway", "namespace": namespace, "name": name},
        "controllerName": CONTROLLER,
        "conditions": [
            refused(accepted, refusal) if refusal else accepted,
            condition("ResolvedRefs", view.resolved is None, *(view.resolved or ("ResolvedRefs", "")), generation=generation),
        ],
    }

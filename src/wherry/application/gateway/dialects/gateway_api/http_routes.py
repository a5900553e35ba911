"""HTTPRoutes: which listeners they attach to, what their rules mean, and what their status says to each parent.

In:    one HTTPRoute, the views of Gateways, Services, ReferenceGrants, Namespaces.
Out:   `RouteView`: attachments, routes, and one status entry per parent that is ours.
Spec:  Gateway API v1 HTTPRoute; conditions Accepted and ResolvedRefs per parentRef.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.application.gateway.dialects.gateway_api.conditions import condition, generation_of
from wherry.application.gateway.dialects.gateway_api.filters import filters_of
from wherry.application.gateway.dialects.gateway_api.gateways import HTTP_ROUTE, GatewayView, ListenerView
from wherry.application.gateway.dialects.gateway_api.matches import match_of
from wherry.application.gateway.model.authorities import Refused
from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.durations import seconds_of
from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.grants import is_granted
from wherry.application.gateway.model.hostnames import intersection, is_hostname
from wherry.application.gateway.model.kinds import CONTROLLER, GATEWAY_GROUP, HTTP_ROUTES
from wherry.application.gateway.model.ordering import GATEWAY_API_RANK, order_of
from wherry.application.gateway.model.services import backend_for
from wherry.application.gateway.model.snapshot import Reader
from wherry.application.gateway.model.values import ANY_HOST, Answer, Backend, Forward, PathKind, Redirect, Route, Target
from wherry.kit.errors import Invalid, NotFound, Unsupported
from wherry.orchestration.objects.kinds import NAMESPACES
from wherry.orchestration.objects.meta import Object, key_of, labels_of, name_of, namespace_of

GATEWAY_VIEWS = "gateway views"  # a table: key of a Gateway to its view

Problem = tuple[str, str]  # reason and message


@dataclass(frozen=True, slots=True)
class Attachment:
    """The route serves these hosts on that listener."""

    gateway: str
    listener: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteView:
    """One HTTPRoute, understood. Without attachments it serves nothing."""

    attachments: tuple[Attachment, ...]
    routes: tuple[Route, ...]
    status: Status


def view_of(route: Object, reader: Reader) -> RouteView:
    """Everything about one HTTPRoute."""
    rules = _Rules(route, reader)
    attachments: list[Attachment] = []
    parents: list[Object] = []
    try:
        routes, refused = rules.routes(), None
    except (Invalid, Unsupported) as error:
        routes, refused = (), ("UnsupportedValue", str(error))
    generation = generation_of(route)
    for reference in (route.get("spec") or {}).get("parentRefs") or ():
        gateway = _gateway(reference, route, reader)
        if gateway is None:
            continue
        attached, problem = attach(route, reference, gateway, reader)
        if not refused:
            attachments += attached
        reason, message = refused or problem or ("Accepted", "")
        unresolved = rules.problem
        parents.append({
            "parentRef": dict(reference),
            "controllerName": CONTROLLER,
            "conditions": [
                condition("Accepted", not (refused or problem), reason, message, generation=generation),
                condition("ResolvedRefs", unresolved is None, *(unresolved or ("ResolvedRefs", "")), generation=generation),
            ],
        })  # fmt: skip
    status = Status(HTTP_ROUTES, namespace_of(route), name_of(route), {"parents": parents})
    return RouteView(tuple(attachments), routes, status)


def attach(
    route: Object, reference: Mapping[str, Any], gateway: GatewayView, reader: Reader
) -> tuple[list[Attachment], Problem | None]:
    """The listeners of `gateway` that the reference reaches, or why there is none."""
    named = [
        listener for listener in gateway.listeners
        if reference.get("sectionName") in (None, "", listener.name) and reference.get("port") in (None, listener.port)
    ]  # fmt: skip
    if not named:
        return [], ("NoMatchingParent", f"gateway {gateway.key} has no listener with that name and port")
    allowed = [listener for listener in named if _is_allowed(listener, gateway, route, reader)]
    if not allowed:
        return [], ("NotAllowedByListeners", "no listener allows routes of this kind from this namespace")
    found = []
    for listener in allowed:
        if hosts := _hosts(route, listener):
            found.append(Attachment(gateway.key, listener.name, hosts))
    if not found:
        return [], ("NoMatchingListenerHostname", "no hostname of the route is one of the listener's")
    return found, None


def _gateway(reference: Mapping[str, Any], route: Object, reader: Reader) -> GatewayView | None:
    if reference.get("group", GATEWAY_GROUP) != GATEWAY_GROUP or reference.get("kind", "Gateway") != "Gateway":
        return None
    namespace = reference.get("namespace") or namespace_of(route)
    found: GatewayView | None = reader.get(GATEWAY_VIEWS, f"{namespace}/{reference.get('name')}")
    return found


def _is_allowed(listener: ListenerView, gateway: GatewayView, route: Object, reader: Reader) -> bool:
    if HTTP_ROUTE not in listener.kinds:
        return False
    match listener.namespaces:
        case "All":
            return True
        case "Same":
            return namespace_of(route) == gateway.namespace
        case "Selector":
            namespace = reader.get(NAMESPACES.qualified_name, namespace_of(route))
            is_chosen = namespace is not None and listener.selector is not None and listener.selector.matches(labels_of(namespace))
            if not is_chosen:
                reader.lacks(Lack(NAMESPACES, "", namespace_of(route)))
            return is_chosen
    return False


def _hosts(route: Object, listener: ListenerView) -> tuple[str, ...]:
    wanted = (route.get("spec") or {}).get("hostnames") or (ANY_HOST,)
    return tuple(dict.fromkeys(filter(None, (intersection(listener.hostname, host) for host in wanted))))


class _Rules:
    """The rules of one route; `problem` is the first reference that could not be followed."""

    def __init__(self, route: Object, reader: Reader) -> None:
        self._route = route
        self._reader = reader
        self.problem: Problem | None = None

    def routes(self) -> tuple[Route, ...]:
        """A route of the model for every match of every rule."""
        for host in (self._route.get("spec") or {}).get("hostnames") or ():
            if not is_hostname(host):
                raise Invalid(f"hostname {host[:64]!r} is not a DNS name, with or without a leading *.")
        found = []
        for index, rule in enumerate((self._route.get("spec") or {}).get("rules") or ()):
            filters = filters_of(rule.get("filters") or (), self._mirrored)
            action = filters.redirect or self._forward(rule, filters.rewrite, filters.mirrors)
            for place, given in enumerate(rule.get("matches") or ({},)):
                match = match_of(given)
                self._check_prefix_use(action, match.path.kind)
                order = order_of(match, self._route, rank=GATEWAY_API_RANK, rule=index, index=place)
                name = f"HTTPRoute/{key_of(self._route)}/{rule.get('name') or index}/{place}"
                found.append(Route(name, order, match, action, filters.request_headers, filters.response_headers))
        return tuple(found)

    @staticmethod
    def _check_prefix_use(action: Forward | Redirect | Answer, kind: PathKind) -> None:
        prefix = action.prefix if isinstance(action, Redirect) else action.rewrite.prefix if isinstance(action, Forward) else None
        if prefix is not None and kind is not PathKind.PREFIX:
            raise Invalid("ReplacePrefixMatch needs a match of type PathPrefix")

    def _forward(self, rule: Mapping[str, Any], rewrite: Any, mirrors: Any) -> Forward | Answer:
        targets = tuple(self._target(reference) for reference in rule.get("backendRefs") or ())
        if not any(target.backend and target.weight > 0 for target in targets):
            return Answer(500)
        timeouts = rule.get("timeouts") or {}
        total, each = (seconds_of(str(timeouts.get(key) or "0s")) for key in ("request", "backendRequest"))
        return Forward(targets, rewrite, total, each if each and each != total else 0.0, mirrors)

    def _target(self, reference: Mapping[str, Any]) -> Target:
        weight = reference.get("weight")
        filters = filters_of(reference.get("filters") or (), lambda _: None)
        if filters.redirect or filters.rewrite.host or filters.rewrite.path is not None or filters.rewrite.prefix is not None:
            raise Unsupported("a backend reference takes header modifiers only")
        return Target(
            self._backend(reference), 1 if weight is None else max(0, int(weight)),
            filters.request_headers, filters.response_headers,
        )  # fmt: skip

    def _mirrored(self, reference: Mapping[str, Any]) -> Backend | None:
        return self._backend(reference)

    def _backend(self, reference: Mapping[str, Any]) -> Backend | None:
        if reference.get("group") or reference.get("kind", "Service") != "Service":
            self._unresolved("InvalidKind", f"backends of kind {reference.get('kind')} are not supported")
            return None
        own = namespace_of(self._route)
        namespace, name = str(reference.get("namespace") or own), str(reference.get("name"))
        if not is_granted(
            self._reader, group=GATEWAY_GROUP, kind=HTTP_ROUTE, namespace=own,
            to_group="", to_kind="Service", to_namespace=namespace, to_name=name,
        ):  # fmt: skip
            self._unresolved(
                "RefNotPermitted", f"no ReferenceGrant in namespace {namespace} lets HTTPRoutes of {own} use service {name}")
            return None
        try:
            return backend_for(self._reader, namespace, name, int(reference.get("port") or 0))
        except NotFound as error:
            self._unresolved("BackendNotFound", str(error))
        except Unsupported as error:
            self._unresolved("UnsupportedProtocol", str(error))
        except Refused as error:
            self._unresolved(error.reason, str(error))
        return None

    def _unresolved(self, reason: str, message: str) -> None:
        self.problem = self.problem or (reason, message)

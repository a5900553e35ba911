"""Gateway API as a dialect: GatewayClass, Gateway, HTTPRoute, ReferenceGrant.

In:    their objects, with Services, Secrets and Namespaces.
Out:   listeners with the hosts and routes attached to them; the statuses of all three kinds.
Spec:  Gateway API v1.6 standard channel. `FEATURES` names what is there, and nothing else is claimed.
"""

from collections.abc import Iterable

from wherry.application.gateway.dialects.gateway_api import gateways, http_routes, statuses, unserved
from wherry.application.gateway.dialects.gateway_api.gateways import PORT_HOLDERS, GatewayView, ListenerView
from wherry.application.gateway.dialects.gateway_api.http_routes import GATEWAY_VIEWS, RouteView
from wherry.application.gateway.dialects.gateway_api.policies import policy_statuses
from wherry.application.gateway.model import certificates
from wherry.application.gateway.model.contract import Notice, Part, Watched
from wherry.application.gateway.model.ending import ENDED, told
from wherry.application.gateway.model.grants import GRANTS_BY_NAMESPACE
from wherry.application.gateway.model.kinds import (
    BACKEND_TLS_POLICIES,
    CONTROLLER,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    LISTENER_SETS,
    REFERENCE_GRANTS,
)
from wherry.application.gateway.model.snapshot import Memo, Reader, Snapshot, by_namespace
from wherry.application.gateway.model.values import Listener, Route, VirtualHost
from wherry.orchestration.objects.kinds import CONFIG_MAPS, NAMESPACES, SECRETS, SERVICES
from wherry.orchestration.objects.meta import Object, key_of, name_of

Attached = dict[tuple[str, str], dict[str, list[Route]]]  # (gateway, listener) to host to routes


class GatewayApiDialect:
    """See the module docstring. `addresses` are where clients reach the gateway."""

    name = "gateway-api"
    watched = (
        Watched(GATEWAY_CLASSES), Watched(GATEWAYS), Watched(HTTP_ROUTES), Watched(REFERENCE_GRANTS),
        *map(Watched, (*unserved.ROUTES, LISTENER_SETS)), Watched(BACKEND_TLS_POLICIES), Watched(CONFIG_MAPS),
        Watched(SERVICES), Watched(SECRETS, certificates.TLS_SECRETS), Watched(NAMESPACES),
    )  # fmt: skip

    def __init__(self, addresses: tuple[str, ...], reserved_ports: frozenset[int] = frozenset()) -> None:
        self._addresses = addresses
        self._reserved = reserved_ports
        self._gateways: Memo[GatewayView] = Memo()
        self._routes: Memo[RouteView] = Memo()

    def compile(self, snapshot: Snapshot, rejected: dict[str, str]) -> Part:
        """Listeners and statuses of everything that belongs to our classes."""
        classes = [obj for obj in snapshot.all(GATEWAY_CLASSES) if (obj.get("spec") or {}).get("controllerName") == CONTROLLER]
        names = {name_of(obj) for obj in classes}
        ours = [obj for obj in snapshot.all(GATEWAYS) if (obj.get("spec") or {}).get("gatewayClassName") in names]
        ours.sort(key=_age)
        snapshot = snapshot.with_table(GRANTS_BY_NAMESPACE, by_namespace(snapshot.all(REFERENCE_GRANTS)))
        snapshot = snapshot.with_table(PORT_HOLDERS, gateways.port_holders(ours))
        views = {key_of(obj): self._gateways.of(key_of(obj), obj, snapshot, self._gateway_view) for obj in ours}
        self._gateways.keep_only(views)
        views = gateways.without_rivals(views)
        snapshot = snapshot.with_table(GATEWAY_VIEWS, views)
        held = snapshot.tables.get(HTTP_ROUTES.qualified_name, {})
        routes = [self._routes.of(key, obj, snapshot, http_routes.view_of) for key, obj in held.items()]
        self._routes.keep_only(held)
        attached, counts = _attached(routes)
        listeners = tuple(
            _listener(view, listener, attached.get((view.key, listener.name), {}))
            for view in views.values() if not view.problem for listener in view.listeners if listener.is_usable
        )  # fmt: skip
        return Part(listeners, (
            *(statuses.of_class(obj) for obj in classes),
            *(statuses.of_gateway(obj, views[key_of(obj)], counts, rejected, self._addresses) for obj in ours),
            *(statuses.of_route(view.status, rejected) for view in routes),
            *policy_statuses(snapshot, views, rejected),
            *unserved.statuses_of(snapshot, views),
        ), tuple(_expired(ours, views, snapshot)))  # fmt: skip

    def _gateway_view(self, obj: Object, reader: Reader) -> GatewayView:
        return gateways.view_of(obj, reader, addresses=self._addresses, reserved=self._reserved)


def _expired(ours: list[Object], views: dict[str, GatewayView], snapshot: Snapshot) -> Iterable[Notice]:
    for obj in ours:
        names = dict.fromkeys(name for listener in views[key_of(obj)].listeners for name in listener.certificates)
        for name in names:
            if (end := snapshot.get(ENDED, name)) is not None:
                yield Notice(obj, "CertificateExpired", told(name, end))


def _age(obj: Object) -> tuple[str, str]:
    return (str(obj["metadata"].get("creationTimestamp") or ""), key_of(obj))


def _attached(routes: list[RouteView]) -> tuple[Attached, dict[tuple[str, str], int]]:
    attached: Attached = {}
    counts: dict[tuple[str, str], int] = {}
    for view in routes:
        counted = set()
        for attachment in view.attachments:
            place = (attachment.gateway, attachment.listener)
            if place not in counted:
                counted.add(place)
                counts[place] = counts.get(place, 0) + 1
            hosts = attached.setdefault(place, {})
            for host in attachment.hosts:
                hosts.setdefault(host, []).extend(view.routes)
    return attached, counts


def _listener(gateway: GatewayView, listener: ListenerView, hosts: dict[str, list[Route]]) -> Listener:
    # Two references of one route to the same listener must not double its routes.
    return Listener(
        listener.port, listener.protocol, listener.hostname, listener.certificates,
        tuple(VirtualHost(host, tuple({id(route): route for route in routes}.values())) for host, routes in hosts.items()),
        client=listener.client, owners=(gateway.owner(listener),),
    )  # fmt: skip

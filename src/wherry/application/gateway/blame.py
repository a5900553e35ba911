"""Whose objects Envoy's refusals concern.

In:    the model, Envoy's words by resource, the owners of listeners and route tables.
Out:   Envoy's words by owner: `Gateway/ns/name/listener`, `HTTPRoute/ns/name`, `Ingress/ns/name`, and `Service/ns/name` for a
       backend that a BackendTLSPolicy secures.
"""

from collections.abc import Iterable, Mapping

from wherry.application.gateway.model.values import PLAIN, Backend, Forward, GatewayModel, Route
from wherry.application.gateway.xds.isolation import owner_of
from wherry.application.gateway.xds.resources import CLUSTER, ENDPOINTS, SECRET

Key = tuple[str, str]  # type URL and name


def blamed(model: GatewayModel, rejections: Mapping[Key, str], owners: Mapping[Key, tuple[str, ...]]) -> dict[str, str]:
    """An owner learns only of what it has a part in. Costs a walk over all routes for each refused backend, and only then."""
    found: dict[str, str] = {}
    for (kind, name), message in rejections.items():
        for owner in _owners(model, kind, name, owners):
            found.setdefault(owner, message)
    return found


def _owners(model: GatewayModel, kind: str, name: str, owners: Mapping[Key, tuple[str, ...]]) -> Iterable[str]:
    if kind == SECRET:
        return [owner for listener in model.listeners if name in listener.certificates for owner in listener.owners]
    if kind in (CLUSTER, ENDPOINTS):
        return _users(model, name)
    return owners.get((kind, name), ())


def _users(model: GatewayModel, name: str) -> Iterable[str]:
    for listener in model.listeners:
        for host in listener.hosts:
            for route in host.routes:
                for backend in _backends(route):
                    if backend.name == name:
                        yield owner_of(route)
                        if backend.tls != PLAIN:
                            yield f"Service/{backend.namespace}/{backend.service}"


def _backends(route: Route) -> Iterable[Backend]:
    if isinstance(route.action, Forward):
        yield from (target.backend for target in route.action.targets if target.backend)
        yield from (mirror.backend for mirror in route.action.mirrors)

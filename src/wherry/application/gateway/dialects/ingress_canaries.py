"""Canary Ingresses: a share of the requests that another Ingress of the namespace has by the same host and path.

In:    listeners of the main Ingresses; for each canary its `Canary` and its routes by host.
Out:   the same listeners, with the shares. A canary serves nothing by itself; one without a main Ingress gets nothing.
Spec:  ingress-nginx "Canary": by header first (`always`, `never`, or a given value), then by weight.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wherry.application.gateway.dialects.ingress_annotations import Canary
from wherry.application.gateway.model.values import Forward, Listener, PathMatch, Route, ValueMatch, VirtualHost

Place = tuple[str, str, PathMatch]  # namespace, host, path


@dataclass(frozen=True, slots=True)
class Share:
    """Where the canary's part goes."""

    canary: Canary
    forward: Forward


def with_canaries(listeners: Iterable[Listener], shares: Mapping[Place, Share]) -> list[Listener]:
    """Listeners without a share are returned as they are."""
    return [_listener(listener, shares) for listener in listeners]


def _listener(listener: Listener, shares: Mapping[Place, Share]) -> Listener:
    hosts = tuple(VirtualHost(host.host, tuple(_routes(host, shares))) for host in listener.hosts)
    return listener if hosts == listener.hosts else replace(listener, hosts=hosts)


def _routes(host: VirtualHost, shares: Mapping[Place, Share]) -> Iterable[Route]:
    for route in host.routes:
        share = shares.get((route.name.split("/")[1], host.host, route.match.path))
        if share is None or not isinstance(route.action, Forward):
            yield route
        else:
            yield from _shared(route, route.action, share)


def _shared(route: Route, main: Forward, share: Share) -> Iterable[Route]:
    canary = share.canary
    if canary.header and canary.value:
        yield _by_header(route, canary.header, canary.value, share.forward)
    elif canary.header:
        yield _by_header(route, canary.header, "always", share.forward)
        yield _by_header(route, canary.header, "never", main)
    if not canary.weight:
        yield route
        return
    rest = canary.total - canary.weight
    targets = (
        *(replace(target, weight=rest) for target in main.targets),
        *(replace(target, weight=canary.weight) for target in share.forward.targets),
    )
    yield replace(route, action=replace(main, targets=targets))


def _by_header(route: Route, header: str, value: str, forward: Forward) -> Route:
    match = replace(route.match, headers=(*route.match.headers, ValueMatch(header, value)))
    order = (*route.order[:3], int(route.order[3]) - 1, *route.order[4:])  # one header more comes first
    return replace(route, name=f"{route.name}/canary-{value}", order=order, match=match, action=forward)

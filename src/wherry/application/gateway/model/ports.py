"""Listeners that share a port, brought together: who answers for which host.

In:    listeners of all dialects.
Out:   one `Port` per number, with its doors by hostname, most specific first; each host's routes in order.
Spec:  Gateway API v1 Listener ("listener isolation"): a request belongs to the most specific listener hostname alone;
       a host of a broader listener is dropped where a narrower one owns it. Listeners of equal hostname are merged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.application.gateway.model.hostnames import covers, specificity
from wherry.application.gateway.model.values import ANY_HOST, ClientValidation, Listener, Protocol, Route, Target, VirtualHost

SECURE = (Protocol.HTTPS, Protocol.TLS)  # may share a port: both are told apart by server name


@dataclass(frozen=True, slots=True)
class Door:
    """One hostname of a port. `hosts` for HTTP and HTTPS, `targets` for TLS and TCP."""

    hostname: str
    protocol: Protocol
    certificates: tuple[str, ...]
    hosts: tuple[VirtualHost, ...]
    targets: tuple[Target, ...]
    owners: tuple[str, ...]
    client: ClientValidation | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """One port. `protocol` is HTTP, HTTPS (with or without TLS doors) or TCP."""

    number: int
    protocol: Protocol
    doors: tuple[Door, ...]

    @property
    def owners(self) -> tuple[str, ...]:
        """Everybody who asked for it."""
        return tuple(dict.fromkeys(owner for door in self.doors for owner in door.owners))


def ports_of(listeners: Iterable[Listener]) -> tuple[Port, ...]:
    """Ports by number. Where protocols cannot share a port, the first listener's stays."""
    grouped: dict[int, list[Listener]] = {}
    for listener in listeners:
        grouped.setdefault(listener.port, []).append(listener)
    return tuple(_port(number, group) for number, group in sorted(grouped.items()))


def owner_among(hostnames: Mapping[str, object], host: str) -> str:
    """The most specific of `hostnames` that covers `host`, "" when none does: a look-up per label."""
    if host in hostnames:
        return host
    rest = host.removeprefix("*.") if host.startswith("*.") else host
    while "." in rest:
        rest = rest.partition(".")[2]
        if f"*.{rest}" in hostnames:
            return f"*.{rest}"
    return ANY_HOST if ANY_HOST in hostnames else ""


def _port(number: int, listeners: list[Listener]) -> Port:
    protocol = _family(listeners[0].protocol)
    by_hostname: dict[str, list[Listener]] = {}
    for listener in listeners:
        if _family(listener.protocol) is protocol:
            by_hostname.setdefault(listener.hostname, []).append(listener)
    hosts = _hosts(by_hostname)
    doors = [_door(hostname, group, hosts[hostname]) for hostname, group in by_hostname.items()]
    return Port(number, protocol, tuple(sorted(doors, key=lambda door: (specificity(door.hostname), door.hostname), reverse=True)))


def _family(protocol: Protocol) -> Protocol:
    return Protocol.HTTPS if protocol in SECURE else protocol


def _door(hostname: str, listeners: list[Listener], hosts: dict[str, list[tuple[Route, ...]]]) -> Door:
    first = listeners[0]
    same = [listener for listener in listeners if listener.protocol is first.protocol]
    return Door(
        hostname,
        first.protocol,
        tuple(dict.fromkeys(name for listener in same for name in listener.certificates)),
        tuple(VirtualHost(host, _in_order(groups)) for host, groups in sorted(hosts.items())),
        next((listener.targets for listener in same if listener.targets), ()),
        tuple(dict.fromkeys(owner for listener in same for owner in listener.owners)),
        _strictest(same),
    )


def _strictest(listeners: list[Listener]) -> ClientValidation | None:
    """Of listeners that share a hostname, one that asks for certificates asks for all of them."""
    asked = [listener.client for listener in listeners if listener.client]
    return min(asked, key=lambda client: client.is_optional, default=None)


def _hosts(by_hostname: dict[str, list[Listener]]) -> dict[str, dict[str, list[tuple[Route, ...]]]]:
    """Per door, the groups of routes of each host it owns; a door without routes still owns its hostname."""
    found: dict[str, dict[str, list[tuple[Route, ...]]]] = {hostname: {} for hostname in by_hostname}
    for hostname, listeners in by_hostname.items():
        if hostname != ANY_HOST:
            found[hostname][hostname] = []
        for listener in listeners:
            for host in listener.hosts:
                assert covers(hostname, host.host), (hostname, host.host)
                if owner_among(by_hostname, host.host) == hostname:
                    found[hostname].setdefault(host.host, []).append(host.routes)
    return found


def _in_order(groups: list[tuple[Route, ...]]) -> tuple[Route, ...]:
    if len(groups) == 1 and len(groups[0]) < 2:
        return groups[0]
    return tuple(sorted((route for group in groups for route in group), key=lambda route: route.order))

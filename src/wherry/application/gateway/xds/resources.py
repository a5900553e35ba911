"""The model as Envoy's resources by type and name, each with its version.

In:    `GatewayModel`.
Out:   `ResourceSet`: serialised resources. Equal model, equal set.
Spec:  Envoy 1.40 v3 API. Names: clusters and endpoints by backend identity, listeners by port, route tables by port and,
       under TLS, by server name; so none of them depends on an order of objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.application.gateway.model.ports import ports_of
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.values import Backend, GatewayModel
from wherry.application.gateway.xds import clusters, listeners
from wherry.application.gateway.xds.isolation import PROBE, Hosts, Isolation
from wherry.application.gateway.xds.route_tables import RouteTables
from wherry.application.gateway.xds.wire import version_of

PREFIX = "type.googleapis.com/"
CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
TYPES = (CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES)


@dataclass(frozen=True, slots=True)
class EnvoyResource:
    """One resource, serialised. The version names the content."""

    value: bytes = field(repr=False)
    version: str


Resources = Mapping[str, EnvoyResource]


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """All of a configuration: type URL to name to resource. `owners` of listeners and route tables, for messages."""

    by_type: Mapping[str, Resources] = field(default_factory=dict)
    owners: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def of(self, type_url: str) -> Resources:
        """The resources of one type."""
        return self.by_type.get(type_url, {})


class Builder:
    """Makes resource sets; remembers serialised parts from one to the next. `earlier`: see `Isolation`."""

    def __init__(self, settings: GatewaySettings, earlier: Mapping[str, Hosts] | None = None) -> None:
        self._settings = settings
        self._tables = RouteTables()
        self.isolation = Isolation(earlier)
        self._kept: dict[tuple[str, str], tuple[object, EnvoyResource]] = {}

    def build(self, model: GatewayModel) -> ResourceSet:
        """The whole configuration of `model`."""
        self._tables.turn()
        ports = ports_of(model.listeners)
        found: dict[str, dict[str, EnvoyResource]] = {type_url: {} for type_url in TYPES}
        owners: dict[tuple[str, str], tuple[str, ...]] = {}
        for backend, endpoints in model.endpoints:
            found[CLUSTER][backend.name] = self._same(CLUSTER, backend.name, backend, self._cluster)
            found[ENDPOINTS][backend.name] = self._same(
                ENDPOINTS, backend.name, (backend, endpoints), lambda pair: clusters.assignment(*pair).SerializeToString())
        for secret in model.secrets:
            found[SECRET][secret.name] = self._same(SECRET, secret.name, secret, lambda s: listeners.secret(s).SerializeToString())
        for port in ports:
            made = listeners.listener(port, self._settings)
            value = made.SerializeToString(deterministic=True)
            found[LISTENER][made.name] = self._same(LISTENER, made.name, value, lambda made: made)
            owners[LISTENER, made.name] = port.owners
            for name, wanted, whose in listeners.route_tables(port):
                hosts = self.isolation.offered(name, wanted)
                found[ROUTES][name] = self._same(ROUTES, name, self._tables.table(name, hosts), lambda made: made)
                self.isolation.sent(name, found[ROUTES][name].version, hosts)
                owners[ROUTES, name] = whose
        self.isolation.keep_only(found[ROUTES])
        if probed := self.isolation.probe():
            value = listeners.probe(self._tables.table(PROBE, probed)).SerializeToString(deterministic=True)
            found[LISTENER][PROBE] = self._same(LISTENER, PROBE, value, lambda made: made)
            self.isolation.sent(PROBE, found[LISTENER][PROBE].version, probed)
        self._kept = {key: entry for key, entry in self._kept.items() if key[1] in found[key[0]]}
        return ResourceSet(found, owners)

    def _cluster(self, backend: Backend) -> bytes:
        return bytes(clusters.cluster(backend, self._settings).SerializeToString(deterministic=True))

    def judged(self, kind: str, name: str, version: str, message: str) -> bool:
        """Envoy's verdict on one resource, "" where it took it. True when there is something else to send now."""
        if kind != ROUTES and name != PROBE:
            return False
        return self.isolation.refused(name, version, message) if message else self.isolation.taken(name, version)

    def _same(self, kind: str, name: str, subject: object, encode: "listeners.Encoder") -> EnvoyResource:
        """The resource as it was while its subject is equal."""
        kept = self._kept.get((kind, name))
        if kept is None or kept[0] != subject:
            value = encode(subject)
            kept = (subject, EnvoyResource(value, version_of(value)))
            self._kept[kind, name] = kept
        return kept[1]

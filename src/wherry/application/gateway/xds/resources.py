"""The model as Envoy's resources by type and name, each with its version.

In:    `GatewayModel`.
Out:   `ResourceSet`: serialised resources. Equal model, equal set.
Spec:  Envoy 1.40 v3 API. Names: clusters and endpoints by backend identity, listeners by port, route tables by port and,
       under TLS, by server name; so none of them depends on an order of objects.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wherry.application.gateway.model import Backend, GatewayModel
from wherry.application.gateway.ports import Port, ports_of
from wherry.application.gateway.settings import GatewaySettings
from wherry.application.gateway.xds import clusters, listeners
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
    """Makes resource sets; remembers serialised parts from one to the next."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._tables = RouteTables()
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
            for kind, name, value, whose in self._of_port(port):
                found[kind][name] = self._same(kind, name, value, lambda made: made)
                owners[kind, name] = whose
        self._kept = {key: entry for key, entry in self._kept.items() if key[1] in found[key[0]]}
        return ResourceSet(found, owners)

    def _cluster(self, backend: Backend) -> bytes:
        return bytes(clusters.cluster(backend, self._settings).SerializeToString(deterministic=True))

    def _of_port(self, port: Port) -> Iterable[tuple[str, str, bytes, tuple[str, ...]]]:
        made = listeners.listener(port, self._settings)
        yield LISTENER, made.name, made.SerializeToString(deterministic=True), port.owners
        for name, hosts, whose in listeners.route_tables(port):
            yield ROUTES, name, self._tables.table(name, hosts), whose

    def _same(self, kind: str, name: str, subject: object, encode: "listeners.Encoder") -> EnvoyResource:
        """The resource as it was while its subject is equal."""
        kept = self._kept.get((kind, name))
        if kept is None or kept[0] != subject:
            value = encode(subject)
            kept = (subject, EnvoyResource(value, version_of(value)))
            self._kept[kind, name] = kept
        return kept[1]

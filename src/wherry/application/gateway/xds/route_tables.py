"""Routes of a door as one serialised `RouteConfiguration`, put together from parts that are remembered.

In:    a name and virtual hosts.
Out:   bytes. Equal input gives equal bytes; what did not change since the last call is not encoded again.
"""

from envoy.config.route.v3 import route_components_pb2 as pb
from envoy.config.route.v3 import route_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.type.matcher.v3 import matcher_pb2

from wherry.application.gateway.model.values import ANY_HOST, Route, VirtualHost
from wherry.application.gateway.xds.match_tree import LINEAR_MAX, leaves_of
from wherry.application.gateway.xds.routes import envoy_route, retry_policy
from wherry.application.gateway.xds.wire import part

VIRTUAL_HOSTS = 2  # RouteConfiguration.virtual_hosts
ROUTES = 3  # VirtualHost.routes
ROUTE_LIST_ROUTES = 1  # RouteList.routes
ROUTE_LIST_URL = "type.googleapis.com/envoy.config.route.v3.RouteList"
_RETRY = retry_policy()


class RouteTables:
    """Remembers serialised routes and hosts between calls; `turn` begins a new round and forgets what the last one left."""

    def __init__(self) -> None:
        # By identity: dialects hand out the same Route as long as it means the same. The route kept here keeps its id.
        self._routes: dict[int, tuple[Route, bytes]] = {}
        self._hosts: dict[tuple[str, str], tuple[tuple[Route, ...], bytes]] = {}
        self._last_routes = self._routes
        self._last_hosts = self._hosts

    def turn(self) -> None:
        """Forget what was not used since the last turn."""
        self._last_routes, self._routes = self._routes, {}
        self._last_hosts, self._hosts = self._hosts, {}

    def table(self, name: str, hosts: tuple[VirtualHost, ...]) -> bytes:
        """The whole RouteConfiguration."""
        head: bytes = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True).SerializeToString()
        return head + b"".join(part(VIRTUAL_HOSTS, self._host(name, host)) for host in hosts)

    def _host(self, table: str, host: VirtualHost) -> bytes:
        key = (table, host.host)
        kept = self._hosts.get(key) or self._last_hosts.get(key)
        if kept is None or len(kept[0]) != len(host.routes) or any(a is not b for a, b in zip(kept[0], host.routes, strict=True)):
            kept = (host.routes, self._encoded(host))
        else:
            for route in host.routes:
                self._route(route)
        self._hosts[key] = kept
        return kept[1]

    def _encoded(self, host: VirtualHost) -> bytes:
        out = pb.VirtualHost(name=host.host, domains=[host.host if host.host != ANY_HOST else "*"], retry_policy=_RETRY)
        encoded = [self._route(route) for route in host.routes]
        if len(encoded) <= LINEAR_MAX:
            return bytes(out.SerializeToString()) + b"".join(part(ROUTES, route) for route in encoded)
        tree = out.matcher.matcher_tree
        tree.input.name = "path"
        tree.input.typed_config.Pack(http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=":path"))
        for key, places in leaves_of(host.routes).items():
            leaf: matcher_pb2.Matcher.OnMatch = tree.prefix_match_map.map[key]
            leaf.action.name = "routes"
            leaf.action.typed_config.type_url = ROUTE_LIST_URL
            leaf.action.typed_config.value = b"".join(part(ROUTE_LIST_ROUTES, encoded[place]) for place in places)
        return bytes(out.SerializeToString(deterministic=True))

    def _route(self, route: Route) -> bytes:
        key = id(route)
        kept = self._routes.get(key) or self._last_routes.get(key)
        if kept is None or kept[0] is not route:
            kept = (route, envoy_route(route).SerializeToString(deterministic=True))
        self._routes[key] = kept
        return kept[1]

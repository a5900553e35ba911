"""Ports as Envoy listeners: connection managers that fetch their route table, TLS by server name.

Spec:  Envoy 1.40 listener.proto, http_connection_manager.proto, tls.proto; Gateway API v1 (TLS, misdirected requests).
Promise: nothing about routes is in here, so a change of routes never drains a listener.
"""

from collections.abc import Callable, Iterable
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue

from wherry.application.gateway.model.ports import Door, Port
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.values import ANY_HOST, Answer, Protocol, Route, RouteMatch, Secret, Target, VirtualHost
from wherry.application.gateway.xds.isolation import PROBE
from wherry.application.gateway.xds.routes import CLIENTS_FILTER, NOWHERE

Encoder = Callable[[Any], bytes]
STREAMS_MAX = 100  # of one HTTP/2 connection
HEADERS_TIMEOUT_S = 30  # a client that sends its headers slower than this is cut off
MISDIRECTED = Answer(421)
MISDIRECTED_DOORS_MAX = 64  # the table of each door names all others; beyond this an unknown host gets 404 instead
NOBODY = "240.0.0.0"  # a reserved address: nobody's x-envoy-* headers are trusted
PROBE_ADDRESS, PROBE_PORT = "127.0.0.1", 1  # never bound
_ACCEPT_UNTRUSTED = common_pb2.CertificateValidationContext.ACCEPT_UNTRUSTED
_LOG_FIELDS = {
    "time": "%START_TIME%", "method": "%REQ(:METHOD)%", "authority": "%REQ(:AUTHORITY)%", "path": "%REQ(:PATH)%",
    "protocol": "%PROTOCOL%", "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "duration_ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%", "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "route": "%ROUTE_NAME%", "cluster": "%UPSTREAM_CLUSTER%", "upstream": "%UPSTREAM_HOST%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}  # fmt: skip


def listener(port: Port, settings: GatewaySettings) -> listener_pb2.Listener:
    """The listener of one port."""
    out = listener_pb2.Listener(name=f"port-{port.number}")
    address = out.address.socket_address
    address.address, address.port_value = settings.bind_address, settings.bound_port(port.number)
    if port.protocol is Protocol.HTTP:
        _http_filter(out.filter_chains.add(), table_name(port, None), settings)
    elif port.protocol is Protocol.TCP:
        _tcp_filter(out.filter_chains.add(), port.doors[0].targets, f"port-{port.number}")
    else:
        inspector = out.listener_filters.add(name="envoy.filters.listener.tls_inspector")
        inspector.typed_config.Pack(tls_inspector_pb2.TlsInspector())
        for door in port.doors:
            _secure_chain(out.filter_chains.add(), port, door, settings)
    return out


def probe(table: bytes) -> listener_pb2.Listener:
    """A listener that nobody reaches, so that Envoy judges the route table in it."""
    out = listener_pb2.Listener(name=PROBE, bind_to_port=BoolValue(value=False))
    out.address.socket_address.address, out.address.socket_address.port_value = PROBE_ADDRESS, PROBE_PORT
    manager = hcm_pb2.HttpConnectionManager(stat_prefix="probe")
    manager.route_config.MergeFromString(table)
    manager.route_config.validate_clusters.value = False
    manager.http_filters.add(name=CLIENTS_FILTER).typed_config.Pack(rbac_pb2.RBAC())
    manager.http_filters.add(name="envoy.filters.http.router").typed_config.Pack(router_pb2.Router())
    _add(out.filter_chains.add(), "envoy.filters.network.http_connection_manager", manager)
    return out


def table_name(port: Port, door: Door | None) -> str:
    """The name of a route table: one for a plain port, one per server name under TLS."""
    return f"port-{port.number}/{door.hostname}" if door else f"port-{port.number}"


def route_tables(port: Port) -> Iterable[tuple[str, tuple[VirtualHost, ...], tuple[str, ...]]]:
    """(name, hosts, owners) of every route table the port needs."""
    if port.protocol is Protocol.HTTP:
        hosts = tuple(host for door in port.doors for host in door.hosts)
        yield table_name(port, None), hosts, port.owners
    elif port.protocol is Protocol.HTTPS:
        for door in port.doors:
            if door.protocol is Protocol.HTTPS:
                yield table_name(port, door), (*door.hosts, *_misdirected(port, door)), door.owners


def secret(value: Secret) -> secret_pb2.Secret:
    """Certificate and key, sent only to Envoy's own socket."""
    certificate = common_pb2.TlsCertificate()
    certificate.certificate_chain.inline_bytes = value.certificate
    certificate.private_key.inline_bytes = value.key
    return secret_pb2.Secret(name=value.name, tls_certificate=certificate)


def _misdirected(port: Port, door: Door) -> Iterable[VirtualHost]:
    """Hosts of sibling doors: a connection made for one name may not ask for another's (421)."""
    if len(port.doors) > MISDIRECTED_DOORS_MAX:
        return
    own = {host.host for host in door.hosts}
    for other in port.doors:
        if other is not door and other.hostname not in own and other.hostname != ANY_HOST:
            yield VirtualHost(other.hostname, (_misdirected_route(other.hostname),))


_MISDIRECTED_ROUTES: dict[str, Route] = {}


def _misdirected_route(hostname: str) -> Route:
    # One object per name, because route tables remember routes by identity.
    return _MISDIRECTED_ROUTES.setdefault(hostname, Route("misdirected", (0,), RouteMatch(), MISDIRECTED))


def _secure_chain(chain: listener_components_pb2.FilterChain, port: Port, door: Door, settings: GatewaySettings) -> None:
    chain.name = door.hostname
    if door.hostname != ANY_HOST:
        chain.filter_chain_match.server_names.append(door.hostname)
    if door.protocol is Protocol.TLS:
        _tcp_filter(chain, door.targets, f"port-{port.number}/{door.hostname}")
        return
    context = tls_pb2.DownstreamTlsContext()
    common = context.common_tls_context
    common.alpn_protocols.extend(("h2", "http/1.1"))
    common.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_2
    for name in door.certificates:
        config = common.tls_certificate_sds_secret_configs.add(name=name)
        config.sds_config.ads.SetInParent()
        config.sds_config.resource_api_version = 2
    if door.client is not None:
        common.validation_context.trusted_ca.inline_bytes = door.client.authorities
        if door.client.is_optional:
            common.validation_context.trust_chain_verification = _ACCEPT_UNTRUSTED
        else:
            context.require_client_certificate.value = True
    chain.transport_socket.name = "envoy.transport_sockets.tls"
    chain.transport_socket.typed_config.Pack(context)
    _http_filter(chain, table_name(port, door), settings)


def _http_filter(chain: listener_components_pb2.FilterChain, table: str, settings: GatewaySettings) -> None:
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix="gateway",
        normalize_path=BoolValue(value=True),
        merge_slashes=True,
        path_with_escaped_slashes_action=hcm_pb2.HttpConnectionManager.UNESCAPE_AND_REDIRECT,
        use_remote_address=BoolValue(value=True),
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        strip_trailing_host_dot=True,
    )
    manager.rds.route_config_name = table
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2
    manager.request_headers_timeout.seconds = HEADERS_TIMEOUT_S
    manager.http2_protocol_options.max_concurrent_streams.value = STREAMS_MAX
    manager.internal_address_config.cidr_ranges.add(address_prefix=NOBODY).prefix_len.value = 32
    manager.upgrade_configs.add(upgrade_type="websocket")
    if settings.access_log:
        manager.access_log.append(_access_log())
    manager.http_filters.add(name=CLIENTS_FILTER).typed_config.Pack(rbac_pb2.RBAC())
    router = manager.http_filters.add(name="envoy.filters.http.router")
    router.typed_config.Pack(router_pb2.Router(suppress_envoy_headers=True))
    _add(chain, "envoy.filters.network.http_connection_manager", manager)


def _tcp_filter(chain: listener_components_pb2.FilterChain, targets: tuple[Target, ...], name: str) -> None:
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="gateway-tcp")
    for target in targets:
        if target.weight > 0:
            proxy.weighted_clusters.clusters.add(name=target.backend.name if target.backend else NOWHERE, weight=target.weight)
    if not proxy.weighted_clusters.clusters:
        proxy.cluster = NOWHERE
    chain.name = chain.name or name
    _add(chain, "envoy.filters.network.tcp_proxy", proxy)


def _access_log() -> accesslog_pb2.AccessLog:
    log = stream_pb2.StdoutAccessLog()
    log.log_format.json_format.update(_LOG_FIELDS)
    out = accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout")
    out.typed_config.Pack(log)
    return out


def _add(chain: listener_components_pb2.FilterChain, name: str, config: Message) -> None:
    chain.filters.add(name=name).typed_config.Pack(config)

"""Backends as Envoy clusters, their endpoints as load assignments.

Spec:  Envoy 1.40 cluster.proto, endpoint.proto; endpoints come by EDS over the same stream.
"""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as upstream

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.values import PLAIN, Backend, BackendProtocol, Endpoint

# Envoy's default of 1024 answers 503 to bursts; the machine's own limits are the ones that count here.
UNBOUNDED = 1_000_000
# Below the keep-alive of common servers (Node.js: 5 s ends idle connections), so that Envoy closes first.
IDLE_TIMEOUT_S = 4
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # of Envoy's image
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(backend: Backend, settings: GatewaySettings) -> cluster_pb2.Cluster:
    """The cluster named by the backend's identity; it never changes while that identity lives."""
    out = cluster_pb2.Cluster(name=backend.name, type=cluster_pb2.Cluster.EDS, lb_policy=cluster_pb2.Cluster.LEAST_REQUEST)
    out.connect_timeout.FromMilliseconds(round(settings.connect_timeout_s * 1000))
    out.eds_cluster_config.eds_config.ads.SetInParent()
    out.eds_cluster_config.eds_config.resource_api_version = 2
    out.ignore_health_on_host_removal = True
    limits = out.circuit_breakers.thresholds.add()
    for limit in (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries):
        limit.value = UNBOUNDED
    if backend.protocol is not BackendProtocol.TCP:
        options = upstream.HttpProtocolOptions()
        options.common_http_protocol_options.idle_timeout.seconds = IDLE_TIMEOUT_S
        explicit = options.explicit_http_config
        if backend.protocol is BackendProtocol.H2C:
            explicit.http2_protocol_options.SetInParent()
        else:
            explicit.http_protocol_options.SetInParent()
        out.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(options)
    if backend.tls != PLAIN:
        out.transport_socket.name = "envoy.transport_sockets.tls"
        out.transport_socket.typed_config.Pack(_tls(backend))
    return out


def _tls(backend: Backend) -> tls_pb2.UpstreamTlsContext:
    context = tls_pb2.UpstreamTlsContext(sni=backend.tls.hostname)
    common = context.common_tls_context
    common.alpn_protocols.append("h2" if backend.protocol is BackendProtocol.H2C else "http/1.1")
    common.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_2
    believed = common.validation_context
    if backend.tls.authorities:
        believed.trusted_ca.inline_bytes = backend.tls.authorities
    else:
        believed.trusted_ca.filename = SYSTEM_AUTHORITIES
    for kind, value in backend.tls.names or (("Hostname", backend.tls.hostname),):
        name = believed.match_typed_subject_alt_names.add()
        name.san_type = common_pb2.SubjectAltNameMatcher.URI if kind == "URI" else common_pb2.SubjectAltNameMatcher.DNS
        name.matcher.exact = value
    return context


def assignment(backend: Backend, endpoints: tuple[Endpoint, ...]) -> endpoint_pb2.ClusterLoadAssignment:
    """The endpoints; none at all makes Envoy answer 503."""
    out = endpoint_pb2.ClusterLoadAssignment(cluster_name=backend.name)
    if endpoints:
        group = out.endpoints.add()
        for endpoint in endpoints:
            entry = group.lb_endpoints.add()
            address = entry.endpoint.address.socket_address
            address.address, address.port_value = endpoint.address, endpoint.port
            entry.health_status = health_check_pb2.DRAINING if endpoint.is_draining else health_check_pb2.HEALTHY
    return out

"""What an Envoy is told at its start: where its control plane is, its admin socket, its readiness port. Nothing of routes.

Out:   a JSON document, the same for every Envoy of a cluster.
Spec:  Envoy 1.40 bootstrap.proto.
Promise: with no control plane Envoy waits for its first configuration, and keeps the last one it had for ever.
"""

from typing import Any

from wherry.application.gateway.model.settings import GatewaySettings

CONTROL_PLANE = "wherry.control-plane"
NODE_CLUSTER = "wherry-gateway"
READY_PATH = "/ready"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HEALTH = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECTIONS_MAX = 50_000


def bootstrap(settings: GatewaySettings, *, node: str = "envoy") -> dict[str, Any]:
    """The whole document."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": node, "cluster": NODE_CLUSTER},
        "admin": {"address": {"pipe": {"path": str(settings.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {
                    "cluster_name": CONTROL_PLANE,
                    # Envoy's own choice goes up to 30 s, which is how long a restart would be noticed by users.
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                }}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [_control_plane(settings)], "listeners": [_ready_listener(settings)]},
        # Thousands of clusters and routes would each hold their own counters from the start.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]},
        "overload_manager": {
            "resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
                             "DownstreamConnectionsConfig",
                    "max_active_downstream_connections": CONNECTIONS_MAX,
                },
            }],
        },
    }  # fmt: skip


def _control_plane(settings: GatewaySettings) -> dict[str, Any]:
    return {
        "name": CONTROL_PLANE,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _UPSTREAM: {
                "@type": f"type.googleapis.com/{_UPSTREAM}",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
                },
            }
        },
        "load_assignment": {
            "cluster_name": CONTROL_PLANE,
            "endpoints": [{
                "lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(settings.xds_socket)}}}}],
            }],
        },
    }  # fmt: skip


def _ready_listener(settings: GatewaySettings) -> dict[str, Any]:
    """Answers once workers run, which they do when the first configuration is in."""
    return {
        "name": "ready",
        "ignore_global_conn_limit": True,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": settings.ready_port}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": _MANAGER,
                "stat_prefix": "ready",
                "route_config": {"name": "ready"},
                "http_filters": [
                    {"name": "envoy.filters.http.health_check", "typed_config": {
                        "@type": _HEALTH,
                        "pass_through_mode": False,
                        "headers": [{"name": ":path", "string_match": {"exact": READY_PATH}}],
                    }},
                    {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}},
                ],
            },
        }]}],
    }  # fmt: skip

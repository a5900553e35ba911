"""The resources the gateway reads: built-in ones by reference, Gateway API ones as rows of our own."""

from wherry.orchestration.objects.resources import Resource

GATEWAY_GROUP = "gateway.networking.k8s.io"

CONTROLLER = "wherry.dev/gateway"
CLASS_NAME = "wherry"  # of the IngressClass and of the GatewayClass


def _row(kind: str, plural: str, *, namespaced: bool = True, version: str = "v1", short: tuple[str, ...] = ()) -> Resource:
    return Resource(
        GATEWAY_GROUP, version, kind, plural, kind.lower(), namespaced, short, ("gateway-api",), ("status",),
    )  # fmt: skip


GATEWAY_CLASSES = _row("GatewayClass", "gatewayclasses", namespaced=False, short=("gc",))
GATEWAYS = _row("Gateway", "gateways", short=("gtw",))
HTTP_ROUTES = _row("HTTPRoute", "httproutes")
GRPC_ROUTES = _row("GRPCRoute", "grpcroutes")
TLS_ROUTES = _row("TLSRoute", "tlsroutes")
TCP_ROUTES = _row("TCPRoute", "tcproutes")
UDP_ROUTES = _row("UDPRoute", "udproutes")
LISTENER_SETS = _row("ListenerSet", "listenersets", short=("lset",))
BACKEND_TLS_POLICIES = _row("BackendTLSPolicy", "backendtlspolicies", short=("btlspolicy",))
# v1beta1 is served by every release of the definitions, v1 only by the newest.
REFERENCE_GRANTS = _row("ReferenceGrant", "referencegrants", version="v1beta1", short=("refgrant",))

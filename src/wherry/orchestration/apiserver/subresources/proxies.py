"""pods/proxy and services/proxy: any HTTP method and upgrade, forwarded to a pod's address.

Spec:  https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
       names are `[scheme:]name[:port]`; redirects and links are left as the backend sends them, but Location headers of
       the backend's own paths get the proxy prefix.
"""

import random
import ssl
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import quote

from wherry.kit.http import splice
from wherry.kit.http.message import Response, Upgrade
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.endpoints import ready_endpoints
from wherry.orchestration.apiserver.registry.objects import CachedObjects
from wherry.orchestration.apiserver.registry.served import ServedTable
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.objects.kinds import PODS, SERVICES
from wherry.orchestration.objects.meta import Object


class ProxyName(NamedTuple):
    """`https:web:http` taken apart."""

    scheme: str
    name: str
    port: str


class Backend(NamedTuple):
    """Where to dial."""

    host: str
    port: int
    is_tls: bool


def parse_name(text: str) -> ProxyName:
    """Raise `ApiError` 400."""
    parts = text.split(":")
    if len(parts) == 1:
        return ProxyName("", text, "")
    if len(parts) == 2:
        return ProxyName("", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return ProxyName(parts[0], parts[1], parts[2])
    raise errors.bad_request(f"invalid proxy request {text[:80]!r}")


class Proxies:
    """The two handlers."""

    def __init__(self, verbs: Verbs, table: ServedTable) -> None:
        self._verbs = verbs
        self._table = table
        self._source = CachedObjects(table)
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE  # as upstream: pods' certificates are nobody's to check here

    async def pod(self, call: Call) -> Response | Upgrade:
        """Any method on pods/<name>/proxy/<path>."""
        await self._verbs.registry.fresh()
        wanted = parse_name(call.target.name)
        cached = self._table.of(PODS).cache.items.get(f"{call.namespace}/{wanted.name}")
        if cached is None:
            raise errors.not_found(PODS, wanted.name)
        return await self._forward(call, _pod_backend(cached.obj(), wanted))

    async def service(self, call: Call) -> Response | Upgrade:
        """Any method on services/<name>/proxy/<path>."""
        await self._verbs.registry.fresh()
        wanted = parse_name(call.target.name)
        cached = self._table.of(SERVICES).cache.items.get(f"{call.namespace}/{wanted.name}")
        if cached is None:
            raise errors.not_found(SERVICES, wanted.name)
        port = _service_port(cached.obj(), wanted)
        choices = ready_endpoints(self._source, call.namespace, wanted.name, port.get("name") or "")
        if not choices:
            raise errors.unavailable(f'no endpoints available for service "{wanted.name}"')
        host, number = random.choice(choices)
        return await self._forward(call, Backend(host, number, wanted.scheme == "https"))

    async def _forward(self, call: Call, backend: Backend) -> Response | Upgrade:
        if not _is_proxyable(backend.host):
            raise errors.bad_request(f"address not allowed: {backend.host}")
        _, _, query = call.request.raw_target.partition("?")
        target = "/" + quote(call.target.rest, safe="/:@!$&'()*+,;=~%") + (f"?{query}" if query else "")
        return await splice.forward(
            call.request, host=backend.host, port=backend.port, tls=self._tls if backend.is_tls else None, target=target,
            headers={"x-forwarded-uri": call.request.path, "x-forwarded-host": call.request.headers.get("host", "")})


def _is_proxyable(host: str) -> bool:
    """Upstream's IsProxyableIP: a pod's status must not lead the server to its own loopback or to link-local services."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast)


def _pod_backend(pod: Object, wanted: ProxyName) -> Backend:
    address = pod.get("status", {}).get("podIP", "")
    if not address:
        raise errors.unavailable(f"address not allowed: pod {wanted.name} has no address yet")
    ports = [p for c in pod["spec"].get("containers", ()) for p in c.get("ports") or ()]
    number = int(wanted.port) if wanted.port.isdigit() else 0
    if not wanted.port:
        number = next((p["containerPort"] for p in ports), 80)
    elif not number:
        number = next((p["containerPort"] for p in ports if p.get("name") == wanted.port), 0)
    if not number:
        raise errors.bad_request(f'no port "{wanted.port}" in pod "{wanted.name}"')
    return Backend(address, number, wanted.scheme == "https")


def _service_port(service: Object, wanted: ProxyName) -> Object:
    ports = service["spec"].get("ports") or []
    if not wanted.port and len(ports) == 1:
        return dict(ports[0])
    for port in ports:
        if wanted.port in (port.get("name") or "", str(port["port"])):
            return dict(port)
    raise errors.unavailable(f'no service port "{wanted.port}" found for service "{wanted.name}"')

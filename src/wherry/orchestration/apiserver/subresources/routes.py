"""Which handler serves which subresource."""

import ssl
from collections.abc import Awaitable, Callable

from wherry.kit.http.message import Response, Upgrade
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, AdmissionRequest
from wherry.orchestration.apiserver.call.access import Access
from wherry.orchestration.apiserver.call.rendering import json_response, with_warnings
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.scale_paths import ScalePaths
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.apiserver.subresources import parts
from wherry.orchestration.apiserver.subresources.nodes import NodeAgents
from wherry.orchestration.apiserver.subresources.pods import Binding, Eviction, structure
from wherry.orchestration.apiserver.subresources.proxies import Proxies
from wherry.orchestration.apiserver.subresources.scale import ScaleSubresource
from wherry.orchestration.apiserver.verbs.bodies import inline_bytes, read_typed, typed_or_refuse
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.objects.kinds import BINDINGS, TOKEN_REVIEWS

Handler = Callable[[Call], Awaitable[Response | Upgrade]]


class Subresources:
    """`find` a handler; the table is fixed but for scale and status, which custom resources have too.

    Rows whose objects are answers (reviews) or acts (bindings) become virtual.
    """

    def __init__(self, verbs: Verbs, table: ServedTable, access: Access, agent_tls: ssl.SSLContext | None) -> None:
        self._verbs = verbs
        self._access = access
        agents = NodeAgents(verbs, table, agent_tls)
        proxies = Proxies(verbs, table)
        self._status = parts.Part(verbs, "status")
        self._scale = ScaleSubresource(verbs, ScalePaths(), is_custom=False)
        for served in table.rows():
            if served.resource.kind in access.reviews.kinds and served.resource.group.endswith(".k8s.io"):
                served.answer = self._review
        table.of(BINDINGS).answer = Binding(verbs, table)
        self._by_place: dict[tuple[str, str, str], Handler] = {
            ("", "pods", "binding"): Binding(verbs, table),
            ("", "pods", "eviction"): Eviction(verbs, table),
            ("", "pods", "log"): agents.log,
            ("", "pods", "exec"): agents.exec,
            ("", "pods", "attach"): agents.attach,
            ("", "pods", "portforward"): agents.portforward,
            ("", "pods", "proxy"): proxies.pod,
            ("", "services", "proxy"): proxies.service,
            ("", "nodes", "proxy"): agents.node_proxy,
            ("", "pods", "ephemeralcontainers"): parts.Part(verbs, "ephemeralcontainers", parts.prepare_ephemeral),
            ("", "pods", "resize"): parts.Part(verbs, "resize", parts.prepare_resize),
            ("", "namespaces", "finalize"): parts.Part(verbs, "finalize", parts.prepare_finalize),
            ("certificates.k8s.io", "certificatesigningrequests", "approval"): parts.Part(
                verbs, "approval", parts.prepare_approval),
            ("", "serviceaccounts", "token"): self._token,
        }

    def find(self, served: Served, subresource: str) -> Handler | None:
        """The handler, or None when the ordinary verbs serve it. Raise `ApiError` 404 when there is no such thing."""
        resource = served.resource
        if not subresource:
            return served.answer
        if subresource not in resource.subresources:
            raise errors.path_not_found()
        if subresource == "status":
            return self._status
        if subresource == "scale":
            if served.scale is not None:
                return ScaleSubresource(self._verbs, served.scale, is_custom=True)
            return self._scale
        found = self._by_place.get((resource.group, resource.plural, subresource))
        if found is None:
            raise errors.path_not_found()
        return found

    async def _review(self, call: Call) -> Response:
        if call.target.verb != "create":
            raise errors.method_not_allowed(call.served.resource, call.target.verb)
        resource = call.served.resource
        limit = inline_bytes(call.request.headers.get("content-type", ""))  # anybody may ask: no question is longer
        obj = read_typed(
            await call.request.read(limit), call.request.headers.get("content-type", ""), call.served.node,
            api_version=resource.api_version, kind=resource.kind)
        answer = self._access.reviews.answer(resource.kind, call.user, obj, call.namespace)
        return json_response(typed_or_refuse(answer, call.served.node), 201)

    async def _token(self, call: Call) -> Response:
        if call.target.verb != "create":
            raise errors.method_not_allowed(call.served.resource, call.target.verb)
        node, content_type = structure(TOKEN_REVIEWS.api_version, "TokenRequest"), call.request.headers.get("content-type", "")
        request = await self._verbs.decoded(call, lambda body: read_typed(body, content_type, node))
        account = call.served.obj(await self._verbs.read(call))
        asked = AdmissionRequest(
            CREATE, call.served.resource, call.namespace, call.target.name, "token", call.user, request,
            is_dry_run=call.dry_run, warnings=call.warnings)
        await self._verbs.writer.chain.admit(asked)
        if asked.is_foreign:  # a webhook changed it
            asked.obj = typed_or_refuse(asked.obj or {}, node)
        await self._verbs.writer.chain.validate(asked)
        request = asked.obj or {}
        return with_warnings(json_response(typed_or_refuse(self._access.tokens.issue(account, request), node), 201), call.warnings)

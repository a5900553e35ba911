"""One request from socket to answer: authenticate, impersonate, authorize, find who serves it, act, count.

Never: invents 503; that comes from parts that do not answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from wherry.kit.errors import WherryError
from wherry.kit.http.health import ENDPOINTS, Health
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.aggregation.loop import Aggregation
from wherry.orchestration.apiserver.call.access import Access
from wherry.orchestration.apiserver.call.rendering import error_response, with_warnings
from wherry.orchestration.apiserver.call.request import Call, Target, call_of, target_of
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.apiserver.serving.compression import compressed
from wherry.orchestration.apiserver.serving.fairness import FairQueue
from wherry.orchestration.apiserver.serving.metrics import ApiMetrics, Measured
from wherry.orchestration.apiserver.serving.paths import Paths
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.subresources.routes import Subresources
from wherry.orchestration.apiserver.user import Unauthorized, User
from wherry.orchestration.apiserver.verbs.handlers import Verbs

DEPRECATED = {  # of the core group: what upstream warns of on every verb
    "endpoints": ("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",),
    "componentstatuses": ("v1 ComponentStatus is deprecated in v1.19+",),
}
LONG_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "proxy", "log"})


class Pipeline:
    """See the module docstring."""

    def __init__(
        self, table: ServedTable, access: Access, verbs: Verbs, subresources: Subresources, aggregation: Aggregation,
        paths: Paths, health: Health, metrics: ApiMetrics, settings: ApiServerSettings,
    ) -> None:
        self._table = table
        self._access = access
        self._verbs = verbs
        self._subresources = subresources
        self._aggregation = aggregation
        self._paths = paths
        self._health = health
        self._metrics = metrics
        self._timeout_s = settings.request_timeout_s
        self._fairness = FairQueue(settings)

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer; every failure is a Status."""
        began = time.perf_counter()
        target = target_of(request)
        is_long = target.verb == "watch" or target.subresource in LONG_SUBRESOURCES
        try:
            with self._metrics.in_flight(target.verb):
                answer = await self._answer(request, target, is_long)
        except WherryError as error:
            answer = error_response(errors.from_error(error))
        what = Measured(target.verb, target.group, target.version, target.resource, target.subresource, _scope(target),
                        "dryRun" in request.query)
        self._metrics.finished(what, answer.status, time.perf_counter() - began, is_long=is_long)
        if is_long and isinstance(answer, Response) and isinstance(answer.body, AsyncIterator):
            answer.body = Counted(answer.body, self._metrics, what)
        return answer

    async def _answer(self, request: Request, target: Target, is_long: bool) -> Response | Upgrade:
        user = self._authenticated(request)
        if is_long or request.identity is not None or user.is_master or not target.resource:
            return await self._act(request, target, user)
        await self._fairness.take(user.name)
        try:
            return await self._act(request, target, user)
        finally:
            self._fairness.give_back(user.name)

    async def _act(self, request: Request, target: Target, user: User) -> Response | Upgrade:
        if not target.resource:
            return await self._path(request, user)
        self._access.require(user, target, _field_selector(request))
        row = self._aggregation.find(target.group, target.version)
        if row is not None:
            return await self._aggregation.forward(request, row, user)
        served = self._served(target)
        handler = self._subresources.find(served, target.subresource)
        call = call_of(request, user, target, served)
        try:
            if handler is not None:
                return await handler(call)
            answer = await self._verb(call)
            if target.verb in ("get", "list"):
                answer = await compressed(request, answer)
            return with_warnings(answer, DEPRECATED.get(target.resource, ()) if not target.group else ())
        except WherryError as error:
            return with_warnings(error_response(errors.from_error(error)), call.warnings)

    def _authenticated(self, request: Request) -> User:
        try:
            user = self._access.authenticator.authenticate(request)
        except Unauthorized:
            self._metrics.authenticated(is_known=False)
            raise
        self._metrics.authenticated(is_known=True)
        return user

    async def _path(self, request: Request, user: User) -> Response | Upgrade:
        self._access.require_path(user, request.method, request.path)
        parts = request.path.split("/")
        row = self._aggregation.find(parts[2], parts[3]) if len(parts) > 3 and parts[1] == "apis" else None
        if row is not None:
            if request.path not in (row.backend.path, f"{row.backend.path}/"):
                raise errors.path_not_found()  # everybody may read documents; what the backend makes of other paths is its own
            return await self._aggregation.forward(request, row, user)
        if parts[1] in ENDPOINTS:
            found = await self._health.answer(request.path, request.query)
            if found is None:
                raise errors.path_not_found()
            return found
        if request.path in ("/metrics", "/metrics/slis"):
            text = self._metrics.registry.render() if request.path == "/metrics" else await self._health.results()
            return Response(200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)
        return self._paths.answer(request)

    async def _verb(self, call: Call) -> Response:
        verb = call.target.verb
        action = self._verbs.by_name.get(verb)
        resource, target = call.served.resource, call.target
        over_all = resource.namespaced and not target.namespace  # only reading goes over all namespaces
        if (action is None or verb not in resource.verbs or (verb == "create" and target.name)
                or (over_all and verb not in ("list", "watch"))):
            raise errors.method_not_allowed(call.served.resource, verb)
        if verb == "watch":
            return await action(call)
        if verb == "create" and call.served.is_terminating:
            raise errors.ApiError(
                405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await action(call)
        except TimeoutError as error:
            raise errors.timeout(f"request did not complete within {self._timeout_s:g}s") from error

    def _served(self, target: Target) -> Served:
        served = self._table.find(target.group, target.version, target.resource)
        if served is None:
            raise errors.path_not_found()
        if served.resource.namespaced:
            if not target.namespace and target.name:
                raise errors.path_not_found()
        elif target.namespace and target.resource != "namespaces":
            raise errors.path_not_found()
        return served


class Counted:
    """A streamed body that counts as a long-running request until it ends or is closed."""

    def __init__(self, body: AsyncIterator[bytes], metrics: ApiMetrics, what: Measured) -> None:
        self._body = body
        self._open = ExitStack()
        self._open.enter_context(metrics.long_running(what))

    def __aiter__(self) -> "Counted":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            self._open.close()
            raise

    async def aclose(self) -> None:
        """End the stream. Idempotent."""
        self._open.close()
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()


def _scope(target: Target) -> str:
    if not target.resource:
        return ""
    if target.name:
        return "resource"
    return "namespace" if target.namespace else "cluster"


def _field_selector(request: Request) -> tuple[tuple[str, str], ...]:
    text = request.param("fieldSelector") if request.query else ""
    if not text:
        return ()
    pairs = (part.partition("=") for part in text.split(",") if "!=" not in part)
    return tuple((name, value.lstrip("=")) for name, _, value in pairs if name in ("metadata.name", "spec.nodeName"))

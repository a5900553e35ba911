"""The aggregation layer: group-versions that other API servers serve, kept in line with the APIServices.

In:    APIServices, the Services and EndpointSlices behind them; the rows of custom resources.
Out:   `find` (who serves a group-version), `foreign` (what discovery and OpenAPI show of them), the condition Available,
       an APIService for each custom group-version.
Spec:  kube-aggregator: availability is looked at on every change and each 30 s, a failing one again after 5 ms doubling to 30 s.

Failure table: backend gone or refuses -> Available=False with the reason, requests are answered with 503, discovery keeps what was
known, marked Stale; answers rubbish -> the same; is slow -> 5 s, other backends are asked beside it; APIService deleted -> its
group-version is nobody's (404) at once; server restarts -> the condition in the store counts until the first look; two servers
-> both look, a conflict is looked at again.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from uuid import uuid4

from wherry.kit.backoff import Backoff
from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import WherryError
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.metrics import Registry as Metrics
from wherry.kit.supervise import attempt, keep_running
from wherry.orchestration.apiserver.aggregation import services
from wherry.orchestration.apiserver.aggregation.backends import Answered, Backends
from wherry.orchestration.apiserver.aggregation.services import Backend, Problem
from wherry.orchestration.apiserver.discovery import foreign
from wherry.orchestration.apiserver.discovery.foreign import Foreign
from wherry.orchestration.apiserver.openapi.foreign import part_of, url_in
from wherry.orchestration.apiserver.registry.cache import Cached, CacheEvent
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.objects import CachedObjects
from wherry.orchestration.apiserver.registry.served import ServedTable
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.endpoints import service_of
from wherry.orchestration.objects.kinds import API_SERVICES, ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object, key_of
from wherry.orchestration.store.contract import RevisionMismatch

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 30.0
DOCUMENTS_AGAIN_S = 60.0
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
DISCOVERY_ACCEPT = f"{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
TRIES = 3
AT_ONCE = 8  # backends that are looked at beside each other
LEGACY = "v1."  # the core group: never handed away


@dataclass(slots=True)
class Proxied:
    """A group-version of another server: a row of the API that is neither stored nor made here."""

    backend: Backend
    is_available: bool
    shown: Foreign
    documents_at: float = 0.0  # of the loop's time; 0.0: never


@dataclass(slots=True)
class _Queue:
    """Names that wait for a look; one look at a name at a time."""

    dirty: dict[str, None] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Aggregation:
    """Call `load` once the registry is loaded, then keep `run` running. `revision` grows when `foreign` changes."""

    def __init__(self, registry: Registry, table: ServedTable, backends: Backends, clock: Clock, metrics: Metrics) -> None:
        self._registry = registry
        self._table = table
        self._source = CachedObjects(table)
        self._backends = backends
        self._clock = clock
        self._rows: dict[str, Proxied] = {}
        self._queue = _Queue()
        self._backoff = Backoff(0.005, LOOK_AGAIN_S)
        self.revision = 0
        self._unavailable = metrics.gauge(
            "aggregator_unavailable_apiservice", "Gauge of APIServices which are marked as unavailable.", ("name",))
        self._went = metrics.counter(
            "aggregator_unavailable_apiservice_total", "APIServices that became unavailable, by name and reason.",
            ("name", "reason"))

    def find(self, group: str, version: str) -> Proxied | None:
        """Who else serves a group-version."""
        return self._rows.get(f"{version}.{group}") if self._rows else None

    def foreign(self) -> list[Foreign]:
        """What discovery and OpenAPI show of them."""
        return [row.shown for row in self._rows.values()]

    async def forward(self, request: Request, row: Proxied, user: User) -> Response | Upgrade:
        """Pass a request on; 503 as upstream's proxy says it while the backend is not available."""
        if not row.is_available:
            return Response(503, [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")],
                            b"service unavailable\n")
        return await self._backends.forward(request, row.backend, user)

    def load(self) -> None:
        """Know what the store has, and follow it from now on."""
        api_services = self._table.of(API_SERVICES).cache
        for cached in api_services.select():
            self._take(cached)
        api_services.listeners.append(self._changed)
        self._table.of(SERVICES).cache.listeners.append(lambda event: self._behind(event, key_of))
        self._table.of(ENDPOINT_SLICES).cache.listeners.append(lambda event: self._behind(event, service_of))
        self._table.listeners.append(self._mark)
        for group, version in self._custom():
            self._mark(f"{version}.{group}")

    async def run(self) -> None:
        """Look at what is marked, and at everything foreign now and then, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_again_for_ever(), name="aggregation clock")
            for number in range(AT_ONCE):
                tasks.create_task(keep_running("aggregation", self._work), name=f"aggregation-{number}")

    def _changed(self, event: CacheEvent) -> None:
        if event.new is not None:
            self._take(event.new)
        elif event.old is not None and self._rows.pop(event.old.key, None) is not None:
            self._unavailable.remove((event.old.key,))
            self.revision += 1
        cached = event.new or event.old
        if cached is not None:
            self._mark(cached.key)

    def _take(self, cached: Cached) -> None:
        """Bring the row of one APIService in line with it."""
        obj = cached.obj()
        backend = services.backend_of(obj)
        known = self._rows.get(cached.key)
        if backend is None or cached.key == LEGACY:
            if self._rows.pop(cached.key, None) is not None:
                self._unavailable.remove((cached.key,))
                self.revision += 1
            self._mark(cached.key)
            return
        spec = obj["spec"]
        priorities = spec.get("groupPriorityMinimum") or 0, spec.get("versionPriority") or 0
        if known is None or known.backend != backend:
            shown = Foreign(backend.group, backend.version, *priorities)
            self._rows[cached.key] = Proxied(backend, services.is_available(obj), shown)
            self.revision += 1
            self._mark(cached.key)
            return
        known.is_available = services.is_available(obj)
        shown = replace(known.shown, group_priority=priorities[0], version_priority=priorities[1])
        if shown != known.shown:
            known.shown = shown
            self.revision += 1

    def _behind(self, event: CacheEvent, key_of_service: Callable[[Object], str]) -> None:
        cached = event.new or event.old
        if cached is None or all(row.backend.namespace != cached.namespace for row in self._rows.values()):
            return
        obj = cached.obj()
        key = key_of_service(obj)
        for name, row in self._rows.items():
            if row.backend.service_key == key:
                row.documents_at = 0.0
                self._backoff.reset(name)
                self._mark(name)

    def _mark(self, name: str) -> None:
        self._queue.dirty[name] = None
        self._queue.wake.set()

    async def _look_again_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            for name in self._rows:
                self._mark(name)

    async def _work(self) -> None:
        queue = self._queue
        while True:
            await queue.wake.wait()
            name = next((name for name in queue.dirty if name not in queue.busy), None)
            if name is None:
                queue.wake.clear()
                continue
            del queue.dirty[name]
            queue.busy.add(name)
            try:
                if not await attempt(f"APIService {name}", self._look_at(name)):
                    self._again(name)
            finally:
                queue.busy.discard(name)
                if queue.dirty:
                    queue.wake.set()

    def _again(self, name: str) -> None:
        asyncio.get_running_loop().call_later(self._backoff.next_delay_s(name), self._mark, name)

    async def _look_at(self, name: str) -> None:
        if await self._reconcile(name):
            self._backoff.reset(name)
        else:
            self._again(name)

    async def _reconcile(self, name: str) -> bool:
        """Look at one APIService. False: again, soon."""
        await self._registry.fresh()
        cache = self._table.of(API_SERVICES).cache
        cached = cache.items.get(name)
        if cached is None:
            return await self._make_for_custom(name)
        obj = cached.obj()
        if services.is_orphan(obj, self._custom()):
            return await _landed(self._registry.delete(cache, name, expected=cached.revision))
        row = self._rows.get(name)
        problem = await self._problem(row) if row is not None else None
        if row is not None:
            self._show(row, problem)
        updated = services.with_available(obj, problem, self._clock.now())
        if updated is not obj:
            if problem is not None:
                self._went.inc((name, problem.reason))
                log.warning("APIService %s is not available: %s: %s", name, problem.reason, problem.message)
            if not await _landed(
                    self._registry.put(cache, name, updated, expected=cached.revision, created=cached.created)):
                return False
        return problem is None

    async def _make_for_custom(self, name: str) -> bool:
        version, _, group = name.partition(".")
        if (group, version) not in self._custom():
            return True
        made = services.of_custom(group, version, self._clock.now())
        stamp = {"uid": str(uuid4()), "creationTimestamp": rfc3339(self._clock.now())}
        made["metadata"] = {**made["metadata"], **stamp}
        return await _landed(self._registry.put(self._table.of(API_SERVICES).cache, name, made, expected=0))

    def _custom(self) -> set[tuple[str, str]]:
        return {(row.resource.group, row.resource.version) for row in self._table.rows() if row.is_custom}

    def _show(self, row: Proxied, problem: Problem | None) -> None:
        name = row.backend.name
        if self._rows.get(name) is not row:
            return  # it went while its backend was asked
        self._unavailable.set(0 if problem is None else 1, (name,))
        if row.shown.is_current != (problem is None):
            row.shown = replace(row.shown, is_current=problem is None)
            self.revision += 1

    async def _problem(self, row: Proxied) -> Problem | None:
        backend = row.backend
        service = self._source.get(SERVICES, backend.namespace, backend.service)
        slices = [s for s in self._source.list(ENDPOINT_SLICES, backend.namespace) if service_of(s) == backend.service_key]
        problem = services.problem_of(backend, service, slices)
        if problem is not None:
            return problem
        url = f"https://{backend.server_name}:{backend.port}{backend.path}"
        text = ""
        for _ in range(TRIES):  # one of several endpoints may be the one that does not answer
            try:
                answer = await self._backends.ask(backend, backend.path, "application/json")
            except (WherryError, OSError) as error:
                text = str(error)
                continue
            if 200 <= answer.status < 300:
                await self._read_documents(row, answer)
                return None
            text = f"bad status from {url}: {answer.status}"
        return Problem("FailedDiscoveryCheck", f"failing or missing response from {url}: {text}")

    async def _read_documents(self, row: Proxied, plain: Answered) -> None:
        now = asyncio.get_running_loop().time()
        if row.documents_at and now < row.documents_at + DOCUMENTS_AGAIN_S:
            return
        try:
            shown = await self._with_openapi(row, await self._with_resources(row, plain))
        except (WherryError, OSError) as error:
            log.warning("what APIService %s serves stays as it was known: %s", row.backend.name, error)
            return
        row.documents_at = now
        if self._rows.get(row.backend.name) is row and shown != row.shown:
            row.shown = shown
            self.revision += 1

    async def _with_resources(self, row: Proxied, plain: Answered) -> Foreign:
        backend = row.backend
        answer = await self._backends.ask(backend, "/apis", DISCOVERY_ACCEPT)
        resources = None
        if answer.status == 200 and "as=APIGroupDiscoveryList" in answer.headers.get("content-type", "").replace(" ", ""):
            resources = foreign.resources_in(await answer.document(), backend.group, backend.version)
        if resources is None:
            resources = foreign.resources_of_plain(await plain.document(), backend.group, backend.version)
        return replace(row.shown, resources=tuple(resources))

    async def _with_openapi(self, row: Proxied, shown: Foreign) -> Foreign:
        """Its schemas. A server that has none is served all the same."""
        backend = row.backend
        index = await self._backends.ask(backend, "/openapi/v3", "application/json")
        if index.status == 200:
            url = url_in(await index.document(), backend.path.removeprefix("/"))
            if url and (url != shown.openapi_url or "hash=" not in url):
                document = await self._backends.ask(backend, url, "application/json")
                if document.status == 200:
                    await document.document()
                    shown = replace(shown, openapi_url=url, openapi_v3=document.body)
        answer = await self._backends.ask(backend, "/openapi/v2", "application/json", shown.openapi_v2_etag)
        if answer.status == 200:
            etag = answer.headers.get("etag") or hashlib.sha256(answer.body).hexdigest()
            part = await asyncio.to_thread(part_of, await answer.document(), backend.path)
            shown = replace(shown, openapi_v2=part, openapi_v2_etag=etag)
        return shown


async def _landed(write: Awaitable[object]) -> bool:
    """False: somebody else was faster."""
    try:
        await write
    except RevisionMismatch:
        return False
    return True

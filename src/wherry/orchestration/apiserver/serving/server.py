"""The API server: one `handle` for every request, and `run` for what goes on behind it.

In:    `Request`s from the TLS front or from in-process clients (who say who they are).
Out:   `Response`s and `Upgrade`s. Order: authenticate, impersonate, authorize, admit, act.
Start: `run()` loads the store, writes what must exist, then sets `ready`.
"""

import asyncio
import ssl
from collections.abc import Sequence
from copy import deepcopy
from uuid import uuid4

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import Unavailable
from wherry.kit.http.health import Health
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.metrics import Registry as MetricsRegistry
from wherry.kit.process_metrics import add_process_metrics
from wherry.kit.supervise import attempt, keep_running
from wherry.orchestration.apiserver.admission.plugins import default_chain
from wherry.orchestration.apiserver.aggregation.backends import Backends, FrontProxy
from wherry.orchestration.apiserver.aggregation.loop import Aggregation
from wherry.orchestration.apiserver.allocation.allocator import Allocator
from wherry.orchestration.apiserver.allocation.claims import Claims
from wherry.orchestration.apiserver.allocation.repair import Repair
from wherry.orchestration.apiserver.auth.jwt import PrivateKey
from wherry.orchestration.apiserver.call.access import Access
from wherry.orchestration.apiserver.custom.loop import CustomResources
from wherry.orchestration.apiserver.quota.on_the_way import InMemory, InStore
from wherry.orchestration.apiserver.quota.quotas import Quotas
from wherry.orchestration.apiserver.registry.codec import Sealer
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.objects import CachedObjects
from wherry.orchestration.apiserver.registry.served import ServedTable, built_in
from wherry.orchestration.apiserver.serving import bootstrap
from wherry.orchestration.apiserver.serving.components import Components
from wherry.orchestration.apiserver.serving.event_expiry import EventExpiry
from wherry.orchestration.apiserver.serving.metrics import ApiMetrics
from wherry.orchestration.apiserver.serving.paths import Paths
from wherry.orchestration.apiserver.serving.pipeline import Pipeline
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.strategies.services import ServiceStrategy
from wherry.orchestration.apiserver.subresources.routes import Subresources
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.apiserver.verbs.writer import Writer
from wherry.orchestration.objects.kinds import BUILTIN, COMPONENT_STATUSES, EVENTS, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import RevisionMismatch, Store

BOOTSTRAP_PERIOD_S = 30.0
SEALED_PREFIXES = ("/registry/core/secrets/",)


class ApiServer:
    """See the module docstring. `ready` is set once requests are answered."""

    def __init__(
        self, settings: ApiServerSettings, store: Store, clock: Clock, *,
        service_account_key: PrivateKey | None = None, agent_tls: ssl.SSLContext | None = None,
        front_proxy: FrontProxy | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.ready = asyncio.Event()
        self.registry = Registry(
            store, Sealer(settings.encryption_key, SEALED_PREFIXES), is_store_shared=settings.is_store_shared)
        self.table = ServedTable()
        for resource in BUILTIN:
            self.table.add(built_in(resource, self.registry))
        self.source = CachedObjects(self.table)
        self.access = Access(self.source, clock, service_account_key, settings.cluster_domain)
        on_the_way = InStore(self.registry, self.table, clock) if settings.is_store_shared else InMemory()
        self.quotas = Quotas(self.registry, self.table, on_the_way)
        chain = default_chain(self.source, self.registry, self.access, self.quotas, settings)
        self.writer = Writer(self.registry, chain, clock)
        self.verbs = Verbs(self.registry, self.writer, settings)
        self.subresources = Subresources(self.verbs, self.table, self.access, agent_tls)
        self.custom = CustomResources(self.registry, self.table, self.verbs.deleter, clock)
        self.event_expiry = EventExpiry(self.table.of(EVENTS), self.registry, clock, settings.event_ttl_s)
        metrics = ApiMetrics(MetricsRegistry())
        self.backends = Backends(self.source, front_proxy)
        self.aggregation = Aggregation(self.registry, self.table, self.backends, clock, metrics.registry)
        self._trust = front_proxy.trust if front_proxy else None
        self.paths = Paths(self.table, self.aggregation, self.access, f"{settings.advertise_address}:{settings.advertise_port}")
        self.health = Health()
        self.health.add("store", self._check_store, ("readyz", "healthz"))
        self.health.add("disk-space", store.check_space, ("readyz",))
        self.components = Components(self._check_store)
        self.components.serve(self.table.of(COMPONENT_STATUSES))
        add_process_metrics(metrics.registry)
        metrics.count_objects(lambda: {(c.group, c.plural): len(c.items) for c in self.registry.caches() if c.items})
        self._pipeline = Pipeline(
            self.table, self.access, self.verbs, self.subresources, self.aggregation, self.paths, self.health, metrics, settings)
        services = self.table.of(SERVICES)
        assert isinstance(services.strategy, ServiceStrategy)
        claims = Claims(self.registry, clock)
        services.strategy.allocator = Allocator(claims, settings.service_cidr, settings.node_ports, settings.reserved)
        self.repair = Repair(self.registry, services.cache, claims)

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer one request; every failure is a Status."""
        return await self._pipeline.handle(request)

    async def run(self) -> None:
        """Run until cancelled."""
        await self.registry.load()
        await self._write_missing(bootstrap.objects(self.settings, BUILTIN, self.clock, self._trust))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("store watch", self.registry.run), name="store watch")
            await self.registry.fresh()
            self.custom.load()
            self.aggregation.load()
            tasks.create_task(keep_running("custom resources", self.custom.run), name="custom resources")
            tasks.create_task(keep_running("aggregation", self.aggregation.run), name="aggregation")
            tasks.create_task(keep_running("resource quotas", self.quotas.run), name="resource quotas")
            await attempt("allocation repair", self.repair.once(is_quiet=not self.settings.is_store_shared))
            self.ready.set()
            tasks.create_task(keep_running("allocation repair", self.repair.run), name="allocation repair")
            tasks.create_task(keep_running("bootstrap objects", self._keep_bootstrapped), name="bootstrap objects")
            tasks.create_task(keep_running("compaction", self._compact_for_ever), name="compaction")
            tasks.create_task(keep_running("event expiry", self.event_expiry.run), name="event expiry")

    async def _check_store(self) -> None:
        if not self.ready.is_set():
            raise Unavailable("still starting")
        await self.registry.store.revision()

    async def _write_missing(self, wanted: Sequence[Object]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for obj, existing in bootstrap.missing_or_changed(self.table, wanted):
                tasks.create_task(self._write_at_start(obj, existing), name="write at start")

    async def _keep_bootstrapped(self) -> None:
        """What a user deleted by mistake (Service kubernetes, a priority class) comes back."""
        while True:
            await asyncio.sleep(BOOTSTRAP_PERIOD_S)
            await self.registry.fresh()
            await self._write_missing(bootstrap.kept_objects(self.settings, self.clock, self._trust))

    async def _write_at_start(self, obj: Object, existing: Object | None) -> None:
        served = self.table.by_kind(obj["apiVersion"], obj["kind"])
        assert served is not None
        metadata = dict(obj["metadata"])
        expected = 0
        if existing is None:
            metadata = {**metadata, "uid": str(uuid4()), "creationTimestamp": rfc3339(self.clock.now())}
        else:
            cached = served.cache.items[served.key_of(existing)]
            expected = cached.revision
        read, _ = served.rules.read(deepcopy({**obj, "metadata": metadata}))
        written = served.rules.default(read)
        try:
            await self.registry.put(served.cache, served.key_of(written), written, expected=expected)
        except RevisionMismatch:
            pass  # another API server on the same store was faster with the same objects

    async def _compact_for_ever(self) -> None:
        earlier = self.registry.revision
        while True:
            await asyncio.sleep(self.settings.compaction_period_s)
            await self.registry.store.compact(earlier)
            earlier = self.registry.revision

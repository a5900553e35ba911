"""The gateway's control loop: what the cluster says becomes what Envoy does, and statuses say so.

In:    a client that may read routing resources, Services, EndpointSlices, TLS Secrets and Namespaces of all namespaces,
       write their statuses, and own the workload's objects; settings; a clock.
Out:   configuration for every Envoy on `settings.xds_socket`; statuses; the Envoy workload; Gateway API's definitions.
Never: decides; see `compiler.py`, `dialects/`, `xds/`.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from wherry.application.gateway import install, statuses
from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.dialects.contract import Dialect, Notice, Status, Watched
from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.settings import GatewaySettings
from wherry.application.gateway.snapshot import Snapshot
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.resources import Builder
from wherry.application.gateway.xds.server import AdsServer
from wherry.kit.clock import Clock
from wherry.kit.collector import tune_collector
from wherry.kit.errors import Conflict, NotFound, WherryError
from wherry.kit.supervise import keep_running
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES
from wherry.orchestration.objects.meta import Object, key_of, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

STATUS_WRITERS = 8  # at the same time
STATUS_RETRY_S = 1.0
DEFINITIONS_WAIT_S = 10.0  # kinds that are not there by then are taken as absent until they come


def _means_the_same(old: Object, new: Object) -> bool:
    """Nothing changed but the status and what the API server keeps in the metadata."""
    if old.keys() != new.keys() or any(old[key] != new[key] for key in old if key not in ("metadata", "status")):
        return False
    was, now = old["metadata"], new["metadata"]
    return all(was.get(key) == now.get(key) for key in (was.keys() | now.keys()) - {"managedFields", "resourceVersion"})


@dataclass(slots=True)
class _Source:
    """One watched resource; its objects by key, shared with the informer's callbacks."""

    informer: Informer
    objects: dict[str, Object]


class GatewayController:
    """See the module docstring. `feed` is what Envoys get; tests may look."""

    def __init__(
        self, client: Client, settings: GatewaySettings, clock: Clock, *, dialects: Iterable[Dialect] | None = None,
        has_image: asyncio.Event | None = None,
    ) -> None:
        self._has_image = has_image  # the Envoy workload is made once it is set; None: at once
        self._client = client
        self._settings = settings
        self._clock = clock
        self._dialects = tuple(dialects_for(settings) if dialects is None else dialects)
        self._compiler = Compiler(self._dialects)
        self._builder = Builder(settings)
        self.feed = Feed()
        self.feed.on_report = self._note
        self._server = AdsServer(self.feed, settings)
        self._informers = Informers(client, clock)
        self._sources: dict[str, _Source] = {}
        self._changed = asyncio.Event()
        self._wanted: tuple[Status, ...] = ()
        self._to_write = asyncio.Event()
        self._recorder = Recorder(client, "wherry-gateway", clock=clock)
        self._told: frozenset[tuple[str, str, str]] = frozenset()
        self._said: dict[tuple[Resource, str], tuple[Status, Object]] = {}  # objects that say what they must, as last seen

    async def run(self) -> None:
        """Run until cancelled. Envoys keep serving what they have afterwards."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("gateway definitions", self._install), name="gateway-install")
            tasks.create_task(self._informers.run(), name="gateway-informers")
            tasks.create_task(self._recorder.run(), name="gateway-events")
            tasks.create_task(keep_running("gateway discovery service", self._server.run), name="gateway-ads")
            tasks.create_task(self._keep_published(), name="gateway-publish")
            tasks.create_task(keep_running("gateway statuses", self._keep_written), name="gateway-statuses")

    async def _install(self) -> None:
        await install.ensure(self._client, self._settings, has_image=self._has_image)
        await asyncio.Event().wait()

    async def _keep_published(self) -> None:
        await self._watch()
        tune_collector()
        while True:
            self._changed.clear()
            self._publish()
            await self._changed.wait()
            await self._clock.sleep(self._settings.coalesce_s)

    def _publish(self) -> None:
        snapshot = Snapshot({name: source.objects for name, source in self._sources.items()})
        compiled = self._compiler.compile(snapshot, self._rejected())
        resources = self._builder.build(compiled.model)
        if self.feed.current is None or resources.by_type != self.feed.current.by_type:
            self.feed.publish(resources)
        self._wanted = compiled.statuses
        self._tell(compiled.notices)
        self._to_write.set()

    def _tell(self, notices: Iterable[Notice]) -> None:
        told = {(uid_of(notice.obj), notice.reason, notice.message): notice for notice in notices}
        for key, notice in told.items():
            if key not in self._told:
                self._recorder.event(notice.obj, WARNING, notice.reason, notice.message)
        self._told = frozenset(told)

    def _rejected(self) -> dict[str, str]:
        """Envoy's words by owner. An owner learns only of a listener or route table that it has a part in."""
        current = self.feed.current
        if current is None:
            return {}
        return {
            owner: message
            for key, message in self.feed.rejections.items()
            for owner in current.owners.get(key, ())
        }

    async def _watch(self) -> None:
        """Start every informer; go on when all are in, or those that exist."""
        for watched in self._watched():
            informer = self._informers.of(watched.resource, fields=watched.fields)
            source = _Source(informer, {})
            self._sources[watched.resource.qualified_name] = source
            informer.subscribe(partial(self._take, source.objects))
        try:
            async with asyncio.timeout(DEFINITIONS_WAIT_S):
                await self._informers.wait_synced()
        except TimeoutError:
            missing = [name for name, source in self._sources.items() if not source.informer.synced]
            log.warning("not served by this cluster so far: %s", ", ".join(missing))

    def _watched(self) -> Iterable[Watched]:
        known = {Watched(ENDPOINT_SLICES).resource.qualified_name: Watched(ENDPOINT_SLICES)}
        for dialect in self._dialects:
            known |= {watched.resource.qualified_name: watched for watched in dialect.watched}
        return known.values()

    def _take(self, held: dict[str, Object], old: Object | None, new: Object | None) -> None:
        if new is not None:
            held[key_of(new)] = new
            if old is not None and _means_the_same(old, new):
                self._to_write.set()  # somebody may have changed what a status says
                return
        elif old is not None:
            held.pop(key_of(old), None)
        self._note()

    def _note(self) -> None:
        self._changed.set()

    async def _keep_written(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            due = list(self._due())
            limit = asyncio.Semaphore(STATUS_WRITERS)
            async with asyncio.TaskGroup() as tasks:
                written = [tasks.create_task(self._write(limit, status, patch)) for status, patch in due]
            if not all(task.result() for task in written):
                await self._clock.sleep(STATUS_RETRY_S)
                self._to_write.set()

    def _due(self) -> Iterable[tuple[Status, Object]]:
        now = self._clock.now()
        said: dict[tuple[Resource, str], tuple[Status, Object]] = {}
        for status in self._wanted:
            key = (status.resource, status.key)
            obj = self._sources[status.resource.qualified_name].objects.get(status.key)
            if obj is None:
                continue
            known = self._said.get(key)
            if known is not None and known[0] is status and known[1] is obj:
                said[key] = known
            elif (patch := statuses.patch_for(obj, status.desired, now)) is None:
                said[key] = (status, obj)
            else:
                yield status, patch
        self._said = said

    async def _write(self, limit: asyncio.Semaphore, status: Status, patch: Object) -> bool:
        """Write one; False asks for another try."""
        async with limit:
            try:
                await self._client.patch_status(status.resource, status.name, status.namespace, patch)
            except (Conflict, NotFound):
                return True  # changed or gone since: its event brings us here again
            except WherryError as error:
                log.warning("status of %s %s not written: %s", status.resource.kind, status.key, error)
                return False
        return True

"""The gateway's control loop: what the cluster says becomes what Envoy does, and statuses say so.

In:    a client that may read routing resources, Services, EndpointSlices, TLS Secrets and Namespaces of all namespaces,
       write their statuses, and own the workload's objects; settings; a clock.
Out:   configuration for every Envoy on `settings.xds_socket`; statuses; the Envoy workload; Gateway API's definitions.
Never: decides; see `compiler.py`, `dialects/`, `xds/`.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from wherry.application.gateway import install, statuses
from wherry.application.gateway.blame import blamed
from wherry.application.gateway.compiler import Compiled, Compiler
from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.keeping import TakenFile
from wherry.application.gateway.model.contract import Dialect, Notice, Status, Watched
from wherry.application.gateway.model.freshness import revisions_wanted
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.snapshot import Snapshot
from wherry.application.gateway.model.values import GatewayModel
from wherry.application.gateway.programmed import Programmed, held_back
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.resources import ROUTES, Builder
from wherry.application.gateway.xds.server import AdsServer
from wherry.kit.clock import Clock, loop_time
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
DATE_LOOK_S = 60.0  # somebody may set the machine's clock
BEHIND_S = 3.0  # a change is held back so long at most while a watch that it refers to is behind
DEFINITIONS_WAIT_S = 10.0  # kinds that are not there by then are taken as absent until they come


def _means_the_same(old: Object, new: Object) -> bool:
    """Nothing changed but the status and what the API server keeps in the metadata."""
    if any(old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - {"metadata", "status"}):
        return False  # the first status adds its key
    was, now = old["metadata"], new["metadata"]
    return all(was.get(key) == now.get(key) for key in (was.keys() | now.keys()) - {"managedFields", "resourceVersion"})


@dataclass(slots=True)
class _Source:
    """One watched resource; its objects by key, shared with the informer's callbacks.

    What dialects read stays the same object while it means the same, so that a status costs no work; what statuses are
    compared with is the newest one.
    """

    informer: Informer
    fields: str
    objects: dict[str, Object] = field(default_factory=dict)
    newest: dict[str, Object] = field(default_factory=dict)

    @property
    def revision(self) -> int:
        """Everything older than this has arrived."""
        return int(self.informer.revision or 0)


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
        self._compiler = Compiler(self._dialects, clock.now)
        self._taken = TakenFile(settings.taken_file)
        self._builder = Builder(settings, self._taken.read())
        self.feed = Feed()
        self.feed.on_report = self._note
        self.feed.on_verdict = self._judged
        self.feed.on_applied = self._note_applied
        self._programmed = Programmed()
        self._model = GatewayModel()
        self._server = AdsServer(self.feed, settings)
        self._informers = Informers(client)
        self._sources: dict[str, _Source] = {}
        self._changed = asyncio.Event()
        self._arrived = asyncio.Event()  # anything at all, wanted or not
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
            keep_taken = partial(self._taken.keep, lambda: self._builder.isolation.last_good)
            tasks.create_task(keep_running("gateway routes taken", keep_taken), name="gateway-taken")

    async def _install(self) -> None:
        await install.ensure(self._client, self._settings, has_image=self._has_image)
        await asyncio.Event().wait()

    async def _keep_published(self) -> None:
        with ExitStack() as subscriptions:
            await self._watch(subscriptions)
            while True:
                began_at = loop_time()
                compiled, waited_s = await self._compiled()
                self._publish(compiled)
                rested_at = 2 * loop_time() - began_at - waited_s
                await self._until_changed(compiled.due_at)
                # Under a stream of changes at most half of the time is spent here; a change by itself is not delayed.
                await asyncio.sleep(max(self._settings.coalesce_s, rested_at - loop_time()))

    async def _until_changed(self, due_at: datetime | None) -> None:
        """A change, or a moment that is one."""
        async with asyncio.TaskGroup() as tasks:
            timer = tasks.create_task(self._note_at(due_at), name="gateway-certificate-end")
            await self._changed.wait()
            timer.cancel()

    async def _note_at(self, moment: datetime | None) -> None:
        while moment is not None and (left := (moment - self._clock.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, DATE_LOOK_S))
        if moment is not None:
            self._note()

    async def _compiled(self) -> tuple[Compiled, float]:
        """The newest state, understood, and how long the waiting was.

        What a change refers to has arrived too, or is not there, or is not waited for any more.

        A route that is moved to a new Service may be here before the Service; it keeps its old place until both are.
        """
        compiled, began_at = self._compile(), loop_time()
        fields = {name: source.fields for name, source in self._sources.items()}
        try:
            async with asyncio.timeout(BEHIND_S):
                while behind := await revisions_wanted(self._client, compiled.lacks, fields):
                    while any(self._sources[name].revision < revision for name, revision in behind.items()):
                        self._arrived.clear()
                        await self._arrived.wait()
                    compiled = self._compile()
        except TimeoutError:
            log.warning("what changed refers to objects that are not here after %s s, going on without", BEHIND_S)
        return compiled, loop_time() - began_at

    def _compile(self) -> Compiled:
        self._changed.clear()
        snapshot = Snapshot({name: source.objects for name, source in self._sources.items()})
        return self._compiler.compile(snapshot, self._rejected())

    def _publish(self, compiled: Compiled) -> None:
        rejected = self._rejected()
        self._model = compiled.model
        resources = self._builder.build(compiled.model)
        if self.feed.current is None or resources.by_type != self.feed.current.by_type:
            self.feed.publish(resources)
        self._programmed.published(self.feed.current or resources, compiled.model.listeners)
        self._note_applied()
        self._wanted = compiled.statuses
        self._tell(compiled.notices)
        self._to_write.set()
        if self._rejected() != rejected:
            self._note()  # what was refused is no longer asked for

    def _tell(self, notices: Iterable[Notice]) -> None:
        told = {(uid_of(notice.obj), notice.reason, notice.message): notice for notice in notices}
        for key, notice in told.items():
            if key not in self._told:
                self._recorder.event(notice.obj, WARNING, notice.reason, notice.message)
        self._told = frozenset(told)

    def _rejected(self) -> dict[str, str]:
        """Envoy's words by owner. An owner learns only of what it has a part in."""
        current, isolation = self.feed.current, self._builder.isolation
        if current is None:
            return {}
        found = {key: text for key, text in self.feed.rejections.items() if not (key[0] == ROUTES and isolation.is_tried(key[1]))}
        if isolation.refusals:  # the table will be taken without them
            found = {key: text for key, text in found.items() if key[0] != ROUTES}
        return blamed(self._model, found, current.owners) | isolation.refusals

    async def _watch(self, subscriptions: ExitStack) -> None:
        """Start every informer; go on when all are in, or those that exist."""
        for watched in self._watched():
            informer = self._informers.of(watched.resource, fields=watched.fields)
            source = _Source(informer, watched.fields)
            self._sources[watched.resource.qualified_name] = source
            subscriptions.enter_context(informer.subscribed(partial(self._take, source)))
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

    def _take(self, source: _Source, old: Object | None, new: Object | None) -> None:
        self._arrived.set()
        if new is not None:
            key = key_of(new)
            source.newest[key] = new
            known = source.objects.get(key)
            if known is not None and _means_the_same(known, new):
                self._to_write.set()  # somebody may have changed what a status says
                return
            source.objects[key] = new
        elif old is not None:
            source.objects.pop(key_of(old), None)
            source.newest.pop(key_of(old), None)
        self._note()

    def _note(self) -> None:
        self._changed.set()

    def _note_applied(self) -> None:
        if self._programmed.confirmed(self.feed.held):
            self._to_write.set()

    def _judged(self, kind: str, name: str, version: str, message: str) -> bool:
        has_more = self._builder.judged(kind, name, version, message)
        if kind == ROUTES and not message:
            self._taken.note()
        return has_more

    async def _keep_written(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            due = list(self._due())
            limit = asyncio.Semaphore(STATUS_WRITERS)
            async with asyncio.TaskGroup() as tasks:
                written = [tasks.create_task(self._write(limit, status, patch), name="route status") for status, patch in due]
            if not all(task.result() for task in written):
                await asyncio.sleep(STATUS_RETRY_S)
                self._to_write.set()

    def _due(self) -> Iterable[tuple[Status, Object]]:
        now, pending = self._clock.now(), self._programmed.pending(self._model.listeners)
        said: dict[tuple[Resource, str], tuple[Status, Object]] = {}
        for status in self._wanted:
            key = (status.resource, status.key)
            obj = self._sources[status.resource.qualified_name].newest.get(status.key)
            if obj is None:
                continue
            known = self._said.get(key)
            if known is not None and known[0] is status and known[1] is obj:
                said[key] = known
                continue
            desired = held_back(status, obj, pending) if pending else status.desired
            if (patch := statuses.patch_for(obj, desired, now)) is not None:
                yield status, patch
            elif desired is status.desired:
                said[key] = (status, obj)
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

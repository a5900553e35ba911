"""The node agent: every pod that names this node has a worker; every worker's pod runs as it wants.

In:    pods with spec.nodeName of this node (watch), engine events, ConfigMap/Secret changes.
Out:   see `pod/worker.py`; the Node object; the node's HTTPS API.
Order: adopt what runs (`engine.restore`), then pods as the API tells of them. What runs here and is not in the API is
       removed only after the first complete list: an unreachable API never costs a container. The lease of this life is
       renewed once every pod says what is here of it: who waits for the node does not read what an earlier life saw.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable
from contextlib import suppress

from wherry.container.image.service import ImageService
from wherry.container.runtime.engine import Engine
from wherry.container.runtime.rootfs import LayerSource
from wherry.infrastructure.storage.contract import VolumeEngine
from wherry.kit.clock import Clock
from wherry.kit.http.server import serve
from wherry.kit.supervise import attempt, keep_running
from wherry.orchestration.agent.facts.pod import is_mirror
from wherry.orchestration.agent.facts.runtime import RuntimeView
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.logs.rotation import LogRotation
from wherry.orchestration.agent.node.api import NodeApi
from wherry.orchestration.agent.node.eviction import Eviction
from wherry.orchestration.agent.node.health import SyncLoopMonitor, node_health
from wherry.orchestration.agent.node.local_storage import LocalStorage
from wherry.orchestration.agent.node.loop import NodeLoop
from wherry.orchestration.agent.node.machine import Machine, read_machine
from wherry.orchestration.agent.node.objects import allocatable
from wherry.orchestration.agent.node.review import ApiReviewer, Reviewer
from wherry.orchestration.agent.plan.admission import Rejection, admit
from wherry.orchestration.agent.plan.resize import judge
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.pod.removal import remove_unknown
from wherry.orchestration.agent.pod.worker import PodWorker
from wherry.orchestration.agent.references.images import ImagePuller
from wherry.orchestration.agent.references.objects import ReferencedObjects
from wherry.orchestration.agent.volumes.image_volumes import PulledVolumeImages
from wherry.orchestration.agent.volumes.mount_door import LinuxMounts, MountDoor
from wherry.orchestration.agent.volumes.setup import PodVolumes
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import NODES, PODS, SERVICES
from wherry.orchestration.objects.meta import Object, uid_of

log = logging.getLogger(__name__)

REMOVAL_RETRY_S = 10.0
FIRST_LOOK_S_MAX = 5.0  # an eighth of a lease: a pod whose status cannot be sent does not cost the node its Ready


class Agent:
    """Build it, then `run()`. `api.handle` serves the node API without a socket; `tls` None: no socket is opened.

    `layers` None: image volumes are refused."""

    def __init__(
        self,
        settings: AgentSettings,
        client: Client,
        engine: Engine,
        images: ImageService,
        volumes: VolumeEngine | None,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        reviewer: Reviewer | None = None,
        mounts: MountDoor | None = None,
        machine: Machine | None = None,
        layers: LayerSource | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._tls = tls
        self._workers: dict[str, PodWorker] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._has_looked = asyncio.Event()
        machine = machine or read_machine(settings.data_dir)
        self._pods = Informer(client, PODS, fields=f"spec.nodeName={settings.node_name}")
        self._pods.subscribe(self._pod_changed)
        self._services = Informer(client, SERVICES)
        self._nodes = Informer(client, NODES, fields=f"metadata.name={settings.node_name}")
        self._nodes.subscribe(self._node_changed)
        self._recorder = Recorder(client, "kubelet", settings.node_name, clock=clock)
        self.node = NodeLoop(settings, client, images, machine, self._recorder, clock)
        self.view = RuntimeView(engine, self._poke)
        self._references = ReferencedObjects(client, self._references_changed)
        puller = ImagePuller(images, self._recorder, backoff_s_max=settings.image_backoff_s_max)
        volume_images = PulledVolumeImages(puller, self._references, layers)
        self.parts = Parts(
            settings=settings,
            client=client,
            engine=engine,
            view=self.view,
            images=puller,
            volumes=PodVolumes(settings, client, volumes, mounts or LinuxMounts(), clock, volume_images),
            references=self._references,
            recorder=self._recorder,
            clock=clock,
            services=self._services.list,
            refresh_node=self.node.read,
            admit=self._admit,
            judge_resize=lambda pod: judge(pod, self._admitted_others(pod), self.parts.allocatable),
            allocatable=allocatable(machine, settings),
            memory_capacity_bytes=machine.memory_bytes,
        )
        if reviewer is None and tls is not None:
            reviewer = ApiReviewer(client, settings.node_name)  # a socket is never open to everybody
        self._monitor = SyncLoopMonitor(settings.relist_s)
        self.api = NodeApi(self.parts, self.pods, lambda: self.node.node, reviewer, node_health(self._monitor))
        self._rotation = LogRotation(settings, self.view, clock)
        self._eviction = Eviction(self.parts, self.pods, self._evict)
        self._storage = LocalStorage(self.parts, self.pods, self._evict)

    async def run(self) -> None:
        """Until cancelled; containers go on running then. May be called again after it failed."""
        self._workers.clear()
        self._has_looked.clear()
        await self.engine.restore()
        await self.view.relist()
        self._monitor.went_round()
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._start(tasks)
        finally:
            self._tasks = None

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        for name, start in (
            ("engine events", self.view.follow),
            ("engine relist", self._keep_relisting),
            ("referenced objects", self._references.run),
            ("pods", self._pods.run),
            ("services", self._services.run),
            ("own node", self._nodes.run),
            ("events", self._recorder.run),
            ("log rotation", self._rotation.run),
            ("eviction", self._eviction.run),
            ("local storage", self._storage.run),
        ):
            tasks.create_task(keep_running(name, start), name=name)
        if self._tls is not None:
            tasks.create_task(keep_running("node api", self._serve), name="node api")
        await self.node.register()
        tasks.create_task(keep_running("node", self._keep_node), name="node")
        # Environment variables of Services must be complete before the first container of this life starts.
        await self._services.wait_synced()
        await self._pods.wait_synced()
        self._tasks = tasks  # from here on `_pod_changed` acts
        for pod in self._pods.list():
            self._pod_changed(None, pod)
        tasks.create_task(self._look_first([*self._workers.values()]), name="first look")
        tasks.create_task(attempt("removal of unknown pods", self._remove_unknown()), name="unknown pods")

    async def _look_first(self, workers: list[PodWorker]) -> None:
        for worker in workers:
            await worker.is_shown.wait()
        self._has_looked.set()

    async def _keep_node(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_S_MAX):
                await self._has_looked.wait()
        await self.node.run()

    def pods(self) -> list[Object]:
        """The pods of this node with their newest status."""
        return [worker.pod for worker in self._workers.values()]

    def _evict(self, uid: str, message: str) -> None:
        if uid in self._workers:
            self._workers[uid].evict("Evicted", message, grace=0.0)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.node.saw(new)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if self._tasks is None:
            return
        if new is None or (old is not None and uid_of(old) != uid_of(new)):
            assert old is not None
            if (worker := self._workers.get(uid_of(old))) is not None:
                worker.update(old)
                worker.forget()
        if new is None or is_mirror(new):
            return
        worker = self._workers.get(uid_of(new))
        if worker is not None:
            worker.update(new)
            return
        worker = self._workers[uid_of(new)] = PodWorker(new, self.parts)
        self._tasks.create_task(self._work(worker), name=f"pod {uid_of(new)}")

    async def _work(self, worker: PodWorker) -> None:
        while not await attempt(f"pod {worker.uid}", worker.run()):
            await asyncio.sleep(1.0)  # a bug in one pod's work must neither end the node nor spin
        self._workers.pop(worker.uid, None)

    def _admit(self, pod: Object) -> Rejection | None:
        return admit(
            pod,
            node=self.node.node,
            others=self._admitted_others(pod),
            allocatable=self.parts.allocatable,
            allowed_unsafe_sysctls=self.settings.allowed_unsafe_sysctls,
            reserved=self.settings.reserved,
        )

    def _admitted_others(self, pod: Object) -> Iterable[Object]:
        return (worker.pod for worker in self._workers.values() if worker.uid != uid_of(pod) and worker.holds_resources)

    async def _remove_unknown(self) -> None:
        """What earlier lives left of pods that the API has no longer."""
        unknown = (self.view.uids() | self.parts.volumes.pods_on_disk()) - set(self._workers)
        async with asyncio.TaskGroup() as tasks:
            for uid in unknown:
                log.info("pod %s is not in the API: removing what is here of it", uid)
                tasks.create_task(self._remove_one(uid), name=f"remove {uid}")

    async def _remove_one(self, uid: str) -> None:
        while not await attempt(f"removal of pod {uid}", remove_unknown(self.parts, uid)):
            await asyncio.sleep(REMOVAL_RETRY_S)

    async def _keep_relisting(self) -> None:
        while True:
            await asyncio.sleep(self.settings.relist_s)
            await self.view.relist()
            self._monitor.went_round()

    async def _serve(self) -> None:
        async with serve(self.api.handle, host=self.settings.listen_hosts, port=self.settings.port, tls=self._tls):
            await asyncio.Event().wait()

    def _poke(self, uid: str) -> None:
        if (worker := self._workers.get(uid)) is not None:
            worker.poke()

    def _references_changed(self, uid: str) -> None:
        if (worker := self._workers.get(uid)) is not None:
            worker.references_changed()

"""Schedule pods: take the next one that is due, decide, assume, bind; tell why when nothing fits.

In:    informers of pods, nodes, claims, volumes, storage classes.
Out:   Bindings; PodScheduled conditions and events; the selected-node annotation on claims that wait for it.
Never: decides; see `decide.py`. Preemption, inter-pod affinity and topology spread are not here yet (decide.refusal_of).
"""

import asyncio
import logging

from wherry.kit.clock import Clock
from wherry.kit.errors import Conflict, NotFound, WherryError
from wherry.kit.supervise import attempt
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.objects.kinds import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    condition_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    uid_of,
    with_condition,
)
from wherry.orchestration.scheduler.decide import Rotation, schedule
from wherry.orchestration.scheduler.queue import SchedulingQueue
from wherry.orchestration.scheduler.snapshot import FINISHED, Snapshot
from wherry.orchestration.scheduler.volumes import SELECTED_NODE, Claims, claims_of

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BIND_LIMIT_S = 30.0
CLAIMS_BOUND_LIMIT_S = 600.0  # upstream bindTimeoutSeconds
BINDINGS_AT_ONCE = 64
MERGE_PATCH = "application/merge-patch+json"


class Scheduler:
    """One profile, `default-scheduler`. `run` until cancelled; the informers run elsewhere."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._classes = informers.of(STORAGE_CLASSES)
        self._snapshot = Snapshot()
        self._rotation = Rotation()
        self._queue = SchedulingQueue(clock.monotonic)
        self._wake = asyncio.Event()
        self._claim_waiters: set[asyncio.Event] = set()
        self._binding: set[str] = set()
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)

    async def run(self) -> None:
        """Schedule until cancelled."""
        for informer in (self._pods, self._nodes, self._claims, self._volumes, self._classes):
            await informer.wait_synced()
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)
        for informer in (self._claims, self._volumes, self._classes):
            informer.subscribe(lambda old, new: self._something_changed())
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                while (pod := self._queue.pop()) is not None:
                    self._schedule(pod, tasks)
                    await asyncio.sleep(0)  # let events in between two pods
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._queue.next_due_s()):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _schedule(self, pod: Object, tasks: asyncio.TaskGroup) -> None:
        key = key_of(pod)
        if key in self._binding:
            return
        claims = claims_of(pod, self._claims.get, self._volumes.get, self._classes.get)
        decision = schedule(pod, self._snapshot, claims, self._rotation)
        if not decision.node:
            self._queue.park(key)
            tasks.create_task(self._tell(pod, decision.message), name=f"unschedulable {key}")
            return
        self._snapshot.set_pod({**pod, "spec": {**pod["spec"], "nodeName": decision.node}})
        self._binding.add(key)
        tasks.create_task(self._bind_or_retry(pod, decision.node, claims), name=f"bind {key}")

    async def _bind_or_retry(self, pod: Object, node: str, claims: Claims) -> None:
        key = key_of(pod)
        bound = False
        try:
            async with self._slots:
                bound = await attempt(f"binding {key}", self._bind(pod, node, claims))
        finally:
            self._binding.discard(key)
            if not bound:
                newest = self._pods.get(key)
                if newest is None or not (newest.get("spec") or {}).get("nodeName"):
                    self._snapshot.remove_pod(key)
                self._queue.retry(key)
            self._wake.set()

    async def _bind(self, pod: Object, node: str, claims: Claims) -> None:
        if claims.waiting:
            await self._bind_claims(pod, node, claims)
        binding = {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }  # fmt: skip
        async with asyncio.timeout(BIND_LIMIT_S):
            try:
                await self._client.create_subresource(PODS, name_of(pod), namespace_of(pod), "binding", binding)
            except NotFound:
                return  # deleted meanwhile
        self._recorder.event(pod, NORMAL, "Scheduled", f"Successfully assigned {key_of(pod)} to {node}")

    async def _bind_claims(self, pod: Object, node: str, claims: Claims) -> None:
        """Tell each waiting claim its node, and wait until all are bound."""
        keys = [key_of(claim) for claim in claims.waiting]
        for claim in claims.waiting:
            if annotations_of(claim).get(SELECTED_NODE) != node:
                patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                await self._client.patch(
                    PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch, content_type=MERGE_PATCH
                )
        changed = asyncio.Event()
        self._claim_waiters.add(changed)
        try:
            async with asyncio.timeout(CLAIMS_BOUND_LIMIT_S):
                while not self._all_bound(keys) and not self._is_gone(pod):
                    await changed.wait()
                    changed.clear()
        finally:
            self._claim_waiters.discard(changed)

    def _all_bound(self, keys: list[str]) -> bool:
        found = [self._claims.get(key) for key in keys]
        return all(claim is not None and (claim.get("status") or {}).get("phase") == "Bound" for claim in found)

    def _is_gone(self, pod: Object) -> bool:
        newest = self._pods.get(key_of(pod))
        return newest is None or uid_of(newest) != uid_of(pod) or is_deleting(newest)

    async def _tell(self, pod: Object, message: str) -> None:
        self._recorder.event(pod, WARNING, "FailedScheduling", message)
        await attempt(f"telling {key_of(pod)}", self._write_condition(pod, message))

    async def _write_condition(self, pod: Object, message: str) -> None:
        wanted = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        old = condition_of((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
        if all(old.get(field) == value for field, value in wanted.items()):
            return
        conditions = with_condition((pod.get("status") or {}).get("conditions"), wanted, self._clock.now())
        try:
            await self._client.patch_status(
                PODS, name_of(pod), namespace_of(pod), {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": conditions}}
            )
        except (NotFound, Conflict):
            return
        except WherryError as error:
            log.warning("pod %s: its condition was not written: %s", key_of(pod), error)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._snapshot.remove_node(name_of(old))
            return
        self._snapshot.set_node(new)
        if old is None or _placement_part(old) != _placement_part(new):
            self._something_changed()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._queue.remove(key_of(old))
            self._snapshot.remove_pod(key_of(old))
            if (old.get("spec") or {}).get("nodeName"):
                self._something_changed()  # room
            return
        if (new.get("spec") or {}).get("nodeName"):
            self._queue.remove(key_of(new))
            self._snapshot.set_pod(new)
            if (new.get("status") or {}).get("phase") in FINISHED:
                self._something_changed()
        elif _wants_us(new):
            self._take(old, new)
        else:
            self._queue.remove(key_of(new))

    def _take(self, old: Object | None, new: Object) -> None:
        if old is not None and old.get("spec") == new.get("spec") and uid_of(old) == uid_of(new):
            self._queue.refresh(new)
            return
        self._queue.add(new)
        self._wake.set()

    def _something_changed(self) -> None:
        self._queue.wake()
        self._wake.set()
        for changed in self._claim_waiters:
            changed.set()


def _wants_us(pod: Object) -> bool:
    spec = pod.get("spec") or {}
    if is_deleting(pod) or (pod.get("status") or {}).get("phase") in FINISHED:
        return False
    return spec.get("schedulerName", NAME) == NAME and not spec.get("schedulingGates")


def _placement_part(node: Object) -> tuple[object, ...]:
    """What of a node can make a pod fit: not its heartbeat."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return spec.get("taints"), spec.get("unschedulable"), status.get("allocatable"), node.get("metadata", {}).get("labels")

"""Schedule pods: take the next one that is due, decide, assume, bind; tell why when nothing fits.

In:    informers of pods, nodes, namespaces, claims, volumes, storage classes, disruption budgets.
Out:   Bindings; PodScheduled conditions and events; the selected-node annotation on claims that wait for it, or the
       claimRef of the volume chosen for them; victims of preemption deleted.
Never: decides; see `decide.py` and `preemption.py`.
"""

import asyncio
import logging

from wherry.kit.clock import loop_time
from wherry.kit.errors import Conflict, NotFound, WherryError
from wherry.kit.supervise import attempt
from wherry.orchestration.client.loop_kit import Tools, Watch, nobody, telling, watching
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.objects.kinds import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    STORAGE_CLASSES,
)
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    condition_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    revision_of,
    uid_of,
    with_condition,
)
from wherry.orchestration.objects.volume_match import SELECTED_NODE
from wherry.orchestration.objects.well_known import ANN_BOUND_BY_CONTROLLER
from wherry.orchestration.scheduler.decide import Decision, Rotation, schedule
from wherry.orchestration.scheduler.preemption import Victims, find_victims
from wherry.orchestration.scheduler.queue import SchedulingQueue
from wherry.orchestration.scheduler.snapshot import FINISHED, Snapshot, priority_of
from wherry.orchestration.scheduler.volumes import Claims, choose, claims_of

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BIND_LIMIT_S = 30.0
CLAIMS_BOUND_LIMIT_S = 600.0  # upstream bindTimeoutSeconds
BINDINGS_AT_ONCE = 64
MERGE_PATCH = "application/merge-patch+json"


class Scheduler:
    """One profile, `default-scheduler`. `run` until cancelled; the informers run elsewhere."""

    def __init__(self, tools: Tools) -> None:
        self._client, self._clock = tools.client, tools.clock
        self._recorder = tools.recorder.named(NAME)
        self._informers = informers = tools.informers
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._classes = informers.of(STORAGE_CLASSES)
        self._namespaces = informers.of(NAMESPACES)
        self._budgets = informers.of(POD_DISRUPTION_BUDGETS)
        self._nominated: dict[str, str] = {}  # pod key -> node where room is being made and kept for it
        self._snapshot = Snapshot()
        self._rotation = Rotation()
        self._queue = SchedulingQueue(loop_time)
        self._wake = asyncio.Event()
        self._claim_waiters: dict[asyncio.Event, None] = {}
        self._binding: set[str] = set()
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)

    async def run(self) -> None:
        """Schedule until cancelled."""
        volumes = (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES)
        rows = (
            Watch(NAMESPACES, telling(self._namespace_changed)),
            Watch(NODES, telling(self._node_changed)),
            Watch(PODS, telling(self._pod_changed)),
            *(Watch(resource, telling(lambda old, new: self._something_changed())) for resource in volumes),
            Watch(POD_DISRUPTION_BUDGETS, nobody),
        )
        async with watching(self._informers, rows), asyncio.TaskGroup() as tasks:
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
        claims = claims_of(pod, self._claims.get, self._volumes.get, self._classes.get, self._volumes.list)
        if key in self._nominated:
            self._snapshot.remove_pod(key)  # the room that is kept for it
        decision = schedule(pod, self._snapshot, claims, self._rotation)
        if not decision.node:
            self._refuse(pod, decision, claims, tasks)
            return
        self._nominated.pop(key, None)
        self._snapshot.set_pod(_placed(pod, decision.node))
        self._binding.add(key)
        tasks.create_task(self._bind_or_retry(pod, decision.node, claims), name=f"bind {key}")

    def _refuse(self, pod: Object, decision: Decision, claims: Claims, tasks: asyncio.TaskGroup) -> None:
        """It fits nowhere: make room by preemption if that is possible, tell why, and wait for a change."""
        key = key_of(pod)
        nominated = self._nominated.get(key)
        if nominated is not None and self._room_is_coming(pod, nominated):
            self._snapshot.set_pod(_placed(pod, nominated))
            self._queue.park(key, backs_off=False)
            return
        self._nominated.pop(key, None)
        victims = find_victims(pod, decision.hopeful, self._snapshot, claims, self._budgets.list())
        if victims is None:
            self._queue.park(key)
            tasks.create_task(self._tell(pod, decision.message, ""), name=f"unschedulable {key}")
            return
        log.info("pod %s takes the place of %d pods on node %s", key, len(victims.pods), victims.node)
        self._nominated[key] = victims.node
        self._snapshot.set_pod(_placed(pod, victims.node))
        self._queue.park(key, backs_off=False)
        tasks.create_task(self._preempt(pod, victims, decision.why), name=f"preemption for {key}")

    def _room_is_coming(self, pod: Object, node: str) -> bool:
        """A less important pod on the node is on its way out."""
        info = self._snapshot.nodes.get(node)
        others = info.objects.values() if info is not None else ()
        return any(is_deleting(other) and priority_of(other) < priority_of(pod) for other in others)

    async def _preempt(self, pod: Object, victims: Victims, why: str) -> None:
        await self._tell(pod, why, victims.node)
        for victim in victims.pods:
            if not await attempt(f"preempting {key_of(victim)}", self._evict(pod, victim, victims.node)):
                self._nominated.pop(key_of(pod), None)
                self._snapshot.remove_pod(key_of(pod))
                self._queue.retry(key_of(pod))

    async def _evict(self, pod: Object, victim: Object, node: str) -> None:
        target = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                  "message": f"{NAME}: preempting to accommodate a higher priority pod"}  # fmt: skip
        conditions = with_condition((victim.get("status") or {}).get("conditions"), target, self._clock.now())
        body = {"metadata": {"uid": uid_of(victim)}, "status": {"conditions": conditions}}
        try:
            await self._client.patch_status(PODS, name_of(victim), namespace_of(victim), body)
            await self._client.delete(PODS, name_of(victim), namespace_of(victim), uid=uid_of(victim))
        except NotFound:
            return
        self._recorder.event(victim, NORMAL, "Preempted", f"Preempted by pod {uid_of(pod)} on node {node}")

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
            if self._is_gone(pod):
                return
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
        """Reserve the volume chosen for each waiting claim, or tell the claim its node; wait until all are bound."""
        keys = [key_of(claim) for claim in claims.waiting]
        info = self._snapshot.nodes.get(node)
        for claim, volume in choose(claims, info.node if info is not None else {}):
            if volume is not None:
                await self._reserve(volume, claim)
            elif annotations_of(claim).get(SELECTED_NODE) != node:
                patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                await self._client.patch(
                    PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch, content_type=MERGE_PATCH
                )
        changed = asyncio.Event()
        self._claim_waiters[changed] = None
        try:
            async with asyncio.timeout(CLAIMS_BOUND_LIMIT_S):
                while not self._all_bound(keys) and not self._is_gone(pod):
                    await changed.wait()
                    changed.clear()
        finally:
            self._claim_waiters.pop(changed, None)

    async def _reserve(self, volume: Object, claim: Object) -> None:
        """The volume controller does the rest of the binding."""
        if ((volume.get("spec") or {}).get("claimRef") or {}).get("uid") == uid_of(claim):
            return
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace_of(claim),
                     "name": name_of(claim), "uid": uid_of(claim)}  # fmt: skip
        metadata = {"resourceVersion": revision_of(volume), "annotations": {ANN_BOUND_BY_CONTROLLER: "yes"}}
        patch = {"metadata": metadata, "spec": {"claimRef": reference}}
        await self._client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch, content_type=MERGE_PATCH)

    def _all_bound(self, keys: list[str]) -> bool:
        found = [self._claims.get(key) for key in keys]
        return all(claim is not None and (claim.get("status") or {}).get("phase") == "Bound" for claim in found)

    def _is_gone(self, pod: Object) -> bool:
        newest = self._pods.get(key_of(pod))
        return newest is None or uid_of(newest) != uid_of(pod) or is_deleting(newest)

    async def _tell(self, pod: Object, message: str, nominated: str) -> None:
        self._recorder.event(pod, WARNING, "FailedScheduling", message)
        await attempt(f"telling {key_of(pod)}", self._write_condition(pod, message, nominated))

    async def _write_condition(self, pod: Object, message: str, nominated: str) -> None:
        wanted = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        old = condition_of((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
        was_nominated = str((pod.get("status") or {}).get("nominatedNodeName") or "")
        if all(old.get(field) == value for field, value in wanted.items()) and was_nominated == nominated:
            return
        conditions = with_condition((pod.get("status") or {}).get("conditions"), wanted, self._clock.now())
        try:
            status = {"conditions": conditions, "nominatedNodeName": nominated or None}
            body = {"metadata": {"uid": uid_of(pod)}, "status": status}
            await self._client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
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
            reserved = self._nominated.pop(key_of(old), None)
            if reserved or (old.get("spec") or {}).get("nodeName"):
                self._something_changed()  # room
            return
        if (new.get("spec") or {}).get("nodeName"):
            self._queue.remove(key_of(new))
            self._snapshot.set_pod(new)
            if (new.get("status") or {}).get("phase") in FINISHED:
                self._something_changed()
            elif old is None or not (old.get("spec") or {}).get("nodeName") or labels_of(old) != labels_of(new):
                self._queue.wake(_looks_at_others)
                self._wake.set()
        elif _wants_us(new):
            self._take(old, new)
        else:
            self._queue.remove(key_of(new))
            if self._nominated.pop(key_of(new), None) is not None:
                self._snapshot.remove_pod(key_of(new))

    def _take(self, old: Object | None, new: Object) -> None:
        if old is not None and old.get("spec") == new.get("spec") and uid_of(old) == uid_of(new):
            self._queue.refresh(new)
            return
        self._queue.add(new)
        self._wake.set()

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        self._snapshot.set_namespace(name_of(new or old or {}), None if new is None else labels_of(new))

    def _something_changed(self) -> None:
        self._queue.wake()
        self._wake.set()
        for changed in self._claim_waiters:
            changed.set()


def _placed(pod: Object, node: str) -> Object:
    return {**pod, "spec": {**pod["spec"], "nodeName": node}}


def _looks_at_others(pod: Object) -> bool:
    """A pod elsewhere may be what it waits for."""
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    return bool(affinity.get("podAffinity") or affinity.get("podAntiAffinity") or spec.get("topologySpreadConstraints"))


def _wants_us(pod: Object) -> bool:
    spec = pod.get("spec") or {}
    if is_deleting(pod) or (pod.get("status") or {}).get("phase") in FINISHED:
        return False
    return spec.get("schedulerName", NAME) == NAME and not spec.get("schedulingGates")


def _placement_part(node: Object) -> tuple[object, ...]:
    """What of a node can make a pod fit: not its heartbeat."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return spec.get("taints"), spec.get("unschedulable"), status.get("allocatable"), node.get("metadata", {}).get("labels")

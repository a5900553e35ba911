"""Evict pods from nodes with NoExecute taints that they do not tolerate, or no longer.

In:    informers of nodes and pods.
Out:   pods deleted, with condition DisruptionTarget; TaintManagerEviction events.
"""

from datetime import datetime

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.node_lifecycle.loop import BY_NODE, node_name_of
from wherry.orchestration.controllers.taint_eviction.decide import evict_at, no_execute
from wherry.orchestration.objects.kinds import NODES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, uid_of, with_condition

COMPONENT = "taint-eviction-controller"
WORKERS = 8
TARGET = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}  # fmt: skip


class Controller:
    """taint-eviction-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._nodes = informers.of(NODES)
        self._pods = informers.of(PODS)
        self._marked: dict[str, datetime] = {}  # pods that were told when they will go
        self._first_seen: dict[str, datetime] = {}  # first sight of taints that carry no time
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        self._pods.add_index(BY_NODE, node_name_of)
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Judge one pod."""
        pod, now = self._pods.get(key), self._clock.now()
        if pod is None or is_deleting(pod):
            self._marked.pop(key, None)
            return
        taints = no_execute(self._nodes.get((pod.get("spec") or {}).get("nodeName") or ""))
        at = evict_at(pod, self._timed(key, taints, now), now)
        if at is None:
            if self._marked.pop(key, None) is not None:
                self._recorder.event(pod, NORMAL, "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return
        if at > now:
            self._marked[key] = at
            self._queue.add_after(key, (at - now).total_seconds())
            return
        self._marked.pop(key, None)
        await self._evict(pod)

    def _timed(self, key: str, taints: list[Object], now: datetime) -> list[Object]:
        """Taints with a time: one that a person added without counts from when this pod was first seen with it."""
        if all(taint.get("timeAdded") for taint in taints):
            self._first_seen.pop(key, None)
            return taints
        since = self._first_seen.setdefault(key, now).isoformat()
        return [taint if taint.get("timeAdded") else {**taint, "timeAdded": since} for taint in taints]

    async def _evict(self, pod: Object) -> None:
        self._recorder.event(pod, NORMAL, "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
        conditions = with_condition((pod.get("status") or {}).get("conditions"), TARGET, self._clock.now())
        body = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": conditions}}
        try:
            await self._client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
            await self._client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and no_execute(old) != no_execute(new):
            for pod in self._pods.by_index(BY_NODE, name_of(new)):
                self._queue.add(key_of(pod))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self._marked.pop(key_of(old), None)
                self._first_seen.pop(key_of(old), None)
            return
        spec = new.get("spec") or {}
        is_same = old is not None and old.get("spec") == new.get("spec")
        if not is_same and no_execute(self._nodes.get(spec.get("nodeName") or "")):
            self._queue.add(key_of(new))

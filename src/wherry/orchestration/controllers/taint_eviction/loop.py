"""Evict pods from nodes with NoExecute taints that they do not tolerate, or no longer.

In:    informers of nodes and pods.
Out:   pods deleted, with condition DisruptionTarget; TaintManagerEviction events.
"""

from collections.abc import Iterable
from datetime import datetime

from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import NORMAL
from wherry.orchestration.controllers.node_lifecycle.loop import BY_NODE, node_name_of
from wherry.orchestration.controllers.taint_eviction.decide import evict_at, has_time, no_execute
from wherry.orchestration.objects.kinds import NODES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, uid_of, with_condition

TARGET = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}  # fmt: skip


def _on_the_node(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """The pods of a node whose taints changed."""
    if new is not None and no_execute(old) != no_execute(new):
        yield from map(key_of, seen[PODS].by_index(BY_NODE, name_of(new)))


class Controller(Loop[str]):
    """taint-eviction-controller."""

    name = "taint-eviction-controller"
    workers = 8

    def __init__(self, tools: Tools) -> None:
        self.watches = (Watch(PODS, self._if_tainted, indexes={BY_NODE: node_name_of}), Watch(NODES, _on_the_node))
        super().__init__(tools)
        self._marked: dict[str, datetime] = {}  # pods that were told when they will go
        self._first_seen: dict[str, datetime] = {}  # first sight of taints that carry no time

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Judge one pod."""
        pod, now = seen[PODS].get(key), self.clock.now()
        if pod is None or is_deleting(pod):
            self._marked.pop(key, None)
            return None
        taints = no_execute(seen[NODES].get((pod.get("spec") or {}).get("nodeName") or ""))
        at = evict_at(pod, self._timed(key, taints, now), now)
        if at is None:
            if self._marked.pop(key, None) is not None:
                self.recorder.event(pod, NORMAL, "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return None
        if at > now:
            self._marked[key] = at
            return (at - now).total_seconds()
        self._marked.pop(key, None)
        await self._evict(pod)
        return None

    def _timed(self, key: str, taints: list[Object], now: datetime) -> list[Object]:
        """Taints with a time: one that a person added without, or before the date was set back, counts from first sight."""
        if all(has_time(taint, now) for taint in taints):
            self._first_seen.pop(key, None)
            return taints
        since = self._first_seen.setdefault(key, now).isoformat()
        return [taint if has_time(taint, now) else {**taint, "timeAdded": since} for taint in taints]

    async def _evict(self, pod: Object) -> None:
        self.recorder.event(pod, NORMAL, "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
        conditions = with_condition((pod.get("status") or {}).get("conditions"), TARGET, self.clock.now())
        body = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": conditions}}
        try:
            await self.client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
            await self.client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return

    def _if_tainted(self, seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
        """A pod that comes to a tainted node, or changes what it tolerates. What is known of one that is gone is dropped."""
        if new is None:
            if old is not None:
                self._marked.pop(key_of(old), None)
                self._first_seen.pop(key_of(old), None)
            return
        spec = new.get("spec") or {}
        is_same = old is not None and old.get("spec") == new.get("spec")
        if not is_same and no_execute(seen[NODES].get(spec.get("nodeName") or "")):
            yield key_of(new)

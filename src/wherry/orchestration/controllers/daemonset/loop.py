"""Keep one pod of every DaemonSet on every node it belongs on, and roll its template out.

In:    informers of DaemonSets, pods, nodes, ControllerRevisions.
Out:   pods created and deleted; ControllerRevisions; status; events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wherry.kit.backoff import Backoff
from wherry.kit.clock import loop_time
from wherry.kit.errors import WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.daemonset.decide import Plan, decide, status_of
from wherry.orchestration.controllers.daemonset.placement import pod_for, target_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import BY_OWNER, candidates, owners_in
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.pod_control import PodControl, all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL, Current, History
from wherry.orchestration.controllers.workload.status import write_status
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector

FAILED_FIRST_S = 1.0
FAILED_MAX_S = 900.0


def _selects(daemon_set: Object) -> LabelSelector:
    return from_label_selector(daemon_set["spec"].get("selector"))


def _on_node_change(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """Heartbeats change nothing here; labels, taints and names do."""
    if old is None or new is None or _placing(old) != _placing(new):
        yield from map(key_of, seen[DAEMON_SETS].list())


@dataclass(slots=True)
class Killed:
    """What of one DaemonSet, by its uid, has finished and was killed: how soon again, by node."""

    uid: str
    backoff: Backoff = field(default_factory=lambda: Backoff(FAILED_FIRST_S, FAILED_MAX_S))
    not_before: dict[str, float] = field(default_factory=dict)


class Controller(Loop[str]):
    """Runs DaemonSets."""

    name = "daemonset-controller"
    workers = 2
    is_told_at_once = True
    watches = (
        Watch(DAEMON_SETS),
        Watch(PODS, owners_in(DAEMON_SETS, _selects), indexes=BY_OWNER),
        Watch(CONTROLLER_REVISIONS, owners_in(DAEMON_SETS, _selects), indexes=BY_OWNER),
        Watch(NODES, _on_node_change),
    )

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._control = PodControl(self.client, self.recorder)
        self._history = History(self.client, DAEMON_SETS, REVISION_LABEL)
        self._killed: dict[str, Killed] = {}

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Bring one DaemonSet up to date."""
        owner = seen[DAEMON_SETS].get(key)
        if owner is None:
            self._killed.pop(key, None)
            return None
        may_act = seen.shows(key)
        selector = _selects(owner)
        if selector.is_everything:
            self.recorder.event(
                owner, WARNING, "SelectingAll",
                "This daemon set is selecting all pods. A non-empty selector is required.",
            )  # fmt: skip
            return None
        if is_deleting(owner):
            return None
        pods = await self._claim(owner, PODS, selector, seen)
        revisions = await self._claim(owner, CONTROLLER_REVISIONS, selector, seen)
        current = await self._history.current(owner, revisions)
        now, nodes = self.clock.now(), seen[NODES].list()
        error: WherryError | None = None
        waits_s = [read.soonest_available_s(pods, int(owner["spec"].get("minReadySeconds") or 0), now)]
        if may_act:
            suffix = labels_of(current.revision)[REVISION_LABEL]
            plan = decide(owner, nodes, pods, suffix, now)
            error, wait_s = await self._carry_out(owner, plan, suffix, seen)
            waits_s.append(wait_s)
            limit = owner["spec"].get("revisionHistoryLimit")
            await self._history.forget(revisions, _live(pods, revisions, current), 10 if limit is None else limit)
        await self._report(owner, nodes, pods, current, now, seen)
        again_s = min((wait for wait in waits_s if wait is not None), default=None)
        if error is not None and not is_namespace_ending(error):
            seen.wake_after(key, again_s)
            raise error
        return again_s

    async def _carry_out(
        self, owner: Object, plan: Plan, suffix: str, seen: Seen
    ) -> tuple[WherryError | None, float | None]:
        """The first error; in how many seconds another pod may be killed."""
        key = key_of(owner)

        async def create(node_name: str) -> None:
            seen.wrote(key, PODS, await self._control.create(owner, pod_for(owner, node_name, suffix)))

        async def delete(pod: Object) -> None:
            await self._control.delete(owner, pod)
            seen.deleted(key, PODS, pod)

        created = await slow_start(plan.create, create)
        killable, wait_s = self._killable(owner, plan.finished)
        deleted = await all_of([*plan.delete, *killable], delete)
        return created.error or deleted.error, wait_s

    def _killable(self, owner: Object, finished: Sequence[Object]) -> tuple[list[Object], float | None]:
        """Those whose back-off has passed; in how many seconds that of another has."""
        result: list[Object] = []
        waits_s: list[float] = []
        killed = self._killed.get(key_of(owner))
        if killed is None or killed.uid != uid_of(owner):
            killed = self._killed[key_of(owner)] = Killed(uid_of(owner))
        for pod in finished:
            node, now = target_of(pod), loop_time()
            wait = killed.not_before.get(node, 0.0) - now
            if wait > 0:
                waits_s.append(wait)
                continue
            killed.not_before[node] = now + killed.backoff.next_delay_s(node)
            where = f"daemon pod {namespace_of(pod)}/{name_of(pod)} on node {target_of(pod)}"
            if read.phase_of(pod) == "Failed":
                self.recorder.event(owner, WARNING, "FailedDaemonPod", f"Found failed {where}, will try to kill it")
            else:
                self.recorder.event(
                    owner, NORMAL, "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it"
                )
            result.append(pod)
        return result, min(waits_s, default=None)

    async def _report(
        self, owner: Object, nodes: Sequence[Object], pods: Sequence[Object], current: Current, now: datetime, seen: Seen
    ) -> None:
        suffix = labels_of(current.revision)[REVISION_LABEL]
        status = status_of(owner, nodes, pods, suffix, current.collisions, now)
        if conditions := (owner.get("status") or {}).get("conditions"):
            status["conditions"] = conditions
        await write_status(self.client, seen, DAEMON_SETS, owner, status)

    async def _claim(self, owner: Object, children: Resource, selector: LabelSelector, seen: Seen) -> list[Object]:
        found = candidates(seen[children], owner)
        return await claim_children(self.client, owner, DAEMON_SETS, children, selector, found)


def _placing(node: Object) -> tuple[object, object]:
    return labels_of(node), (node.get("spec") or {}).get("taints")


def _live(pods: Sequence[Object], revisions: Sequence[Object], current: Current) -> set[str]:
    """Names of the revisions that a pod still has, and of the current one."""
    used = {labels_of(pod).get(REVISION_LABEL) for pod in pods}
    return {name_of(current.revision), *(name_of(r) for r in revisions if labels_of(r).get(REVISION_LABEL) in used)}

"""Keep one pod of every DaemonSet on every node it belongs on, and roll its template out.

In:    informers of DaemonSets, pods, nodes, ControllerRevisions.
Out:   pods created and deleted; ControllerRevisions; status; events.
"""

from collections.abc import Sequence
from datetime import datetime

from wherry.kit.backoff import Backoff
from wherry.kit.clock import Clock, loop_time
from wherry.kit.errors import WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.daemonset.decide import Plan, decide, status_of
from wherry.orchestration.controllers.daemonset.placement import pod_for, target_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import (
    candidates,
    index_children,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.expectations import RECHECK_S, Expectations
from wherry.orchestration.controllers.workload.pod_control import PodControl, all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL, Current, History
from wherry.orchestration.controllers.workload.status import StatusWriter
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector

COMPONENT = "daemonset-controller"
WORKERS = 2
FAILED_FIRST_S = 1.0
FAILED_MAX_S = 900.0


def _selects(daemon_set: Object) -> LabelSelector:
    return from_label_selector(daemon_set["spec"].get("selector"))


class Controller:
    """Runs DaemonSets."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._daemon_sets = informers.of(DAEMON_SETS)
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self._revisions = informers.of(CONTROLLER_REVISIONS)
        self._control = PodControl(client, self._recorder)
        self._history = History(client, DAEMON_SETS, REVISION_LABEL)
        self._expected = Expectations(self._pods)
        self._backoff = Backoff(FAILED_FIRST_S, FAILED_MAX_S)
        self._not_before: dict[str, float] = {}  # "uid/node" of failed pods
        self._status = StatusWriter(client, self._daemon_sets)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._pods)
        index_children(self._revisions)
        for informer in (self._daemon_sets, self._pods, self._nodes, self._revisions):
            await informer.wait_synced()
        wake_on_change(self._daemon_sets, self._queue)
        wake_owners(self._pods, self._daemon_sets, DAEMON_SETS, self._queue, _selects)
        wake_owners(self._revisions, self._daemon_sets, DAEMON_SETS, self._queue, _selects)
        self._nodes.subscribe(self._node_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring one DaemonSet up to date."""
        owner = self._daemon_sets.get(key)
        if owner is None:
            self._expected.forget(key)
            self._status.forget(key)
            return
        may_act = self._expected.met(key)
        if not may_act or not self._status.is_fresh(key):
            self._queue.add_after(key, RECHECK_S)
        if not self._status.is_fresh(key):
            return
        selector = _selects(owner)
        if selector.is_everything:
            self._recorder.event(
                owner, WARNING, "SelectingAll",
                "This daemon set is selecting all pods. A non-empty selector is required.",
            )  # fmt: skip
            return
        if is_deleting(owner):
            return
        pods = await self._claim(owner, PODS, selector, candidates(self._pods, owner))
        revisions = await self._claim(owner, CONTROLLER_REVISIONS, selector, candidates(self._revisions, owner))
        current = await self._history.current(owner, revisions)
        now, nodes = self._clock.now(), self._nodes.list()
        error: WherryError | None = None
        if may_act:
            suffix = labels_of(current.revision)[REVISION_LABEL]
            plan = decide(owner, nodes, pods, suffix, now)
            error = await self._carry_out(owner, plan, suffix)
            limit = owner["spec"].get("revisionHistoryLimit")
            await self._history.forget(revisions, _live(pods, revisions, current), 10 if limit is None else limit)
        await self._report(owner, nodes, pods, current, now)
        if error is not None and not is_namespace_ending(error):
            raise error

    async def _carry_out(self, owner: Object, plan: Plan, suffix: str) -> WherryError | None:
        key = key_of(owner)

        async def create(node_name: str) -> None:
            self._expected.created(key, await self._control.create(owner, pod_for(owner, node_name, suffix)))

        async def delete(pod: Object) -> None:
            await self._control.delete(owner, pod)
            self._expected.deleted(key, pod)

        created = await slow_start(plan.create, create)
        deleted = await all_of([*plan.delete, *self._killable(owner, plan.finished)], delete)
        return created.error or deleted.error

    def _killable(self, owner: Object, finished: Sequence[Object]) -> list[Object]:
        """Those whose back-off has passed; the others wake the owner later."""
        result = []
        for pod in finished:
            key, now = f"{uid_of(owner)}/{target_of(pod)}", loop_time()
            wait = self._not_before.get(key, 0.0) - now
            if wait > 0:
                self._queue.add_after(key_of(owner), wait)
                continue
            self._not_before[key] = now + self._backoff.next_delay_s(key)
            where = f"daemon pod {namespace_of(pod)}/{name_of(pod)} on node {target_of(pod)}"
            if read.phase_of(pod) == "Failed":
                self._recorder.event(owner, WARNING, "FailedDaemonPod", f"Found failed {where}, will try to kill it")
            else:
                self._recorder.event(
                    owner, NORMAL, "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it"
                )
            result.append(pod)
        return result

    async def _report(
        self, owner: Object, nodes: Sequence[Object], pods: Sequence[Object], current: Current, now: datetime
    ) -> None:
        suffix = labels_of(current.revision)[REVISION_LABEL]
        status = status_of(owner, nodes, pods, suffix, current.collisions, now)
        if conditions := (owner.get("status") or {}).get("conditions"):
            status["conditions"] = conditions
        await self._status.write(owner, status)
        wait = read.soonest_available_s(pods, int(owner["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self._queue.add_after(key_of(owner), wait)

    async def _claim(
        self, owner: Object, children: Resource, selector: LabelSelector, found: list[Object]
    ) -> list[Object]:
        return await claim_children(self._client, owner, DAEMON_SETS, children, selector, found)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """Heartbeats change nothing here; labels, taints and names do."""
        if old is not None and new is not None and _placing(old) == _placing(new):
            return
        for daemon_set in self._daemon_sets.list():
            self._queue.add(key_of(daemon_set))


def _placing(node: Object) -> tuple[object, object]:
    return labels_of(node), (node.get("spec") or {}).get("taints")


def _live(pods: Sequence[Object], revisions: Sequence[Object], current: Current) -> set[str]:
    """Names of the revisions that a pod still has, and of the current one."""
    used = {labels_of(pod).get(REVISION_LABEL) for pod in pods}
    return {name_of(current.revision), *(name_of(r) for r in revisions if labels_of(r).get(REVISION_LABEL) in used)}

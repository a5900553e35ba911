"""Keep StatefulSets: named pods in order, a claim for each, templates rolled out from the top.

In:    informers of StatefulSets, pods, PersistentVolumeClaims, ControllerRevisions.
Out:   pods and claims created and deleted; ControllerRevisions; status; events.
"""

from collections.abc import Sequence

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.statefulset.claims import Claims
from wherry.orchestration.controllers.statefulset.decide import Plan, decide, status_of
from wherry.orchestration.controllers.statefulset.identity import identity_labels, ordinal_of, ordinals, pod_for
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import (
    candidates,
    index_children,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.expectations import RECHECK_S, Expectations
from wherry.orchestration.controllers.workload.pod_control import all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.revision_history import (
    HASH_LABEL,
    REVISION_LABEL,
    Current,
    History,
    template_of,
)
from wherry.orchestration.controllers.workload.status import StatusWriter
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS, PODS, STATEFUL_SETS
from wherry.orchestration.objects.meta import (
    Object,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector

COMPONENT = "statefulset-controller"
WORKERS = 5


def _selects(owner: Object) -> LabelSelector:
    return from_label_selector(owner["spec"].get("selector"))


class Controller:
    """Runs StatefulSets."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._sets = informers.of(STATEFUL_SETS)
        self._pods = informers.of(PODS)
        self._revisions = informers.of(CONTROLLER_REVISIONS)
        self._claims = Claims(client, informers, self._recorder)
        self._history = History(client, STATEFUL_SETS, HASH_LABEL)
        self._expected = Expectations(self._pods)
        self._status = StatusWriter(client, self._sets)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._pods)
        index_children(self._revisions)
        for informer in (self._sets, self._pods, self._revisions, self._claims.informer):
            await informer.wait_synced()
        wake_on_change(self._sets, self._queue)
        wake_owners(self._pods, self._sets, STATEFUL_SETS, self._queue, _selects)
        wake_owners(self._revisions, self._sets, STATEFUL_SETS, self._queue, _selects)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """The next steps of one StatefulSet."""
        owner = self._sets.get(key)
        if owner is None:
            self._expected.forget(key)
            self._status.forget(key)
            return
        selector = _selects(owner)
        if not (self._expected.met(key) and self._status.is_fresh(key)):
            self._queue.add_after(key, RECHECK_S)
            return
        if selector.is_everything:
            return
        found = [pod for pod in candidates(self._pods, owner) if ordinal_of(owner, pod) >= 0]
        pods = await claim_children(self._client, owner, STATEFUL_SETS, PODS, selector, found)
        revisions = await claim_children(
            self._client, owner, STATEFUL_SETS, CONTROLLER_REVISIONS, selector, candidates(self._revisions, owner)
        )
        current = await self._history.current(owner, revisions)
        before = self._current_of(owner, revisions, current)
        await self._act(owner, pods, before, current)
        limit = owner["spec"].get("revisionHistoryLimit")
        live = {name_of(before), name_of(current.revision), *(labels_of(pod).get(REVISION_LABEL, "") for pod in pods)}
        await self._history.forget(revisions, live, 10 if limit is None else limit)

    async def _act(self, owner: Object, pods: Sequence[Object], before: Object, current: Current) -> None:
        now, update = self._clock.now(), current.revision
        plan = decide(owner, pods, name_of(before), name_of(update), now)
        error: WherryError | None = None
        if not is_deleting(owner):
            await self._claims.keep(owner, pods)
            templates = {name_of(r): template_of(r) for r in (before, update)}
            error = await self._carry_out(owner, plan, templates)
        status = status_of(owner, pods, name_of(before), name_of(update), current.collisions, now)
        if conditions := (owner.get("status") or {}).get("conditions"):
            status["conditions"] = conditions
        await self._status.write(owner, status)
        wait = read.soonest_available_s(pods, int(owner["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self._queue.add_after(key_of(owner), wait)
        if error is not None and not is_namespace_ending(error):
            raise error

    async def _carry_out(self, owner: Object, plan: Plan, templates: dict[str, Object]) -> WherryError | None:
        async def create(ordinal: int) -> None:
            revision = plan.create[ordinal]
            await self._create(owner, ordinal, pod_for(owner, ordinal, templates[revision], revision))

        async def delete(pod: Object) -> None:
            await self._delete(owner, pod)

        for pod in plan.relabel:
            labels = identity_labels(owner, ordinal_of(owner, pod))
            patch = {"metadata": {"uid": uid_of(pod), "labels": labels}}
            await self._client.patch(PODS, name_of(pod), namespace_of(pod), patch)
        for pod in plan.recreate:
            how = read.phase_of(pod) if read.phase_of(pod) == "Failed" else "Terminated"
            what = f"StatefulSet {key_of(owner)} is recreating {how.lower()} Pod {name_of(pod)}"
            self._recorder.event(owner, WARNING, f"Recreating{how}Pod", what)
        created = await slow_start(list(plan.create), create)
        deleted = await all_of([*plan.recreate, *plan.delete], delete)
        return created.error or deleted.error

    async def _create(self, owner: Object, ordinal: int, pod: Object) -> None:
        await self._claims.create(owner, ordinal, name_of(pod))
        try:
            created = await self._client.create(PODS, pod)
        except AlreadyExists:
            raise
        except WherryError as error:
            self._tell(owner, "create", pod, error)
            raise
        self._expected.created(key_of(owner), created)
        self._tell(owner, "create", pod, None)

    async def _delete(self, owner: Object, pod: Object) -> None:
        if ordinal_of(owner, pod) not in ordinals(owner):
            await self._claims.keep_of(owner, ordinal_of(owner, pod), pod)
        try:
            await self._client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return
        except WherryError as error:
            self._tell(owner, "delete", pod, error)
            raise
        self._expected.deleted(key_of(owner), pod)
        self._tell(owner, "delete", pod, None)

    def _tell(self, owner: Object, verb: str, pod: Object, error: WherryError | None) -> None:
        what = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(owner)}"
        if error is None:
            self._recorder.event(owner, NORMAL, f"Successful{verb.title()}", f"{what} successful")
        else:
            self._recorder.event(owner, WARNING, f"Failed{verb.title()}", f"{what} failed error: {error}")

    @staticmethod
    def _current_of(owner: Object, revisions: Sequence[Object], current: Current) -> Object:
        """The revision in status.currentRevision while it exists, else the newest."""
        name = (owner.get("status") or {}).get("currentRevision")
        return next((revision for revision in revisions if name_of(revision) == name), current.revision)

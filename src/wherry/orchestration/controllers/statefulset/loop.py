"""Keep StatefulSets: named pods in order, a claim for each, templates rolled out from the top.

In:    informers of StatefulSets, pods, ControllerRevisions, PersistentVolumeClaims.
Out:   pods and claims created and deleted; ControllerRevisions; status; events.
"""

from collections.abc import Sequence

from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.statefulset.claims import Claims
from wherry.orchestration.controllers.statefulset.decide import Plan, decide, status_of
from wherry.orchestration.controllers.statefulset.identity import identity_labels, ordinal_of, ordinals, pod_for
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import BY_OWNER, candidates, owners_in
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.pod_control import all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.revision_history import (
    HASH_LABEL,
    REVISION_LABEL,
    Current,
    History,
    template_of,
)
from wherry.orchestration.controllers.workload.status import write_status
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
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


def _selects(owner: Object) -> LabelSelector:
    return from_label_selector(owner["spec"].get("selector"))


class Controller(Loop[str]):
    """Runs StatefulSets."""

    name = "statefulset-controller"
    workers = 5
    watches = (
        Watch(STATEFUL_SETS),
        Watch(PODS, owners_in(STATEFUL_SETS, _selects), indexes=BY_OWNER),
        Watch(CONTROLLER_REVISIONS, owners_in(STATEFUL_SETS, _selects), indexes=BY_OWNER),
        Watch(PERSISTENT_VOLUME_CLAIMS, nobody),
    )

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._claims = Claims(self.client, self.recorder)
        self._history = History(self.client, STATEFUL_SETS, HASH_LABEL)

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """The next steps of one StatefulSet."""
        owner = seen[STATEFUL_SETS].get(key)
        if owner is None:
            return None
        selector = _selects(owner)
        if selector.is_everything:
            return None
        found = [pod for pod in candidates(seen[PODS], owner) if ordinal_of(owner, pod) >= 0]
        pods = await claim_children(self.client, owner, STATEFUL_SETS, PODS, selector, found)
        revisions = await claim_children(
            self.client, owner, STATEFUL_SETS, CONTROLLER_REVISIONS, selector, candidates(seen[CONTROLLER_REVISIONS], owner)
        )
        current = await self._history.current(owner, revisions)
        before = _current_of(owner, revisions, current)
        again_s = await self._act(owner, pods, before, current, seen)
        limit = owner["spec"].get("revisionHistoryLimit")
        live = {name_of(before), name_of(current.revision), *(labels_of(pod).get(REVISION_LABEL, "") for pod in pods)}
        await self._history.forget(revisions, live, 10 if limit is None else limit)
        return again_s

    async def _act(
        self, owner: Object, pods: Sequence[Object], before: Object, current: Current, seen: Seen
    ) -> float | None:
        now, update = self.clock.now(), current.revision
        plan = decide(owner, pods, name_of(before), name_of(update), now)
        error: WherryError | None = None
        if not is_deleting(owner):
            await self._claims.keep(owner, pods, seen)
            templates = {name_of(r): template_of(r) for r in (before, update)}
            error = await self._carry_out(owner, plan, templates, seen)
        status = status_of(owner, pods, name_of(before), name_of(update), current.collisions, now)
        if conditions := (owner.get("status") or {}).get("conditions"):
            status["conditions"] = conditions
        await write_status(self.client, seen, STATEFUL_SETS, owner, status)
        again_s = read.soonest_available_s(pods, int(owner["spec"].get("minReadySeconds") or 0), now)
        if error is not None and not is_namespace_ending(error):
            seen.wake_after(key_of(owner), again_s)
            raise error
        return again_s

    async def _carry_out(
        self, owner: Object, plan: Plan, templates: dict[str, Object], seen: Seen
    ) -> WherryError | None:
        async def create(ordinal: int) -> None:
            revision = plan.create[ordinal]
            await self._create(owner, ordinal, pod_for(owner, ordinal, templates[revision], revision), seen)

        async def delete(pod: Object) -> None:
            await self._delete(owner, pod, seen)

        for pod in plan.relabel:
            labels = identity_labels(owner, ordinal_of(owner, pod))
            patch = {"metadata": {"uid": uid_of(pod), "labels": labels}}
            await self.client.patch(PODS, name_of(pod), namespace_of(pod), patch)
        for pod in plan.recreate:
            how = read.phase_of(pod) if read.phase_of(pod) == "Failed" else "Terminated"
            what = f"StatefulSet {key_of(owner)} is recreating {how.lower()} Pod {name_of(pod)}"
            self.recorder.event(owner, WARNING, f"Recreating{how}Pod", what)
        created = await slow_start(list(plan.create), create)
        deleted = await all_of([*plan.recreate, *plan.delete], delete)
        return created.error or deleted.error

    async def _create(self, owner: Object, ordinal: int, pod: Object, seen: Seen) -> None:
        await self._claims.create(owner, ordinal, name_of(pod), seen)
        try:
            created = await self.client.create(PODS, pod)
        except AlreadyExists:
            raise
        except WherryError as error:
            self._tell(owner, "create", pod, error)
            raise
        seen.wrote(key_of(owner), PODS, created)
        self._tell(owner, "create", pod, None)

    async def _delete(self, owner: Object, pod: Object, seen: Seen) -> None:
        if ordinal_of(owner, pod) not in ordinals(owner):
            await self._claims.keep_of(owner, ordinal_of(owner, pod), pod, seen)
        try:
            await self.client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return
        except WherryError as error:
            self._tell(owner, "delete", pod, error)
            raise
        seen.deleted(key_of(owner), PODS, pod)
        self._tell(owner, "delete", pod, None)

    def _tell(self, owner: Object, verb: str, pod: Object, error: WherryError | None) -> None:
        what = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(owner)}"
        if error is None:
            self.recorder.event(owner, NORMAL, f"Successful{verb.title()}", f"{what} successful")
        else:
            self.recorder.event(owner, WARNING, f"Failed{verb.title()}", f"{what} failed error: {error}")


def _current_of(owner: Object, revisions: Sequence[Object], current: Current) -> Object:
    """The revision in status.currentRevision while it exists, else the newest."""
    name = (owner.get("status") or {}).get("currentRevision")
    return next((revision for revision in revisions if name_of(revision) == name), current.revision)

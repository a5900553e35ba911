"""Roll Deployments out: carry out what `decide.py` plans, step by step, woken by every change of a ReplicaSet.

In:    informers of Deployments, ReplicaSets and pods (pods only for Recreate).
Out:   ReplicaSets created, resized and removed; ScalingReplicaSet events; status; the revision annotation.
"""

from collections.abc import Iterable, Sequence

from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.deployment import conditions as say
from wherry.orchestration.controllers.deployment.annotations import REVISION
from wherry.orchestration.controllers.deployment.decide import Plan, decide
from wherry.orchestration.controllers.deployment.numbers import is_rolling, replicas_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import (
    BY_OWNER,
    candidates,
    controlled_by,
    is_controlled_by,
    is_owner_kind,
    owners_in,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.controllers.workload.pod_template import same_template
from wherry.orchestration.controllers.workload.status import merged_status, write_status
from wherry.orchestration.objects.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from wherry.orchestration.objects.meta import (
    Object,
    controller_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    uid_of,
)
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector

STATUS_FIELDS = (
    "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas",
    "terminatingReplicas", "collisionCount", "conditions",
)  # fmt: skip


def _selects(deployment: Object) -> LabelSelector:
    return from_label_selector(deployment["spec"].get("selector"))


def _of_the_ended(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """A pod that ended may be the last one a Recreate waits for."""
    if old is None or (new is not None and not read.is_finished(new)):
        return
    owner = controller_of(old)
    rs = seen[REPLICA_SETS].get(f"{namespace_of(old)}/{owner['name']}") if owner and owner["kind"] == "ReplicaSet" else None
    parent = controller_of(rs) if rs is not None else None
    if rs is None or parent is None or not is_owner_kind(parent, DEPLOYMENTS):
        return
    deployment = seen[DEPLOYMENTS].get(f"{namespace_of(rs)}/{parent['name']}")
    if deployment is not None and not is_rolling(deployment) and not is_deleting(deployment):
        yield key_of(deployment)


class Controller(Loop[str]):
    """Runs Deployments."""

    name = "deployment-controller"
    workers = 5
    watches = (
        Watch(DEPLOYMENTS),
        Watch(REPLICA_SETS, owners_in(DEPLOYMENTS, _selects), indexes=BY_OWNER),
        Watch(PODS, _of_the_ended, indexes=BY_OWNER),
    )

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """One step for one Deployment."""
        deployment = seen[DEPLOYMENTS].get(key)
        if deployment is None:
            return None
        selector = _selects(deployment)
        if selector.is_everything:
            self.recorder.event(
                deployment, WARNING, "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            )  # fmt: skip
            return None
        found = candidates(seen[REPLICA_SETS], deployment)
        sets = await claim_children(self.client, deployment, DEPLOYMENTS, REPLICA_SETS, selector, found)
        plan = decide(deployment, sets, busy=_busy(deployment, sets, seen), now=self.clock.now())
        await self._carry_out(deployment, plan, seen)
        return plan.look_again_s

    async def _carry_out(self, deployment: Object, plan: Plan, seen: Seen) -> None:
        key, namespace = key_of(deployment), namespace_of(deployment)
        if plan.create is not None and not await self._create(deployment, plan.create, seen):
            return
        for before, after in plan.update:
            seen.wrote(key, REPLICA_SETS, await self.client.update(REPLICA_SETS, after))
            self._tell_scaled(deployment, name_of(after), replicas_of(before), replicas_of(after))
        for rs in plan.delete:
            try:
                await self.client.delete(REPLICA_SETS, name_of(rs), namespace, uid=uid_of(rs))
            except NotFound:
                continue
        status = merged_status(deployment.get("status"), plan.status, STATUS_FIELDS)
        # With the status, because an annotation written by itself would raise the generation.
        annotations = {REVISION: plan.revision} if plan.revision else None
        await write_status(self.client, seen, DEPLOYMENTS, deployment, status, annotations=annotations)

    async def _create(self, deployment: Object, rs: Object, seen: Seen) -> bool:
        """True when the new set exists now and the rest of the plan holds."""
        try:
            created = await self.client.create(REPLICA_SETS, rs)
        except AlreadyExists:
            return await self._same_name(deployment, rs, seen)
        except WherryError as error:
            if not is_namespace_ending(error):
                await self._tell_refused(deployment, rs, error, seen)
            raise
        seen.wrote(key_of(deployment), REPLICA_SETS, created)
        self._tell_scaled(deployment, name_of(rs), 0, replicas_of(rs))
        return True

    async def _same_name(self, deployment: Object, rs: Object, seen: Seen) -> bool:
        """The set is there: ours and our informer is late, or another template hashed to the same name."""
        live = await self.client.get(REPLICA_SETS, name_of(rs), namespace_of(rs))
        if is_controlled_by(live, deployment) and same_template(live["spec"]["template"], rs["spec"]["template"]):
            seen.wrote(key_of(deployment), REPLICA_SETS, live)
            return False
        status = dict(deployment.get("status") or {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        await write_status(self.client, seen, DEPLOYMENTS, deployment, status)
        return False

    async def _tell_refused(self, deployment: Object, rs: Object, error: WherryError, seen: Seen) -> None:
        message = f'Failed to create new replica set "{name_of(rs)}": {error}'
        self.recorder.event(deployment, WARNING, say.CREATE_ERROR, message)
        if say.deadline_s(deployment) is None:
            return
        status = dict(deployment.get("status") or {})
        state = say.condition("Progressing", "False", say.CREATE_ERROR, message)
        status["conditions"] = say.set_condition(status.get("conditions") or [], state, self.clock.now())
        await write_status(self.client, seen, DEPLOYMENTS, deployment, status)

    def _tell_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        if before != after:
            verb = "up" if after > before else "down"
            message = f"Scaled {verb} replica set {name} from {before} to {after}"
            self.recorder.event(deployment, NORMAL, "ScalingReplicaSet", message)


def _busy(deployment: Object, sets: Sequence[Object], seen: Seen) -> frozenset[str]:
    if is_rolling(deployment):
        return frozenset()
    return frozenset(
        name_of(rs) for rs in sets if any(not read.is_finished(pod) for pod in controlled_by(seen[PODS], rs))
    )

"""Roll Deployments out: carry out what `decide.py` plans, step by step, woken by every change of a ReplicaSet.

In:    informers of Deployments, ReplicaSets and pods (pods only for Recreate).
Out:   ReplicaSets created, resized and removed; ScalingReplicaSet events; status; the revision annotation.
"""

from collections.abc import Sequence

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.deployment import conditions as say
from wherry.orchestration.controllers.deployment.annotations import REVISION
from wherry.orchestration.controllers.deployment.decide import Plan, decide
from wherry.orchestration.controllers.deployment.numbers import is_rolling, replicas_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import (
    candidates,
    controlled_by,
    index_children,
    is_controlled_by,
    is_owner_kind,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.expectations import RECHECK_S, Expectations
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.controllers.workload.pod_template import same_template
from wherry.orchestration.controllers.workload.status import StatusWriter, merged_status
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

COMPONENT = "deployment-controller"
WORKERS = 5
STATUS_FIELDS = (
    "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas",
    "terminatingReplicas", "collisionCount", "conditions",
)  # fmt: skip


def _selects(deployment: Object) -> LabelSelector:
    return from_label_selector(deployment["spec"].get("selector"))


class Controller:
    """Runs Deployments."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._deployments = informers.of(DEPLOYMENTS)
        self._sets = informers.of(REPLICA_SETS)
        self._pods = informers.of(PODS)
        self._expected = Expectations(self._sets)
        self._status = StatusWriter(client, self._deployments)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._sets)
        index_children(self._pods)
        for informer in (self._deployments, self._sets, self._pods):
            await informer.wait_synced()
        wake_on_change(self._deployments, self._queue)
        wake_owners(self._sets, self._deployments, DEPLOYMENTS, self._queue, _selects)
        self._pods.subscribe(self._pod_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """One step for one Deployment."""
        deployment = self._deployments.get(key)
        if deployment is None:
            self._expected.forget(key)
            self._status.forget(key)
            return
        if not (self._expected.met(key) and self._status.is_fresh(key)):
            self._queue.add_after(key, RECHECK_S)  # the event that is still on its way wakes it sooner
            return
        selector = _selects(deployment)
        if selector.is_everything:
            self._recorder.event(
                deployment, WARNING, "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            )  # fmt: skip
            return
        found = candidates(self._sets, deployment)
        sets = await claim_children(self._client, deployment, DEPLOYMENTS, REPLICA_SETS, selector, found)
        plan = decide(deployment, sets, busy=self._busy(deployment, sets), now=self._clock.now())
        await self._carry_out(deployment, plan)
        if plan.look_again_s is not None:
            self._queue.add_after(key, plan.look_again_s)

    async def _carry_out(self, deployment: Object, plan: Plan) -> None:
        key, namespace = key_of(deployment), namespace_of(deployment)
        if plan.create is not None and not await self._create(deployment, plan.create):
            return
        for before, after in plan.update:
            self._expected.created(key, await self._client.update(REPLICA_SETS, after))
            self._tell_scaled(deployment, name_of(after), replicas_of(before), replicas_of(after))
        for rs in plan.delete:
            try:
                await self._client.delete(REPLICA_SETS, name_of(rs), namespace, uid=uid_of(rs))
            except NotFound:
                continue
        status = merged_status(deployment.get("status"), plan.status, STATUS_FIELDS)
        # With the status, because an annotation written by itself would raise the generation.
        await self._status.write(deployment, status, annotations={REVISION: plan.revision} if plan.revision else None)

    async def _create(self, deployment: Object, rs: Object) -> bool:
        """True when the new set exists now and the rest of the plan holds."""
        try:
            created = await self._client.create(REPLICA_SETS, rs)
        except AlreadyExists:
            return await self._same_name(deployment, rs)
        except WherryError as error:
            if not is_namespace_ending(error):
                await self._tell_refused(deployment, rs, error)
            raise
        self._expected.created(key_of(deployment), created)
        self._tell_scaled(deployment, name_of(rs), 0, replicas_of(rs))
        return True

    async def _same_name(self, deployment: Object, rs: Object) -> bool:
        """The set is there: ours and our informer is late, or another template hashed to the same name."""
        live = await self._client.get(REPLICA_SETS, name_of(rs), namespace_of(rs))
        if is_controlled_by(live, deployment) and same_template(live["spec"]["template"], rs["spec"]["template"]):
            self._expected.created(key_of(deployment), live)
            return False
        status = dict(deployment.get("status") or {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        await self._status.write(deployment, status)
        return False

    async def _tell_refused(self, deployment: Object, rs: Object, error: WherryError) -> None:
        message = f'Failed to create new replica set "{name_of(rs)}": {error}'
        self._recorder.event(deployment, WARNING, say.CREATE_ERROR, message)
        if say.deadline_s(deployment) is None:
            return
        status = dict(deployment.get("status") or {})
        state = say.condition("Progressing", "False", say.CREATE_ERROR, message)
        status["conditions"] = say.set_condition(status.get("conditions") or [], state, self._clock.now())
        await self._status.write(deployment, status)

    def _tell_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        if before != after:
            verb = "up" if after > before else "down"
            message = f"Scaled {verb} replica set {name} from {before} to {after}"
            self._recorder.event(deployment, NORMAL, "ScalingReplicaSet", message)

    def _busy(self, deployment: Object, sets: Sequence[Object]) -> frozenset[str]:
        if is_rolling(deployment):
            return frozenset()
        return frozenset(
            name_of(rs) for rs in sets if any(not read.is_finished(pod) for pod in controlled_by(self._pods, rs))
        )

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod that ended may be the last one a Recreate waits for."""
        if old is None or (new is not None and not read.is_finished(new)):
            return
        owner = controller_of(old)
        rs = self._sets.get(f"{namespace_of(old)}/{owner['name']}") if owner and owner["kind"] == "ReplicaSet" else None
        parent = controller_of(rs) if rs is not None else None
        if rs is None or parent is None or not is_owner_kind(parent, DEPLOYMENTS):
            return
        deployment = self._deployments.get(f"{namespace_of(rs)}/{parent['name']}")
        if deployment is not None and not is_rolling(deployment) and not is_deleting(deployment):
            self._queue.add(key_of(deployment))

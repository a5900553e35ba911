"""Keep every ReplicaSet (or, by another flavor, ReplicationController) at its number of pods.

In:    informers of the kind and of pods.
Out:   pods created and deleted, adopted and released; status.
Never: decides; see `decide.py`.
"""

from collections.abc import Sequence

from wherry.kit.errors import WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.controllers.replicaset.decide import REPLICA_SET, Flavor, Plan, decide, status_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import BY_CONTROLLER, BY_OWNER, candidates, controlled_by, owners_in
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.pod_control import (
    Batch,
    PodControl,
    all_of,
    is_namespace_ending,
    slow_start,
)
from wherry.orchestration.controllers.workload.pod_template import pod_from
from wherry.orchestration.controllers.workload.status import merged_status, write_status
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, controller_of, is_deleting, key_of

STATUS_FIELDS = (
    "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas",
    "observedGeneration", "conditions",
)  # fmt: skip


class Controller(Loop[str]):
    """One of the two kinds, by `flavor`."""

    workers = 5
    is_told_at_once = True

    def __init__(self, tools: Tools, flavor: Flavor = REPLICA_SET) -> None:
        self.name = flavor.component
        self.watches = (
            Watch(flavor.resource, indexes={BY_CONTROLLER: BY_OWNER[BY_CONTROLLER]}),
            Watch(PODS, owners_in(flavor.resource, flavor.selects), indexes=BY_OWNER),
        )
        super().__init__(tools)
        self._flavor = flavor
        self._control = PodControl(self.client, self.recorder)

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Bring one object up to date."""
        owner = seen[self._flavor.resource].get(key)
        if owner is None:
            return None
        may_act = seen.shows(key)
        found = read.active(candidates(seen[PODS], owner))
        active = await claim_children(
            self.client, owner, self._flavor.resource, PODS, self._flavor.selects(owner), found
        )
        now = self.clock.now()
        error: WherryError | None = None
        if may_act and not is_deleting(owner):
            plan = decide(owner, active, self._related(owner, seen), now)
            error = (await self._carry_out(owner, plan, seen)).error
        await self._report(owner, active, seen, str(error or ""))
        again_s = read.soonest_available_s(active, int(owner["spec"].get("minReadySeconds") or 0), now)
        if error is not None and not is_namespace_ending(error):
            seen.wake_after(key, again_s)
            raise error
        return again_s

    async def _carry_out(self, owner: Object, plan: Plan, seen: Seen) -> Batch:
        key = key_of(owner)

        async def create(_: int) -> None:
            pod = pod_from(owner["spec"].get("template") or {}, owner, self._flavor.resource)
            seen.wrote(key, PODS, await self._control.create(owner, pod))

        async def delete(pod: Object) -> None:
            await self._control.delete(owner, pod)
            seen.deleted(key, PODS, pod)

        if plan.create:
            return await slow_start(range(plan.create), create)
        return await all_of(plan.delete, delete)

    async def _report(self, owner: Object, active: Sequence[Object], seen: Seen, failure: str) -> None:
        terminating = sum(map(read.is_terminating, controlled_by(seen[PODS], owner)))
        new = status_of(owner, self._flavor, active, terminating, failure, self.clock.now())
        status = merged_status(owner.get("status"), new, STATUS_FIELDS)
        await write_status(self.client, seen, self._flavor.resource, owner, status)

    def _related(self, owner: Object, seen: Seen) -> list[Object]:
        """The pods of all sets that share this set's controller: a rollout spreads over nodes as one."""
        parent = controller_of(owner)
        owners = seen[self._flavor.resource]
        siblings = owners.by_index(BY_CONTROLLER, parent["uid"]) if parent is not None else [owner]
        return [pod for sibling in siblings for pod in controlled_by(seen[PODS], sibling)]

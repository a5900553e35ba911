"""Keep every ReplicaSet (or, by another flavor, ReplicationController) at its number of pods.

In:    informers of the kind and of pods.
Out:   pods created and deleted, adopted and released; status.
Never: decides; see `decide.py`.
"""

from collections.abc import Sequence

from wherry.kit.clock import Clock
from wherry.kit.errors import WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.replicaset.decide import REPLICA_SET, Flavor, Plan, decide, status_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import (
    BY_CONTROLLER,
    candidates,
    controlled_by,
    index_children,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.expectations import RECHECK_S, Expectations
from wherry.orchestration.controllers.workload.pod_control import (
    Batch,
    PodControl,
    all_of,
    is_namespace_ending,
    slow_start,
)
from wherry.orchestration.controllers.workload.pod_template import pod_from
from wherry.orchestration.controllers.workload.status import StatusWriter, merged_status
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, controller_of, is_deleting, key_of

WORKERS = 5
STATUS_FIELDS = (
    "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas",
    "observedGeneration", "conditions",
)  # fmt: skip


class Controller:
    """One of the two kinds, by `flavor`."""

    def __init__(
        self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, flavor: Flavor = REPLICA_SET
    ) -> None:
        self._client = client
        self._clock = clock
        self._flavor = flavor
        self._owners = informers.of(flavor.resource)
        self._pods = informers.of(PODS)
        self._control = PodControl(client, recorder.named(flavor.component))
        self._expected = Expectations(self._pods)
        self._status = StatusWriter(client, self._owners)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._pods)
        self._owners.add_index(BY_CONTROLLER, lambda obj: [owner["uid"]] if (owner := controller_of(obj)) else [])
        await self._pods.wait_synced()
        await self._owners.wait_synced()
        wake_on_change(self._owners, self._queue)
        wake_owners(self._pods, self._owners, self._flavor.resource, self._queue, self._flavor.selects)
        await run_controller(self._flavor.component, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring one object up to date."""
        owner = self._owners.get(key)
        if owner is None:
            self._expected.forget(key)
            self._status.forget(key)
            return
        may_act = self._expected.met(key)
        if not may_act or not self._status.is_fresh(key):
            self._queue.add_after(key, RECHECK_S)
        if not self._status.is_fresh(key):
            return
        found = read.active(candidates(self._pods, owner))
        active = await claim_children(
            self._client, owner, self._flavor.resource, PODS, self._flavor.selects(owner), found
        )
        now = self._clock.now()
        error: WherryError | None = None
        if may_act and not is_deleting(owner):
            plan = decide(owner, active, self._related(owner), now)
            error = (await self._carry_out(owner, plan)).error
        await self._report(owner, active, str(error or ""))
        wait = read.soonest_available_s(active, int(owner["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self._queue.add_after(key, wait)
        if error is not None and not is_namespace_ending(error):
            raise error

    async def _carry_out(self, owner: Object, plan: Plan) -> Batch:
        key = key_of(owner)

        async def create(_: int) -> None:
            pod = pod_from(owner["spec"].get("template") or {}, owner, self._flavor.resource)
            self._expected.created(key, await self._control.create(owner, pod))

        async def delete(pod: Object) -> None:
            await self._control.delete(owner, pod)
            self._expected.deleted(key, pod)

        if plan.create:
            return await slow_start(range(plan.create), create)
        return await all_of(plan.delete, delete)

    async def _report(self, owner: Object, active: Sequence[Object], failure: str) -> None:
        terminating = sum(map(read.is_terminating, controlled_by(self._pods, owner)))
        new = status_of(owner, self._flavor, active, terminating, failure, self._clock.now())
        status = merged_status(owner.get("status"), new, STATUS_FIELDS)
        await self._status.write(owner, status)

    def _related(self, owner: Object) -> list[Object]:
        """The pods of all sets that share this set's controller: a rollout spreads over nodes as one."""
        parent = controller_of(owner)
        siblings = self._owners.by_index(BY_CONTROLLER, parent["uid"]) if parent is not None else [owner]
        return [pod for sibling in siblings for pod in controlled_by(self._pods, sibling)]

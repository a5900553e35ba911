"""Run Jobs to their end, count every pod once, and delete finished Jobs after their time to live.

In:    informers of Jobs and pods.
Out:   pods created and deleted; finalizers; status; events.
"""

import logging

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.job.backoff import Record
from wherry.orchestration.controllers.job.decide import Birth, Plan, decide, ending_in
from wherry.orchestration.controllers.job.orphans import Orphans, without_finalizer
from wherry.orchestration.controllers.job.pod import pod_for
from wherry.orchestration.controllers.job.tally import FINALIZER, Tally, count, is_tracked
from wherry.orchestration.controllers.job.tracking import finished_condition, step
from wherry.orchestration.controllers.workload.children import (
    candidates,
    controlled_by,
    index_children,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.expectations import RECHECK_S, Expectations
from wherry.orchestration.controllers.workload.pod_control import PodControl, all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.status import StatusWriter
from wherry.orchestration.objects.kinds import JOBS, PODS
from wherry.orchestration.objects.meta import (
    Object,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    revision_of,
    uid_of,
)
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector

log = logging.getLogger(__name__)

COMPONENT = "job-controller"
WORKERS = 5
OURS = ("", "kubernetes.io/job-controller")


def _selects(job: Object) -> LabelSelector:
    return from_label_selector(job["spec"].get("selector"))


class Controller:
    """Runs Jobs."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._jobs = informers.of(JOBS)
        self._pods = informers.of(PODS)
        self._control = PodControl(client, self._recorder)
        self._expected = Expectations(self._pods)
        self._records: dict[str, Record] = {}  # by uid
        self._status = StatusWriter(client, self._jobs)
        self._queue: KeyedQueue[str] = KeyedQueue()
        self._orphans = Orphans(client, self._jobs, self._pods)

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._pods)
        await self._pods.wait_synced()
        await self._jobs.wait_synced()
        wake_on_change(self._jobs, self._queue)
        wake_owners(self._pods, self._jobs, JOBS, self._queue, _selects)
        self._jobs.subscribe(self._forget)
        await self._orphans.run_with(run_controller(COMPONENT, self._queue, self.reconcile, WORKERS))

    async def reconcile(self, key: str) -> None:
        """The next step of one Job."""
        job = self._jobs.get(key)
        if job is None:
            return
        if not (self._expected.met(key) and self._status.is_fresh(key)):
            self._queue.add_after(key, RECHECK_S)
            return
        if (job["spec"].get("managedBy") or "") not in OURS:
            return
        if not job["spec"].get("selector"):  # never from the API server; without one every pod would be given up again
            log.error("job %s has no selector", key)
            return
        if finished_condition(job) is not None:
            await self._after_the_end(job)
            return
        pods = await claim_children(
            self._client, job, JOBS, PODS, _selects(job), candidates(self._pods, job), finalizer=FINALIZER
        )
        now, ending = self._clock.now(), ending_in(job)
        tally = count(job, pods, failing=ending is not None and ending.kind == "FailureTarget")
        fresh = [*tally.new_succeeded, *tally.new_failed]
        record = self._records.get(uid_of(job), Record()).with_finished(fresh, now)
        plan = decide(job, pods, tally, record, now)
        active, error = await self._carry_out(job, tally, plan)
        await self._advance(job, pods, tally, plan, active)
        self._records[uid_of(job)] = record  # only now: an earlier failure repeats this step with the same pods
        if plan.look_again_s is not None:
            self._queue.add_after(key, plan.look_again_s)
        if error is not None and not is_namespace_ending(error):
            raise error

    async def _carry_out(self, job: Object, tally: Tally, plan: Plan) -> tuple[int, WherryError | None]:
        """Active pods afterwards, and the first error."""
        key = key_of(job)

        async def create(birth: Birth) -> None:
            pod = pod_for(job, birth.index, failures=birth.failures, ignored=birth.ignored)
            self._expected.created(key, await self._control.create(job, pod))

        async def delete(pod: Object) -> None:
            if plan.ending is None:  # given up by us, by suspension or a smaller parallelism: no failure of the pod's
                await without_finalizer(self._client, pod)
            await self._control.delete(job, pod)
            self._expected.deleted(key, pod)

        if plan.create:
            batch = await slow_start(plan.create, create)
            return len(tally.active) + batch.done, batch.error
        batch = await all_of(plan.delete, delete)
        return len(tally.active) - batch.done, batch.error

    async def _advance(self, job: Object, pods: list[Object], tally: Tally, plan: Plan, active: int) -> None:
        advance = step(job, pods, tally, plan, active, self._clock.now())
        await self._status.write(job, advance.status)
        for condition in advance.says:
            self._tell(job, condition)

        async def release(pod: Object) -> None:
            await without_finalizer(self._client, pod)

        batch = await all_of(advance.release, release)
        if batch.error is not None:
            raise batch.error

    def _tell(self, job: Object, condition: Object) -> None:
        match condition["type"], condition["status"]:
            case "Complete", _:
                self._recorder.event(job, NORMAL, "Completed", "Job completed")
            case "Failed", _:
                self._recorder.event(job, WARNING, condition["reason"], condition["message"])
            case "Suspended", status:
                reason = "Suspended" if status == "True" else "Resumed"
                self._recorder.event(job, NORMAL, reason, condition["message"])

    async def _after_the_end(self, job: Object) -> None:
        for pod in controlled_by(self._pods, job):
            if is_tracked(pod):
                await without_finalizer(self._client, pod)
        condition, ttl_s = finished_condition(job), job["spec"].get("ttlSecondsAfterFinished")
        if condition is None or not condition.get("lastTransitionTime") or ttl_s is None or is_deleting(job):
            return
        age_s = (self._clock.now() - parse_rfc3339(condition["lastTransitionTime"])).total_seconds()
        if age_s < ttl_s:
            self._queue.add_after(key_of(job), ttl_s - age_s)
            return
        try:
            await self._client.delete(
                JOBS, name_of(job), namespace_of(job), uid=uid_of(job), revision=revision_of(job), propagation="Foreground"
            )
        except NotFound:
            return

    def _forget(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._records.pop(uid_of(old), None)
            self._expected.forget(key_of(old))
            self._status.forget(key_of(old))

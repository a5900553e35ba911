"""Run Jobs to their end, count every pod once, and delete finished Jobs after their time to live.

In:    informers of Jobs and pods.
Out:   pods created and deleted; finalizers; status; events.
"""

import logging

from wherry.kit.clock import parse_rfc3339
from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.job.backoff import Record
from wherry.orchestration.controllers.job.decide import Birth, Plan, decide, ending_in
from wherry.orchestration.controllers.job.orphans import without_finalizer
from wherry.orchestration.controllers.job.pod import pod_for
from wherry.orchestration.controllers.job.tally import FINALIZER, Tally, count, is_tracked
from wherry.orchestration.controllers.job.tracking import finished_condition, step
from wherry.orchestration.controllers.workload.children import BY_OWNER, candidates, controlled_by, owners_in
from wherry.orchestration.controllers.workload.claiming import claim_children
from wherry.orchestration.controllers.workload.pod_control import PodControl, all_of, is_namespace_ending, slow_start
from wherry.orchestration.controllers.workload.status import write_status
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

OURS = ("", "kubernetes.io/job-controller")


def _selects(job: Object) -> LabelSelector:
    return from_label_selector(job["spec"].get("selector"))


class Controller(Loop[str]):
    """Runs Jobs."""

    name = "job-controller"
    workers = 5
    watches = (Watch(JOBS), Watch(PODS, owners_in(JOBS, _selects), indexes=BY_OWNER))

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._control = PodControl(self.client, self.recorder)
        self._records: dict[str, tuple[str, Record]] = {}  # by key, with the Job's uid

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """The next step of one Job."""
        job = seen[JOBS].get(key)
        if job is None:
            self._records.pop(key, None)
            return None
        if (job["spec"].get("managedBy") or "") not in OURS:
            return None
        if not job["spec"].get("selector"):  # never from the API server; without one every pod would be given up again
            log.error("job %s has no selector", key)
            return None
        if finished_condition(job) is not None:
            return await self._after_the_end(job, seen)
        found = candidates(seen[PODS], job)
        pods = await claim_children(self.client, job, JOBS, PODS, _selects(job), found, finalizer=FINALIZER)
        now, ending = self.clock.now(), ending_in(job)
        tally = count(job, pods, failing=ending is not None and ending.kind == "FailureTarget")
        fresh = [*tally.new_succeeded, *tally.new_failed]
        record = self._record_of(job).with_finished(fresh, now)
        plan = decide(job, pods, tally, record, now)
        active, error = await self._carry_out(job, tally, plan, seen)
        await self._advance(job, pods, tally, plan, active, seen)
        self._records[key] = (uid_of(job), record)  # only now: an earlier failure repeats this step with the same pods
        if error is not None and not is_namespace_ending(error):
            seen.wake_after(key, plan.look_again_s)
            raise error
        return plan.look_again_s

    def _record_of(self, job: Object) -> Record:
        uid, record = self._records.get(key_of(job), ("", Record()))
        return record if uid == uid_of(job) else Record()

    async def _carry_out(self, job: Object, tally: Tally, plan: Plan, seen: Seen) -> tuple[int, WherryError | None]:
        """Active pods afterwards, and the first error."""
        key = key_of(job)

        async def create(birth: Birth) -> None:
            pod = pod_for(job, birth.index, failures=birth.failures, ignored=birth.ignored)
            seen.wrote(key, PODS, await self._control.create(job, pod))

        async def delete(pod: Object) -> None:
            if plan.ending is None:  # given up by us, by suspension or a smaller parallelism: no failure of the pod's
                await without_finalizer(self.client, pod)
            await self._control.delete(job, pod)
            seen.deleted(key, PODS, pod)

        if plan.create:
            batch = await slow_start(plan.create, create)
            return len(tally.active) + batch.done, batch.error
        batch = await all_of(plan.delete, delete)
        return len(tally.active) - batch.done, batch.error

    async def _advance(
        self, job: Object, pods: list[Object], tally: Tally, plan: Plan, active: int, seen: Seen
    ) -> None:
        advance = step(job, pods, tally, plan, active, self.clock.now())
        await write_status(self.client, seen, JOBS, job, advance.status)
        for condition in advance.says:
            self._tell(job, condition)

        async def release(pod: Object) -> None:
            await without_finalizer(self.client, pod)

        batch = await all_of(advance.release, release)
        if batch.error is not None:
            raise batch.error

    def _tell(self, job: Object, condition: Object) -> None:
        match condition["type"], condition["status"]:
            case "Complete", _:
                self.recorder.event(job, NORMAL, "Completed", "Job completed")
            case "Failed", _:
                self.recorder.event(job, WARNING, condition["reason"], condition["message"])
            case "Suspended", status:
                reason = "Suspended" if status == "True" else "Resumed"
                self.recorder.event(job, NORMAL, reason, condition["message"])

    async def _after_the_end(self, job: Object, seen: Seen) -> float | None:
        for pod in controlled_by(seen[PODS], job):
            if is_tracked(pod):
                await without_finalizer(self.client, pod)
        condition, ttl_s = finished_condition(job), job["spec"].get("ttlSecondsAfterFinished")
        if condition is None or not condition.get("lastTransitionTime") or ttl_s is None or is_deleting(job):
            return None
        age_s = (self.clock.now() - parse_rfc3339(condition["lastTransitionTime"])).total_seconds()
        if age_s < ttl_s:
            return float(ttl_s - age_s)
        try:
            await self.client.delete(
                JOBS, name_of(job), namespace_of(job), uid=uid_of(job), revision=revision_of(job), propagation="Foreground"
            )
        except NotFound:
            pass
        return None

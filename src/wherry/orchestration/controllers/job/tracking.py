"""A Job's next status, and which pods may lose the tracking finalizer once that status is stored: pure.

Every finished pod is counted exactly once: its uid goes into status.uncountedTerminatedPods, then the finalizer comes
off, then the uid becomes a number. A crash between any two steps repeats a step, never a count. An Indexed Job needs
no uids for successes: its completed indexes are a set.

In:    the Job, its pods, tally and plan, how many pods are active after the plan.
Out:   `Step`.
Spec:  Kubernetes pkg/controller/job/job_controller.go (trackJobStatusAndRemoveFinalizers).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.kit.clock import rfc3339
from wherry.orchestration.controllers.job.decide import Plan, is_suspended, last_failure
from wherry.orchestration.controllers.job.indexes import index_of, is_indexed, text_of
from wherry.orchestration.controllers.job.tally import Tally, failures_before, is_index_lost, is_tracked
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.status import without_zeros
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting, uid_of

UNCOUNTED_MAX = 500
SUSPENDED = ("Suspended", "True", "JobSuspended", "Job suspended")
RESUMED = ("Suspended", "False", "JobResumed", "Job resumed")


@dataclass(frozen=True, slots=True)
class Step:
    """`status` is to be written first; then `release` lose their finalizer. `says` are conditions new in this step."""

    status: Object
    release: tuple[Object, ...]
    says: tuple[Object, ...]


def is_finished(job: Object) -> bool:
    """Complete or Failed."""
    return finished_condition(job) is not None


def finished_condition(job: Object) -> Object | None:
    """The condition that ended the Job."""
    for kind in ("Complete", "Failed"):
        found = condition_of((job.get("status") or {}).get("conditions"), kind)
        if found is not None and found.get("status") == "True":
            return dict(found)
    return None


def step(job: Object, pods: Sequence[Object], tally: Tally, plan: Plan, active: int, now: datetime) -> Step:
    """One step of the count."""
    old = job.get("status") or {}
    tracked = {uid_of(pod): pod for pod in pods if is_tracked(pod)}
    counts = {"succeeded": int(old.get("succeeded") or 0), "failed": int(old.get("failed") or 0)}
    waiting: dict[str, list[str]] = {}
    for kind in counts:
        listed = (old.get("uncountedTerminatedPods") or {}).get(kind) or []
        waiting[kind] = [uid for uid in listed if uid in tracked]
        counts[kind] += len(listed) - len(waiting[kind])
    room = UNCOUNTED_MAX - len(waiting["succeeded"]) - len(waiting["failed"])
    if not is_indexed(job):
        added = [uid_of(pod) for pod in tally.new_succeeded][: max(0, room)]
        waiting["succeeded"] += added
        room -= len(added)
    waiting["failed"] += [uid_of(pod) for pod in tally.new_failed][: max(0, room)]
    listed_now = {*waiting["succeeded"], *waiting["failed"]}
    countless = [*tally.ignored, *(tally.new_succeeded if is_indexed(job) else ())]
    held = set() if plan.ending or is_deleting(job) else _held(job, pods, now)
    release = [pod for uid, pod in tracked.items() if uid in listed_now and uid not in held]
    release += [pod for pod in countless if is_tracked(pod) and uid_of(pod) not in held]
    if is_deleting(job):
        release = [*tracked.values()]
    conditions, says = _conditions(job, plan, now)
    settled = not (tracked or listed_now or tally.terminating or active)
    if plan.ending is not None and settled:
        final = _final(plan, now)
        conditions, says = [*conditions, final], [*says, final]
    status = _status(job, tally, plan, active, counts, waiting, conditions, now)
    return Step(status, tuple(release), tuple(says))


def _status(
    job: Object, tally: Tally, plan: Plan, active: int, counts: dict[str, int], waiting: dict[str, list[str]],
    conditions: list[Object], now: datetime,
) -> Object:
    old = job.get("status") or {}
    stopped = plan.ending is not None or is_suspended(job)
    status = {
        **{name: old[name] for name in ("startTime", "completionTime") if old.get(name)},
        **counts,
        "active": active,
        "conditions": conditions,
    }
    if is_indexed(job):
        status["succeeded"] = len(tally.succeeded_indexes)
        status["completedIndexes"] = text_of(tally.succeeded_indexes)
    was_suspended = (condition_of(old.get("conditions"), "Suspended") or {}).get("status") == "True"
    if not is_suspended(job) and (not old.get("startTime") or was_suspended) and not plan.ending:
        status["startTime"] = rfc3339(now)
    if any(c["type"] == "Complete" for c in conditions):
        status["completionTime"] = rfc3339(now)
    status = without_zeros(status)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        status["failedIndexes"] = text_of(tally.failed_indexes)
    status["ready"] = 0 if stopped else sum(map(read.is_ready, tally.active))
    status["terminating"] = tally.terminating
    status["uncountedTerminatedPods"] = without_zeros(waiting)
    return status


def _conditions(job: Object, plan: Plan, now: datetime) -> tuple[list[Object], list[Object]]:
    """(all conditions, the new ones)."""
    conditions = [dict(c) for c in (job.get("status") or {}).get("conditions") or ()]
    if plan.ending is not None:
        if condition_of(conditions, plan.ending.kind) is not None:
            return conditions, []
        new = _stamped(plan.ending.kind, "True", plan.ending.reason, plan.ending.message, now)
        return [*conditions, new], [new]
    said = (condition_of(conditions, "Suspended") or {}).get("status") == "True"
    if is_suspended(job) == said:
        return conditions, []
    new = _stamped(*(SUSPENDED if is_suspended(job) else RESUMED), now)
    return [*(c for c in conditions if c["type"] != "Suspended"), new], [new]


def _final(plan: Plan, now: datetime) -> Object:
    assert plan.ending is not None
    kind = "Failed" if plan.ending.kind == "FailureTarget" else "Complete"
    return _stamped(kind, "True", plan.ending.reason, plan.ending.message, now)


def _stamped(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    at = rfc3339(now)
    return {
        "type": kind, "status": status, "reason": reason, "message": message, "lastProbeTime": at,
        "lastTransitionTime": at,
    }  # fmt: skip


def _held(job: Object, pods: Sequence[Object], now: datetime) -> set[str]:
    """With backoffLimitPerIndex, an index's last failed pod stays until its successor carries the count on."""
    if job["spec"].get("backoffLimitPerIndex") is None:
        return set()
    held = set()
    for index in {index for pod in pods if (index := index_of(pod)) is not None}:
        last = last_failure(job, pods, index, now)
        if last is None or is_index_lost(job, last) or _has_successor(last, pods, index):
            continue
        held.add(uid_of(last))
    return held


def _has_successor(last: Object, pods: Sequence[Object], index: int) -> bool:
    made = (read.created_at(last), failures_before(last))
    return any(
        index_of(pod) == index and pod is not last and (
            not read.is_finished(pod) or (read.created_at(pod), failures_before(pod)) > made
        )
        for pod in pods
    )


"""What a Job needs next: pods to make, pods to end, or its end: pure.

In:    the Job, its tally, the back-off record, the time.
Out:   a `Plan`.
Spec:  Kubernetes pkg/controller/job/job_controller.go (syncJob, manageJob).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.controllers.job.backoff import Record, finished_at
from wherry.orchestration.controllers.job.indexes import index_of, is_indexed
from wherry.orchestration.controllers.job.policies import IGNORE, success_message
from wherry.orchestration.controllers.job.tally import (
    INDEX_IGNORED,
    Tally,
    failures_before,
    has_failed,
    is_tracked,
    replaces_only_failed,
    verdict_on,
)
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.pod_ranking import to_delete
from wherry.orchestration.objects.meta import Object, condition_of

BURST = 500


@dataclass(frozen=True, slots=True)
class Birth:
    """A pod to make; `index` is None for a NonIndexed Job."""

    index: int | None = None
    failures: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the Job ends: `kind` is SuccessCriteriaMet or FailureTarget."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """At most one of `create` and `delete` is not empty."""

    create: tuple[Birth, ...] = ()
    delete: tuple[Object, ...] = ()
    ending: Ending | None = None
    look_again_s: float | None = None


def is_suspended(job: Object) -> bool:
    """spec.suspend."""
    return bool(job["spec"].get("suspend"))


def ending_in(job: Object) -> Ending | None:
    """The ending that the status already holds."""
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        found = condition_of((job.get("status") or {}).get("conditions"), kind)
        if found is not None and found.get("status") == "True":
            return Ending(kind, found.get("reason", ""), found.get("message", ""))
    return None


def decide(job: Object, pods: Sequence[Object], tally: Tally, record: Record, now: datetime) -> Plan:
    """The next step."""
    ending = ending_in(job) or _failure(job, pods, tally, now) or _success(job, tally)
    if ending is not None:
        return Plan(delete=tally.active, ending=ending)
    if job["metadata"].get("deletionTimestamp"):
        return Plan()
    if is_suspended(job):
        return Plan(delete=tally.active)
    due = _deadline_in_s(job, now)
    surplus, lacking = _balance(job, tally, now)
    if surplus:
        return Plan(delete=tuple(surplus), look_again_s=due)
    if lacking <= 0:
        return Plan(look_again_s=due)
    births, wait_s = _births(job, pods, tally, record, min(lacking, BURST), now)
    waits = [wait for wait in (due, wait_s) if wait is not None]
    return Plan(create=tuple(births), look_again_s=min(waits, default=None))


def _failure(job: Object, pods: Sequence[Object], tally: Tally, now: datetime) -> Ending | None:
    spec = job["spec"]
    if tally.fail_job:
        return Ending("FailureTarget", "PodFailurePolicy", tally.fail_job)
    limit = int(spec.get("backoffLimit", 6))
    if tally.failed > limit or _restarts_exceed(job, pods, limit):
        return Ending("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    due = _deadline_in_s(job, now)
    if due is not None and due <= 0:
        return Ending("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
    if spec.get("backoffLimitPerIndex") is not None and tally.failed_indexes:
        most = spec.get("maxFailedIndexes")
        if most is not None and len(tally.failed_indexes) > most:
            return Ending(
                "FailureTarget", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
            )
        if len(tally.failed_indexes | tally.succeeded_indexes) >= int(spec.get("completions") or 0):
            return Ending("FailureTarget", "FailedIndexes", "Job has failed indexes")
    return None


def _restarts_exceed(job: Object, pods: Sequence[Object], limit: int) -> bool:
    if (job["spec"]["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in pods:
        status = pod.get("status") or {}
        if status.get("phase") in ("Running", "Pending"):
            every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
            restarts += sum(int(container.get("restartCount") or 0) for container in every)
    return restarts > 0 if limit == 0 else restarts >= limit


def _success(job: Object, tally: Tally) -> Ending | None:
    if message := success_message(job, set(tally.succeeded_indexes)):
        return Ending("SuccessCriteriaMet", "SuccessPolicy", message)
    completions = job["spec"].get("completions")
    if completions is None:
        done = tally.succeeded > 0 and not tally.active
    else:
        done = tally.succeeded >= completions
    if not done or is_suspended(job):
        return None
    return Ending("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")


def _deadline_in_s(job: Object, now: datetime) -> float | None:
    limit, start = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if limit is None or start is None or is_suspended(job):
        return float(limit) if limit is not None and not is_suspended(job) else None
    return (parse_rfc3339(start) + timedelta(seconds=int(limit)) - now).total_seconds()


def _balance(job: Object, tally: Tally, now: datetime) -> tuple[list[Object], int]:
    """(pods too many, how many are lacking)."""
    parallelism = int(job["spec"].get("parallelism", 1))
    completions = job["spec"].get("completions")
    if completions is None:
        wanted = len(tally.active) if tally.succeeded > 0 else parallelism
        wanted = min(wanted, parallelism)
    else:
        wanted = max(0, min(int(completions) - tally.succeeded - len(tally.failed_indexes), parallelism))
    useless = _useless(job, tally) if is_indexed(job) else []
    kept = [pod for pod in tally.active if pod not in useless]
    more = max(0, len(kept) - wanted)
    surplus = [*useless, *to_delete(kept, kept, more, now)] if more else useless
    waiting = tally.terminating if replaces_only_failed(job) else 0
    return surplus[:BURST], wanted - len(tally.active) - waiting


def _useless(job: Object, tally: Tally) -> list[Object]:
    """Active pods of an index that is done, out of range, or has a pod already."""
    completions = int(job["spec"].get("completions") or 0)
    seen: set[int] = set(tally.succeeded_indexes | tally.failed_indexes)
    result = []
    for pod in tally.active:
        index = index_of(pod)
        if index is None or index >= completions or index in seen:
            result.append(pod)
        else:
            seen.add(index)
    return result


def _births(
    job: Object, pods: Sequence[Object], tally: Tally, record: Record, count: int, now: datetime
) -> tuple[list[Birth], float | None]:
    """Pods to make now, and when to look again for those that must wait."""
    if job["spec"].get("backoffLimitPerIndex") is None:
        wait_s = record.remaining_s(now)
        if wait_s > 0:
            return [], wait_s
        free = _free_indexes(job, pods, tally) if is_indexed(job) else iter([None] * count)
        return [Birth(index) for index, _ in zip(free, range(count), strict=False)], None
    births: list[Birth] = []
    waits: list[float] = []
    for index in _free_indexes(job, pods, tally):
        last = last_failure(job, pods, index, now)
        birth = Birth(index) if last is None else _after(job, last, index)
        since = finished_at(last, now) if last is not None else None
        wait_s = Record(birth.failures + birth.ignored, since).remaining_s(now)
        if wait_s > 0:
            waits.append(wait_s)
        elif len(births) < count:
            births.append(birth)
    return births, min(waits, default=None)


def _free_indexes(job: Object, pods: Sequence[Object], tally: Tally) -> Iterator[int]:
    taken = {*tally.succeeded_indexes, *tally.failed_indexes}
    taken |= {i for pod in tally.active if (i := index_of(pod)) is not None}
    if replaces_only_failed(job):
        taken |= {i for pod in pods if read.is_terminating(pod) and (i := index_of(pod)) is not None}
    return (index for index in range(int(job["spec"].get("completions") or 0)) if index not in taken)


def last_failure(job: Object, pods: Sequence[Object], index: int, now: datetime) -> Object | None:
    """The failed pod of an index that ended last and still has its finalizer."""
    failed = [pod for pod in pods if index_of(pod) == index and is_tracked(pod) and has_failed(job, pod)]
    return max(failed, key=lambda pod: (failures_before(pod), finished_at(pod, now)), default=None)


def _after(job: Object, last: Object, index: int) -> Birth:
    failures, ignored = failures_before(last), failures_before(last, INDEX_IGNORED)
    if verdict_on(job, last).action == IGNORE:
        return Birth(index, failures, ignored + 1)
    return Birth(index, failures + 1, ignored)

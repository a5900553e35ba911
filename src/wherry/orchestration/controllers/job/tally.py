"""Count a Job's pods: what finished, what is new, what failed for good: pure.

In:    the Job with its status, and its pods; a pod with the tracking finalizer has not been counted yet.
Out:   a `Tally`.
Spec:  Kubernetes pkg/controller/job/{job_controller,tracking_utils}.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.orchestration.controllers.job.indexes import index_of, is_indexed, parse
from wherry.orchestration.controllers.job.policies import COUNT, FAIL_INDEX, FAIL_JOB, IGNORE, Verdict, judge
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, uid_of

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"


@dataclass(frozen=True, slots=True)
class Tally:
    """`succeeded` and `failed` are totals with everything seen; `new_*` are pods not yet in the status.

    `fail_job` is the message of a FailJob rule. The index sets are empty for a NonIndexed Job.
    """

    active: tuple[Object, ...]
    terminating: int
    succeeded: int
    failed: int
    new_succeeded: tuple[Object, ...]
    new_failed: tuple[Object, ...]  # counted ones
    ignored: tuple[Object, ...]  # failed, and the policy says not to count them
    fail_job: str
    succeeded_indexes: frozenset[int]
    failed_indexes: frozenset[int]


def count(job: Object, pods: Sequence[Object], *, failing: bool = False) -> Tally:
    """The tally. `failing`: the Job has failed, so pods that still run count as failures."""
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    known = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
    fresh = [pod for pod in pods if is_tracked(pod) and uid_of(pod) not in known]
    new_succeeded = tuple(pod for pod in fresh if read.phase_of(pod) == "Succeeded")
    gone = [pod for pod in fresh if has_failed(job, pod) or (failing and is_deleting(pod) and pod not in new_succeeded)]
    verdicts = [(pod, verdict_on(job, pod)) for pod in gone]
    done, lost = indexes(job, pods, new_succeeded)
    new_failed = tuple(pod for pod, verdict in verdicts if verdict.action != IGNORE)
    succeeded = len(done) if is_indexed(job) else (
        int(status.get("succeeded") or 0) + len(uncounted.get("succeeded") or ()) + len(new_succeeded)
    )
    return Tally(
        active=tuple(read.active(pods)),
        terminating=sum(map(read.is_terminating, pods)),
        succeeded=succeeded,
        failed=int(status.get("failed") or 0) + len(uncounted.get("failed") or ()) + len(new_failed),
        new_succeeded=new_succeeded,
        new_failed=new_failed,
        ignored=tuple(pod for pod, verdict in verdicts if verdict.action == IGNORE),
        fail_job=next((verdict.message for _, verdict in verdicts if verdict.action == FAIL_JOB), ""),
        succeeded_indexes=done,
        failed_indexes=lost,
    )


def is_tracked(pod: Object) -> bool:
    """The finalizer is on: the pod is not in the counters yet."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def replaces_only_failed(job: Object) -> bool:
    """podReplacementPolicy Failed: a terminating pod is neither failed nor replaced before it has ended."""
    policy = job["spec"].get("podReplacementPolicy")
    return policy == "Failed" or (policy is None and bool(job["spec"].get("podFailurePolicy")))


def has_failed(job: Object, pod: Object) -> bool:
    """Failed, or deleted and never going to succeed."""
    if read.phase_of(pod) == "Failed":
        return True
    return is_deleting(pod) and read.phase_of(pod) != "Succeeded" and not replaces_only_failed(job)


def verdict_on(job: Object, pod: Object) -> Verdict:
    """Rules look at pods in phase Failed only; one that is merely being deleted counts."""
    return judge(job, pod) if read.phase_of(pod) == "Failed" else Verdict(COUNT)


def indexes(
    job: Object, pods: Sequence[Object], new_succeeded: Sequence[Object]
) -> tuple[frozenset[int], frozenset[int]]:
    """(succeeded, failed) completion indexes: those of the status and those that the pods add."""
    if not is_indexed(job):
        return frozenset(), frozenset()
    status, limit = job.get("status") or {}, int(job["spec"].get("completions") or 0)
    done = parse(status.get("completedIndexes") or "", limit)
    done |= {i for pod in new_succeeded if (i := index_of(pod)) is not None and i < limit}
    lost = parse(status.get("failedIndexes") or "", limit)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        lost |= {i for pod in pods if is_index_lost(job, pod) and (i := index_of(pod)) is not None and i < limit}
    return frozenset(done), frozenset(lost - done)


def is_index_lost(job: Object, pod: Object) -> bool:
    """This failure was the last one its index may have."""
    if not is_tracked(pod) or not has_failed(job, pod):
        return False
    action = verdict_on(job, pod).action
    if action == IGNORE:
        return False
    return action == FAIL_INDEX or failures_before(pod) >= int(job["spec"].get("backoffLimitPerIndex") or 0)


def failures_before(pod: Object, annotation: str = INDEX_FAILURES) -> int:
    """How often the index had failed when this pod was made."""
    text = annotations_of(pod).get(annotation, "0")
    return int(text) if text.isdecimal() else 0

"""What is due for a CronJob: pure.

In:    the CronJob, its Jobs, the time.
Out:   bookkeeping of what ended, and the run that is due, if any.
Spec:  Kubernetes pkg/controller/cronjob/{cronjob_controllerv2,utils}.go.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.controllers.cronjob.schedule import Schedule, zone_of
from wherry.orchestration.objects.kinds import CRON_JOBS
from wherry.orchestration.objects.meta import Object, condition_of, name_of, namespace_of, owner_reference, uid_of

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MISSED_MAX = 100
STEPS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Due:
    """`at` is the newest time that has come and was not served; `missed` counts older ones."""

    at: datetime | None
    missed: int = 0


def due(cron_job: Object, schedule: Schedule, now: datetime) -> Due:
    """What should have started by `now`."""
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    earliest = parse_rfc3339(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None:
        earliest = max(earliest, now - timedelta(seconds=deadline_s))
    first = schedule.after(earliest)
    if first is None or first > now:
        return Due(None)
    second = schedule.after(first)
    if second is None or second > now:
        return Due(first)
    distance = second - first
    skipped = max(0, int((now - first) / distance) - MISSED_MAX)
    latest, missed = first + skipped * distance, skipped
    if skipped:
        latest = schedule.after(latest) or latest
        if latest > now:
            latest, missed = first, 0
    for _ in range(STEPS_MAX):
        following = schedule.after(latest)
        if following is None or following > now:
            break
        latest, missed = following, missed + 1
    return Due(latest, missed)


def is_too_late(cron_job: Object, at: datetime, now: datetime) -> bool:
    """Past startingDeadlineSeconds."""
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    return deadline_s is not None and at + timedelta(seconds=deadline_s) < now


def job_name(cron_job: Object, at: datetime) -> str:
    """`<name>-<minutes since 1970>`: the same run is never made twice."""
    return f"{name_of(cron_job)}-{int(at.timestamp()) // 60}"


def job_for(cron_job: Object, at: datetime) -> Object:
    """The Job of one run."""
    template = cron_job["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    local = at.astimezone(zone_of(cron_job["spec"].get("timeZone")))
    stamp = local.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cron_job, at),
            "namespace": namespace_of(cron_job),
            "labels": dict(metadata.get("labels") or {}),
            "annotations": {**(metadata.get("annotations") or {}), SCHEDULED_AT: stamp},
            "ownerReferences": [owner_reference(cron_job, api_version=CRON_JOBS.api_version, kind=CRON_JOBS.kind)],
        },
        "spec": copy.deepcopy(template["spec"]),
    }


def reference_to(job: Object) -> Object:
    """The entry of status.active."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name_of(job),
        "namespace": namespace_of(job),
        "uid": uid_of(job),
        "resourceVersion": job["metadata"].get("resourceVersion", ""),
    }


def ended_as(job: Object) -> str:
    """Complete, Failed, or "" while it runs."""
    for kind in ("Complete", "Failed"):
        found = condition_of((job.get("status") or {}).get("conditions"), kind)
        if found is not None and found.get("status") == "True":
            return kind
    return ""


def to_forget(cron_job: Object, jobs: Sequence[Object]) -> list[Object]:
    """Ended Jobs beyond the history limits, oldest first."""
    result = []
    for kind, field, default in (("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)):
        limit = cron_job["spec"].get(field, default)
        ended = sorted((job for job in jobs if ended_as(job) == kind), key=_started)
        result += ended[: max(0, len(ended) - int(limit))]
    return result


def last_success(cron_job: Object, jobs: Sequence[Object]) -> str | None:
    """status.lastSuccessfulTime: the newest completion."""
    times = [(job.get("status") or {}).get("completionTime") for job in jobs if ended_as(job) == "Complete"]
    known = [t for t in (*times, (cron_job.get("status") or {}).get("lastSuccessfulTime")) if t]
    return max(known, key=parse_rfc3339, default=None)


def _started(job: Object) -> tuple[str, str]:
    return ((job.get("status") or {}).get("startTime") or "", name_of(job))

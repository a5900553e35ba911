"""How long a Job waits before it replaces a failed pod: 10 s doubling to 10 min, reset by a success: pure.

Spec:  Kubernetes pkg/controller/job/backoff_utils.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.kit.clock import left_s, parse_rfc3339
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.objects.meta import Object, condition_of

FIRST_S = 10.0
MAX_S = 600.0
EXPONENT_MAX = 30


@dataclass(frozen=True, slots=True)
class Record:
    """Failures since the last success."""

    failures: int = 0
    last: datetime | None = None

    def with_finished(self, pods: Sequence[Object], now: datetime) -> "Record":
        """The record after `pods` have finished, in the order of their ends."""
        record = self
        for pod in sorted(pods, key=lambda pod: finished_at(pod, now)):
            if read.phase_of(pod) == "Succeeded":
                record = Record()
            else:
                record = Record(record.failures + 1, finished_at(pod, now))
        return record

    def remaining_s(self, now: datetime) -> float:
        """How long to wait yet; 0 when a pod may be made now."""
        if not self.failures or self.last is None:
            return 0.0
        delay_s = min(FIRST_S * 2.0 ** min(self.failures - 1, EXPONENT_MAX), MAX_S)
        return left_s(self.last, delay_s, now)


def finished_at(pod: Object, now: datetime) -> datetime:
    """When the last container ended; else when the pod stopped being ready, was deleted; else `now`."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [(status.get("state") or {}).get("terminated", {}).get("finishedAt") for status in statuses]
    known = [parse_rfc3339(end) for end in ends if end]
    if known and len(known) == len(ends):
        return max(known)
    ready = condition_of((pod.get("status") or {}).get("conditions"), "Ready")
    if ready is not None and ready.get("lastTransitionTime"):
        return parse_rfc3339(ready["lastTransitionTime"])
    deleted = pod["metadata"].get("deletionTimestamp")
    return parse_rfc3339(deleted) if deleted else now

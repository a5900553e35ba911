"""What workload controllers read from pods: pure, one question a function.

Spec:  Kubernetes pkg/api/v1/pod and pkg/controller/controller_utils.go (active, ready, available, restart count).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from wherry.kit.clock import left_s, parse_rfc3339
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting

Pod = Mapping[str, Any]


def phase_of(pod: Pod) -> str:
    """status.phase, Pending when nothing was reported."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def node_of(pod: Pod) -> str:
    """spec.nodeName, "" before scheduling."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def is_finished(pod: Pod) -> bool:
    """Succeeded or Failed."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Pod) -> bool:
    """Neither finished nor being deleted."""
    return not is_finished(pod) and not is_deleting(pod)


def is_terminating(pod: Pod) -> bool:
    """Being deleted and not finished yet: still using its node."""
    return not is_finished(pod) and is_deleting(pod)


def active(pods: Iterable[Object]) -> list[Object]:
    """The active ones."""
    return [pod for pod in pods if is_active(pod)]


def is_ready(pod: Pod) -> bool:
    """Condition Ready is True."""
    condition = _condition(pod, "Ready")
    return condition is not None and condition.get("status") == "True"


def ready_since(pod: Pod) -> datetime | None:
    """When Ready last became True; None when it is not."""
    condition = _condition(pod, "Ready")
    if condition is None or condition.get("status") != "True" or not condition.get("lastTransitionTime"):
        return None
    return parse_rfc3339(condition["lastTransitionTime"])


def is_available(pod: Pod, min_ready_s: int, now: datetime) -> bool:
    """Ready for at least `min_ready_s`."""
    return available_in_s(pod, min_ready_s, now) == 0.0


def available_in_s(pod: Pod, min_ready_s: int, now: datetime) -> float | None:
    """Seconds until the pod counts as available if it stays ready; 0 when it is, None when it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready_s == 0:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return None
    return left_s(since, min_ready_s, now)


def restarts_of(pod: Pod) -> int:
    """The largest restart count of its containers."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((int(status.get("restartCount") or 0) for status in statuses), default=0)


def created_at(obj: Mapping[str, Any]) -> datetime:
    """metadata.creationTimestamp; the epoch when absent."""
    return parse_rfc3339(obj.get("metadata", {}).get("creationTimestamp") or "1970-01-01T00:00:00Z")


def soonest_available_s(pods: Iterable[Pod], min_ready_s: int, now: datetime) -> float | None:
    """How long until the next ready pod becomes available; None when none is waiting for that."""
    waits = [wait for pod in pods if (wait := available_in_s(pod, min_ready_s, now))]
    return min(waits, default=None)


def _condition(pod: Pod, kind: str) -> Mapping[str, Any] | None:
    return condition_of((pod.get("status") or {}).get("conditions"), kind)

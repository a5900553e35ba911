"""The status of a Deployment and when to look again: pure.

Spec:  Kubernetes pkg/controller/deployment/{progress,sync}.go: calculateStatus, syncRolloutStatus, requeueStuckDeployment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from wherry.kit.clock import parse_rfc3339, rfc3339
from wherry.orchestration.controllers.deployment.numbers import (
    UNLIMITED,
    max_unavailable,
    replicas_of,
    reported,
    total,
    wanted,
)
from wherry.orchestration.controllers.workload.status import without_zeros
from wherry.orchestration.objects.meta import Object, condition_of, name_of

AVAILABLE = "NewReplicaSetAvailable"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
CREATE_ERROR = "ReplicaSetCreateError"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"

Conditions = list[Object]


def deadline_s(deployment: Object) -> int | None:
    """spec.progressDeadlineSeconds; None when there is none."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == UNLIMITED else int(seconds)


def set_condition(conditions: Sequence[Mapping[str, object]], new: Object, now: datetime) -> Conditions:
    """As upstream: nothing changes while status and reason stay; lastTransitionTime moves with status."""
    current = condition_of(conditions, new["type"])
    if current is not None and (current["status"], current.get("reason")) == (new["status"], new["reason"]):
        return [dict(c) for c in conditions]
    since = rfc3339(now)
    if current is not None and current["status"] == new["status"]:
        since = str(current.get("lastTransitionTime") or since)
    stamped = {**new, "lastUpdateTime": rfc3339(now), "lastTransitionTime": since}
    return [*without(conditions, new["type"]), stamped]


def without(conditions: Sequence[Mapping[str, object]], kind: str) -> Conditions:
    """All but that one."""
    return [dict(c) for c in conditions if c.get("type") != kind]


def condition(kind: str, status: str, reason: str, message: str) -> Object:
    """A condition without times."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def base_status(
    deployment: Object, sets: Sequence[Object], new: Object | None, conditions: Conditions, collisions: int | None,
    now: datetime,
) -> Object:
    """Counts and the Available condition."""
    available = total(sets, "availableReplicas")
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": total(sets, "replicas"),
        "updatedReplicas": reported(new, "replicas") if new is not None else 0,
        "readyReplicas": total(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted(sets) - available),
    }
    if available >= replicas_of(deployment) - max_unavailable(deployment):
        state = condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = "Deployment does not have minimum availability."
        state = condition("Available", "False", "MinimumReplicasUnavailable", text)
    status = without_zeros({**counts, "conditions": set_condition(conditions, state, now)})
    status["terminatingReplicas"] = total(sets, "terminatingReplicas")
    return {**status, "collisionCount": collisions} if collisions is not None else status


def rollout_status(deployment: Object, sets: Sequence[Object], new: Object | None, status: Object, now: datetime) -> Object:
    """`status` with Progressing and ReplicaFailure brought up to date."""
    conditions: Conditions = list(status.get("conditions") or ())
    if deadline_s(deployment) is None:
        conditions = without(conditions, "Progressing")
    else:
        conditions = _progress(deployment, new, status, conditions, now)
    failure = _failure(sets, new)
    conditions = set_condition(conditions, failure, now) if failure else without(conditions, "ReplicaFailure")
    return {**status, "conditions": conditions}


def _progress(
    deployment: Object, new: Object | None, status: Object, conditions: Conditions, now: datetime
) -> Conditions:
    current = condition_of(conditions, "Progressing")
    done_before = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if done_before and current is not None and current.get("reason") == AVAILABLE:
        return conditions
    who = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        return set_condition(
            conditions, condition("Progressing", "True", AVAILABLE, f"{who} has successfully progressed."), now
        )
    if _has_progressed(deployment.get("status") or {}, status):
        state = condition("Progressing", "True", UPDATED, f"{who} is progressing.")
        since = rfc3339(now)
        if current is not None and current["status"] == "True":
            since = str(current.get("lastTransitionTime") or since)
        # Every step of progress restarts the deadline, so the update time moves although the reason stays.
        stamped = {**state, "lastUpdateTime": rfc3339(now), "lastTransitionTime": since}
        return [*without(conditions, "Progressing"), stamped]
    if has_timed_out(deployment, status, conditions, now):
        return set_condition(
            conditions, condition("Progressing", "False", TIMED_OUT, f"{who} has timed out progressing."), now
        )
    return conditions


def is_complete(deployment: Object, status: Mapping[str, object]) -> bool:
    """All replicas are updated and available, and nothing else runs."""
    replicas = replicas_of(deployment)
    return (
        all(status.get(field, 0) == replicas for field in ("updatedReplicas", "replicas", "availableReplicas"))
        and int(str(status.get("observedGeneration", 0))) >= deployment["metadata"].get("generation", 0)
    )


def _has_progressed(old: Object, new: Object) -> bool:
    def stale(status: Object) -> int:
        return int(status.get("replicas") or 0) - int(status.get("updatedReplicas") or 0)

    def grew(field: str) -> bool:
        return int(new.get(field) or 0) > int(old.get(field) or 0)

    return grew("updatedReplicas") or stale(new) < stale(old) or grew("readyReplicas") or grew("availableReplicas")


def has_timed_out(deployment: Object, status: Object, conditions: Conditions, now: datetime) -> bool:
    """No progress for progressDeadlineSeconds."""
    limit, current = deadline_s(deployment), condition_of(conditions, "Progressing")
    if limit is None or current is None or current.get("reason") == AVAILABLE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    heard = current.get("lastUpdateTime")
    return heard is not None and parse_rfc3339(heard) + timedelta(seconds=limit) < now


def look_again_s(deployment: Object, status: Object, now: datetime) -> float | None:
    """When the deadline could pass; None when it cannot."""
    limit, current = deadline_s(deployment), condition_of(status.get("conditions"), "Progressing")
    if limit is None or current is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (TIMED_OUT, AVAILABLE) or not current.get("lastUpdateTime"):
        return None
    due = parse_rfc3339(current["lastUpdateTime"]) + timedelta(seconds=limit)
    return max(0.0, (due - now).total_seconds()) + 1.0


def _failure(sets: Sequence[Object], new: Object | None) -> Object | None:
    for rs in [*([new] if new is not None else []), *sets]:
        found = condition_of((rs.get("status") or {}).get("conditions"), "ReplicaFailure")
        if found is not None:
            return condition("ReplicaFailure", found["status"], found.get("reason", ""), found.get("message", ""))
    return None


def pause_conditions(deployment: Object, now: datetime) -> Conditions:
    """status.conditions with Progressing saying whether the rollout is paused; unchanged when it says so already."""
    conditions: Conditions = [dict(c) for c in (deployment.get("status") or {}).get("conditions") or ()]
    current = condition_of(conditions, "Progressing")
    if deadline_s(deployment) is None or (current is not None and current.get("reason") == TIMED_OUT):
        return conditions
    said = current is not None and current.get("reason") == PAUSED
    if deployment["spec"].get("paused") and not said:
        return set_condition(conditions, condition("Progressing", "Unknown", PAUSED, "Deployment is paused"), now)
    if not deployment["spec"].get("paused") and said:
        return set_condition(conditions, condition("Progressing", "Unknown", RESUMED, "Deployment is resumed"), now)
    return conditions

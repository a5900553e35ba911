"""How many replicas a Deployment and its ReplicaSets may have: pure arithmetic.

Spec:  Kubernetes pkg/controller/deployment/util/deployment_util.go.
"""

import math
from collections.abc import Iterable, Sequence

from wherry.orchestration.controllers.deployment.annotations import desired_of, max_replicas_of
from wherry.orchestration.objects.meta import Object, name_of

UNLIMITED = 2**31 - 1


def replicas_of(obj: Object) -> int:
    """spec.replicas, 1 when absent."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def reported(rs: Object, field: str) -> int:
    """A number of a ReplicaSet's status."""
    return int((rs.get("status") or {}).get(field) or 0)


def wanted(sets: Iterable[Object]) -> int:
    """Sum of spec.replicas."""
    return sum(map(replicas_of, sets))


def total(sets: Iterable[Object], field: str) -> int:
    """Sum of a status field."""
    return sum(reported(rs, field) for rs in sets)


def is_rolling(deployment: Object) -> bool:
    """spec.strategy.type is RollingUpdate, the default."""
    return str((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")) == "RollingUpdate"


def fenceposts(deployment: Object) -> tuple[int, int]:
    """(surge, unavailable) in pods: surge rounds up, unavailable down; both 0 would never move, so then (0, 1)."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    replicas = replicas_of(deployment)
    surge = scaled(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def scaled(value: int | str | None, replicas: int, *, round_up: bool) -> int:
    """An int-or-percent of `replicas`. Text that is no percentage counts as 0; validation refuses it before."""
    if isinstance(value, str):
        if not value.endswith("%") or not value[:-1].isdecimal():
            return 0
        exact = int(value[:-1]) * replicas
        return -(-exact // 100) if round_up else exact // 100
    return int(value or 0)


def max_surge(deployment: Object) -> int:
    """How many pods above spec.replicas."""
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """How many pods may be missing during a rollout."""
    replicas = replicas_of(deployment)
    if not is_rolling(deployment) or replicas == 0:
        return 0
    return min(fenceposts(deployment)[1], replicas)


def new_set_size(deployment: Object, sets: Sequence[Object], new: Object) -> int:
    """How large the new ReplicaSet may be now."""
    replicas, current = replicas_of(deployment), replicas_of(new)
    if not is_rolling(deployment):
        return replicas
    room = replicas + max_surge(deployment) - wanted(sets)
    return current if room <= 0 else current + min(room, replicas - current)


def is_saturated(deployment: Object, rs: Object | None) -> bool:
    """The new ReplicaSet has all the pods, and all are available."""
    replicas = replicas_of(deployment)
    return (
        rs is not None
        and replicas_of(rs) == replicas == desired_of(rs)
        and reported(rs, "availableReplicas") == replicas
    )


def proportional(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """New sizes by name when spec.replicas changed in the middle of a rollout: each set grows by its share."""
    replicas = replicas_of(deployment)
    to_add = (replicas + max_surge(deployment) if replicas > 0 else 0) - wanted(active)
    sizes: dict[str, int] = {}
    added = 0
    ordered = _by_size(active, newest_first=to_add > 0)
    for rs in ordered:
        share = _share(deployment, rs, to_add, added)
        sizes[name_of(rs)] = replicas_of(rs) + share
        added += share
    if ordered and to_add:
        first = name_of(ordered[0])
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _share(deployment: Object, rs: Object, to_add: int, added: int) -> int:
    if replicas_of(rs) == 0 or to_add in (0, added):
        return 0
    fraction, left = _fraction(deployment, rs), to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _fraction(deployment: Object, rs: Object) -> int:
    replicas, size = replicas_of(deployment), replicas_of(rs)
    if replicas == 0:
        return -size
    before = max_replicas_of(rs)
    if before is None:
        before = int((deployment.get("status") or {}).get("replicas") or 0)
    if before == 0:
        return 0
    return _round(size * (replicas + max_surge(deployment)) / before) - size


def _round(value: float) -> int:
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _by_size(sets: Sequence[Object], *, newest_first: bool) -> list[Object]:
    by_age = sorted(sets, key=creation, reverse=newest_first)
    return sorted(by_age, key=replicas_of, reverse=True)


def creation(rs: Object) -> tuple[str, str]:
    """Sort key: oldest first, then by name."""
    return (str(rs["metadata"].get("creationTimestamp") or ""), name_of(rs))

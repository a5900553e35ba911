"""Which pods a shrinking set gives up first: pure.

In:    active pods and, per pod, how many related pods share its node.
Out:   the pods in the order of deletion.
Spec:  Kubernetes pkg/controller/controller_utils.go, ActivePodsWithRanks (logarithmic scale-down).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cmp_to_key

from wherry.orchestration.controllers.workload.pods import (
    created_at,
    is_active,
    is_ready,
    node_of,
    phase_of,
    ready_since,
    restarts_of,
)
from wherry.orchestration.objects.meta import Object, annotations_of, uid_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def to_delete(pods: Sequence[Object], related: Iterable[Object], count: int, now: datetime) -> list[Object]:
    """The `count` pods to delete. `related` are the pods whose spreading over nodes counts, `pods` among them."""
    if count >= len(pods):
        return list(pods)
    on_node = Counter(node_of(pod) for pod in related if is_active(pod))

    def compare(a: Object, b: Object) -> int:
        return _compare(a, b, on_node, now)

    return sorted(pods, key=cmp_to_key(compare))[:count]


def _compare(a: Object, b: Object, on_node: Counter[str], now: datetime) -> int:
    first, second = _rank(a, on_node), _rank(b, on_node)
    if first != second:
        return -1 if first < second else 1
    if ready_since(a) != ready_since(b):
        return _by_age(a, b, ready_since(a), ready_since(b), now)
    if restarts_of(a) != restarts_of(b):
        return restarts_of(b) - restarts_of(a)
    if created_at(a) != created_at(b):
        return _by_age(a, b, created_at(a), created_at(b), now)
    return _sign(uid_of(a), uid_of(b))


def _rank(pod: Object, on_node: Counter[str]) -> tuple[bool, int, bool, int, int]:
    node = node_of(pod)
    return (bool(node), _PHASE_ORDER.get(phase_of(pod), 2), is_ready(pod), deletion_cost(pod), -on_node[node])


def deletion_cost(pod: Object) -> int:
    """The cost annotation, 0 when absent or no 32-bit number."""
    try:
        cost = int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0
    return cost if -(2**31) <= cost < 2**31 else 0


def _by_age(a: Object, b: Object, first: datetime | None, second: datetime | None, now: datetime) -> int:
    """Younger first, but ages of the same power of two count as equal and are shuffled by uid."""
    difference = _magnitude(first, now) - _magnitude(second, now)
    return difference if difference else _sign(uid_of(a), uid_of(b))


def _magnitude(moment: datetime | None, now: datetime) -> int:
    age_s = (now - moment).total_seconds() if moment is not None else math.inf
    if age_s <= 0:
        return -1
    return 10_000 if math.isinf(age_s) else math.floor(math.log2(age_s * 1e9))


def _sign(a: str, b: str) -> int:
    return (a > b) - (a < b)

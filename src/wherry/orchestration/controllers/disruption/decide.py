"""How many pods of a PodDisruptionBudget may be evicted now: pure.

In:    the budget, its pods, the scale of their owners, the time.
Out:   the whole status; when to look again.
Spec:  Kubernetes pkg/controller/disruption/disruption.go: reasons and texts are its.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.controllers.deployment.numbers import scaled
from wherry.orchestration.controllers.workload.pods import is_ready
from wherry.orchestration.objects.meta import Object, controller_of, is_deleting, name_of, with_condition

DELETION_LIMIT = timedelta(minutes=2)  # an evicted pod that is still there then counts as staying


@dataclass(frozen=True, slots=True)
class Verdict:
    """`recheck_s`: when a noted eviction runs out, None for never. `stayed`: pods whose eviction did run out."""

    status: Object
    recheck_s: float | None
    stayed: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """How many pods there should be, and how many of them must be healthy."""

    pods: int
    healthy: int


def needs_scale(budget: Object) -> bool:
    """Percentages and maxUnavailable are of what the owners want, not of what there is."""
    spec = budget.get("spec") or {}
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def unmanaged(pods: Sequence[Object]) -> list[Object]:
    """Pods without a controller: no scale tells how many there should be."""
    return [pod for pod in pods if controller_of(pod) is None]


def expected(budget: Object, pods: Sequence[Object], scales: Mapping[str, int]) -> Expected:
    """`scales`: by uid of the owner that has a scale, each once."""
    spec = budget.get("spec") or {}
    wanted = sum(scales.values())
    if spec.get("maxUnavailable") is not None:
        return Expected(wanted, max(wanted - scaled(spec["maxUnavailable"], wanted, round_up=True), 0))
    least = spec.get("minAvailable")
    if isinstance(least, str):
        return Expected(wanted, scaled(least, wanted, round_up=True))
    return Expected(len(pods), int(least or 0))


def decide(budget: Object, pods: Sequence[Object], wanted: Expected, now: datetime) -> Verdict:
    """The status that lets evictions go on or stops them."""
    disrupted, recheck_s, stayed = _disrupted(budget, pods, now)
    healthy = sum(is_ready(pod) and not is_deleting(pod) and name_of(pod) not in disrupted for pod in pods)
    allowed = max(healthy - wanted.healthy, 0) if wanted.pods > 0 else 0
    condition = {
        "type": "DisruptionAllowed", "status": "True" if allowed else "False",
        "reason": "SufficientPods" if allowed else "InsufficientPods", "message": "",
    }  # fmt: skip
    status = {
        "currentHealthy": healthy, "desiredHealthy": wanted.healthy, "disruptionsAllowed": allowed, "expectedPods": wanted.pods,
        "observedGeneration": _generation(budget), "conditions": _conditions(budget, condition, now),
    }  # fmt: skip
    if disrupted:
        status["disruptedPods"] = disrupted
    return Verdict(status, recheck_s, stayed)


def failed(budget: Object, why: str, now: datetime) -> Object:
    """The status when the owners cannot be counted: nothing may be evicted."""
    condition = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": why}
    old = {"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0, **(budget.get("status") or {})}
    return {
        **old, "disruptionsAllowed": 0, "observedGeneration": _generation(budget),
        "conditions": _conditions(budget, condition, now),
    }  # fmt: skip


def _generation(budget: Object) -> int:
    return int(budget["metadata"].get("generation") or 0)


def _conditions(budget: Object, condition: Object, now: datetime) -> list[Object]:
    conditions = with_condition((budget.get("status") or {}).get("conditions"), condition, now)
    return [{**c, "observedGeneration": _generation(budget)} if c["type"] == condition["type"] else c for c in conditions]


def _disrupted(
    budget: Object, pods: Sequence[Object], now: datetime
) -> tuple[dict[str, str], float | None, tuple[Object, ...]]:
    """Evictions granted whose pods do not show it yet."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    kept: dict[str, str] = {}
    stayed: list[Object] = []
    waits: list[float] = []
    for pod in pods:
        since = noted.get(name_of(pod))
        if since is None or is_deleting(pod):
            continue
        ends = parse_rfc3339(since) + DELETION_LIMIT
        if ends < now:
            stayed.append(pod)
        else:
            kept[name_of(pod)] = since
            waits.append((ends - now).total_seconds() + 1)
    return kept, min(waits, default=None), tuple(stayed)

"""Which pods must go so that a more important one can run: pure, but that it tries out on the snapshot and undoes it.

In:    a pod that fits nowhere, with the reasons; the snapshot; the disruption budgets.
Out:   the node and the victims, or None.
Spec:  kubernetes pkg/scheduler/framework/preemption and plugins/defaultpreemption: fewest budget violations, then the
       least important victims, the smallest sum of priorities, the fewest, the youngest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object, key_of, labels_of, name_of, namespace_of
from wherry.orchestration.objects.selectors import from_label_selector
from wherry.orchestration.scheduler.decide import reasons_against
from wherry.orchestration.scheduler.filters import PodNeeds, needs_of
from wherry.orchestration.scheduler.nearby import nearby
from wherry.orchestration.scheduler.pod_terms import wishes_of
from wherry.orchestration.scheduler.snapshot import NodeInfo, Snapshot, priority_of
from wherry.orchestration.scheduler.volumes import Claims

CANDIDATES_MIN, CANDIDATES_SHARE = 100, 10  # as upstream: a tenth of the nodes, at least 100


@dataclass(frozen=True, slots=True)
class Victims:
    """Delete `pods`, then `node` has room."""

    node: str
    pods: tuple[Object, ...]
    violations: int


def may_preempt(pod: Object) -> bool:
    """preemptionPolicy allows it."""
    return bool((pod.get("spec") or {}).get("preemptionPolicy", "PreemptLowerPriority") != "Never")


def find_victims(
    pod: Object, hopeful: Sequence[str], snapshot: Snapshot, claims: Claims, budgets: Sequence[Object]
) -> Victims | None:
    """`hopeful`: names of nodes where removing pods could help."""
    if not may_preempt(pod) or claims.problem or min(snapshot.priorities, default=0) >= priority_of(pod):
        return None
    needs, found = needs_of(pod, claims.exclusive), []
    limit = max(CANDIDATES_MIN, len(snapshot.order) // CANDIDATES_SHARE)
    for name in hopeful:
        info = snapshot.nodes.get(name)
        lower = [p for p in info.objects.values() if priority_of(p) < priority_of(pod)] if info is not None else []
        if info is None or not lower:
            continue
        victims = _on_node(needs, info, lower, snapshot, claims, budgets)
        if victims is not None:
            found.append(victims)
            if len(found) >= limit:
                break
    return min(found, key=_cost, default=None)


def _on_node(
    needs: PodNeeds, info: NodeInfo, lower: list[Object], snapshot: Snapshot, claims: Claims, budgets: Sequence[Object]
) -> Victims | None:
    """Take all less important pods away, then give back, the most important first, what may stay."""
    protected = {key_of(pod) for pod in _protected(lower, budgets)}
    # Those whose eviction a budget forbids are the first to be given back.
    order = sorted(lower, key=lambda p: (key_of(p) not in protected, -priority_of(p), _started(p), key_of(p)))
    victims = []
    try:
        for pod in lower:
            snapshot.remove_pod(key_of(pod))
        if not _fits(needs, info, snapshot, claims):
            return None
        for pod in order:
            snapshot.set_pod(pod)
            if not _fits(needs, info, snapshot, claims):
                snapshot.remove_pod(key_of(pod))
                victims.append(pod)
    finally:
        for pod in lower:
            snapshot.set_pod(pod)
    return Victims(info.name, tuple(victims), sum(key_of(pod) in protected for pod in victims)) if victims else None


def _fits(needs: PodNeeds, info: NodeInfo, snapshot: Snapshot, claims: Claims) -> bool:
    if reasons_against(needs, claims, info):
        return False
    wishes = wishes_of(needs.pod, snapshot.neighbours.namespaces_of)
    return not nearby(needs.pod, wishes, snapshot).refusal(info)


def _protected(pods: Sequence[Object], budgets: Sequence[Object]) -> list[Object]:
    """Pods whose removal some budget does not allow, when they are removed in this order."""
    allowed = {key_of(b): int((b.get("status") or {}).get("disruptionsAllowed") or 0) for b in budgets}
    found = []
    for pod in sorted(pods, key=lambda p: (-priority_of(p), _started(p))):
        violates = False
        for budget in budgets:
            spec = budget.get("spec") or {}
            if namespace_of(budget) != namespace_of(pod) or spec.get("selector") is None or not labels_of(pod):
                continue
            noted = (budget.get("status") or {}).get("disruptedPods") or {}
            if name_of(pod) in noted or not from_label_selector(spec["selector"]).matches(labels_of(pod)):
                continue
            allowed[key_of(budget)] -= 1
            violates |= allowed[key_of(budget)] < 0
        if violates:
            found.append(pod)
    return found


def _cost(victims: Victims) -> tuple[object, ...]:
    priorities = [priority_of(pod) for pod in victims.pods]
    highest = max(priorities)
    first_started = min(_started(pod) for pod in victims.pods if priority_of(pod) == highest)
    # Later is better: of two equal nodes the one whose important pods have run shorter.
    return victims.violations, highest, sum(priorities), len(priorities), _descending(first_started), victims.node


def _started(pod: Object) -> str:
    return str((pod.get("status") or {}).get("startTime") or pod.get("metadata", {}).get("creationTimestamp") or "")


def _descending(text: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in text)

"""May the pod be near what is there, and how much would it like to: inter-pod affinity and topology spread.

In:    a pod's wishes, the counts of `neighbours`.
Out:   `Nearby.refusal` of a node, upstream's reason or ""; `Nearby.scores` of candidates, weighted.
Spec:  kubernetes pkg/scheduler/framework/plugins/{interpodaffinity,podtopologyspread}.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.placement import matches_node, untolerated_taint
from wherry.orchestration.objects.well_known import LABEL_HOSTNAME
from wherry.orchestration.scheduler.neighbours import Count
from wherry.orchestration.scheduler.pod_terms import Near, Spread, Term, Wishes
from wherry.orchestration.scheduler.snapshot import NodeInfo, Snapshot

MAX = 100.0
AFFINITY_WEIGHT, SPREAD_WEIGHT = 2.0, 2.0
NO_AFFINITY = "node(s) didn't match pod affinity rules"
NO_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
OTHERS_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
NO_SPREAD = "node(s) didn't match pod topology spread constraints"
NO_SPREAD_LABEL = f"{NO_SPREAD} (missing required label)"


@dataclass(slots=True)
class _Skew:
    """A spread constraint with its counts of now."""

    spread: Spread
    by_value: Counter[str]
    least: int
    adds: int  # 1 when the pod counts itself


@dataclass(slots=True)
class Nearby:
    """What one pod may and would like, computed once; then asked per node."""

    affinity: list[tuple[str, Counter[str]]] = field(default_factory=list)
    is_first: bool = False  # nobody it wants to be near exists, and it matches its own terms
    anti: list[tuple[str, Counter[str]]] = field(default_factory=list)
    others: list[tuple[str, Counter[str]]] = field(default_factory=list)
    skews: list[_Skew] = field(default_factory=list)
    likes: list[tuple[str, Counter[str], int]] = field(default_factory=list)
    soft: list[tuple[Spread, Count, float]] = field(default_factory=list)

    @property
    def may_refuse(self) -> bool:
        """Some node may be refused; else nobody needs to ask."""
        return bool(self.affinity or self.anti or self.others or self.skews)

    def refusal(self, info: NodeInfo) -> str:
        """The reason of the first rule the node breaks, in upstream's order."""
        labels = info.labels
        for skew in self.skews:
            value = labels.get(skew.spread.topology_key)
            if value is None:
                return NO_SPREAD_LABEL
            if skew.by_value[value] + skew.adds - skew.least > skew.spread.max_skew:
                return NO_SPREAD
        for key, counts in self.affinity:
            value = labels.get(key)
            if value is None or (not counts[value] and not self.is_first):
                return NO_AFFINITY
        for key, counts in self.anti:
            if key in labels and counts[labels[key]]:
                return NO_ANTI_AFFINITY
        for key, counts in self.others:
            if key in labels and counts[labels[key]]:
                return OTHERS_ANTI_AFFINITY
        return ""

    def scores(self, candidates: Sequence[NodeInfo]) -> list[float]:
        """Weighted, 0 to 100 times weight for each of the two plugins."""
        totals = [0.0] * len(candidates)
        if self.likes:
            raw = [self._liking(info.labels) for info in candidates]
            low, high = min(raw), max(raw)
            if high > low:
                totals = [AFFINITY_WEIGHT * MAX * (value - low) / (high - low) for value in raw]
        if self.soft:
            crowds = [self._crowd(info) for info in candidates]
            known = [crowd for crowd in crowds if crowd is not None]
            fullest, emptiest = max(known, default=0.0), min(known, default=0.0)
            for index, crowd in enumerate(crowds):
                if crowd is not None:
                    totals[index] += SPREAD_WEIGHT * MAX * ((fullest + emptiest - crowd) / fullest if fullest else 1)
        return totals

    def _liking(self, labels: dict[str, str]) -> int:
        total = 0
        for key, counts, weight in self.likes:
            if key in labels:
                total += weight * counts[labels[key]]
        return total

    def _crowd(self, info: NodeInfo) -> float | None:
        """How many of its own kind are near; None for nodes outside of a topology."""
        labels, total = info.labels, 0.0
        for spread, count, weight in self.soft:
            value = labels.get(spread.topology_key)
            if value is None:
                return None
            near = count.by_node[info.name] if spread.topology_key == LABEL_HOSTNAME else count.by_value[value]
            total += near * weight + spread.max_skew - 1
        return total


def nearby(pod: Object, wishes: Wishes, snapshot: Snapshot) -> Nearby:
    """Look the counts up."""
    around = snapshot.neighbours
    result = Nearby(
        others=[(key, held.by_value) for (term, key), held in around.anti.items() if term.matches(pod)],
        likes=[(key, held.by_value, 1) for (term, key), held in around.wishes.items() if term.matches(pod)],
    )
    if wishes.affinity:
        terms = tuple(near.term for near in wishes.affinity)
        result.affinity = [(n.topology_key, _count(snapshot, terms, n.topology_key).by_value) for n in wishes.affinity]
        nobody = not any(counts for _, counts in result.affinity)
        result.is_first = nobody and all(term.matches(pod) for term in terms)
    result.anti = [(n.topology_key, _count_of(snapshot, n).by_value) for n in wishes.anti]
    result.likes += [(n.topology_key, _count_of(snapshot, n).by_value, n.weight) for n in wishes.preferred]
    for spread in wishes.spreads:
        count = _count(snapshot, (spread.term,), spread.topology_key)
        if spread.is_hard:
            result.skews.append(_skew(pod, spread, count, snapshot))
        elif domains := snapshot.domains(spread.topology_key):
            result.soft.append((spread, count, math.log(len(domains) + 2)))
    return result


def _count_of(snapshot: Snapshot, near: Near) -> Count:
    return _count(snapshot, (near.term,), near.topology_key)


def _count(snapshot: Snapshot, terms: tuple[Term, ...], topology_key: str) -> Count:
    return snapshot.neighbours.count(terms, topology_key, snapshot.placed())


def _skew(pod: Object, spread: Spread, count: Count, snapshot: Snapshot) -> _Skew:
    adds = int(spread.term.matches(pod))
    eligible = _eligibility(pod, spread)
    if eligible is None:
        domains = snapshot.domains(spread.topology_key)
        by_value = count.by_value
        counts = [by_value[value] for value in domains]
    else:
        by_value = Counter()
        seen: set[str] = set()
        for info in snapshot.nodes.values():
            value = info.labels.get(spread.topology_key)
            if value is not None and eligible(info.node):
                seen.add(value)
                by_value[value] += count.by_node[info.name]
        counts = [by_value[value] for value in seen]
    least = 0 if len(counts) < spread.min_domains else min(counts, default=0)
    return _Skew(spread, by_value, least, adds)


def _eligibility(pod: Object, spread: Spread) -> Callable[[Object], bool] | None:
    """Which nodes count as domains, None for all."""
    spec = pod.get("spec") or {}
    by_affinity = spread.honors_affinity and bool(spec.get("nodeSelector") or (spec.get("affinity") or {}).get("nodeAffinity"))
    if not by_affinity and not spread.honors_taints:
        return None

    def eligible(node: Object) -> bool:
        if by_affinity and not matches_node(pod, node):
            return False
        return not spread.honors_taints or untolerated_taint(pod, node, ("NoSchedule", "NoExecute")) is None

    return eligible

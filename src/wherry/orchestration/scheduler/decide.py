"""One pod, all nodes: where it goes, or upstream's sentence saying why nowhere. Pure.

Spec:  kubernetes pkg/scheduler: schedulePod, FitError.Error (the message's shape).
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.scheduler.filters import FILTERS, PodNeeds, needs_of
from wherry.orchestration.scheduler.nearby import Nearby, nearby
from wherry.orchestration.scheduler.pod_terms import wishes_of
from wherry.orchestration.scheduler.scores import RELATIVE, normalized
from wherry.orchestration.scheduler.snapshot import NodeInfo, Snapshot
from wherry.orchestration.scheduler.volumes import Claims, node_reasons
from wherry.orchestration.scheduler.window import Candidate, Reasons, Window

WINDOWS_MAX = 16
NOT_HELPFUL = "Preemption is not helpful for scheduling."
NO_VICTIMS = "No preemption victims found for incoming pod."
# Reasons that removing other pods can never change.
UNRESOLVABLE = ("node(s) were unschedulable", "node(s) had untolerated taint", "node(s) didn't match Pod's node affinity",
                "node(s) had volume node affinity conflict", "node(s) didn't find available persistent volumes to bind",
                "node(s) didn't match pod affinity rules",
                "node(s) didn't match pod topology spread constraints (missing required label)")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` is "" when there is none; `reasons` then say why, and `problem` what holds for all nodes."""

    node: str
    total: int = 0
    problem: str = ""
    reasons: tuple[tuple[str, Reasons], ...] = ()  # by node name

    @property
    def message(self) -> str:
        """What condition and event say when no victim was found."""
        if self.node:
            return ""
        return f"{self.why} {preemption_text(self.total, [reasons for _, reasons in self.reasons])}" if self.total else self.why

    @property
    def hopeful(self) -> list[str]:
        """Nodes where removing pods might help."""
        return [name for name, reasons in self.reasons if not is_hopeless(reasons)]

    @property
    def why(self) -> str:
        """`0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods.`"""
        if self.problem:
            return f"0/{self.total} nodes are available: {self.problem}."
        if not self.total:
            return "no nodes available to schedule pods"
        counted = Counter(reason for _, reasons in self.reasons for reason in reasons)
        listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
        return f"0/{self.total} nodes are available: {listed}."


class Rotation:
    """What is remembered from pod to pod: a `Window` for each shape of pod."""

    def __init__(self) -> None:
        self._windows: OrderedDict[bytes, Window] = OrderedDict()

    def window(self, needs: PodNeeds, claims: Claims) -> Window:
        """The window for pods of this shape; a pod with claims has its own."""
        if needs.claims:
            return Window(lambda n, info: reasons_against(n, claims, info))
        key = shape_of(needs)
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = Window(lambda n, info: reasons_against(n, claims, info))
            if len(self._windows) > WINDOWS_MAX:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
        return found


def shape_of(needs: PodNeeds) -> bytes:
    """Equal for pods that every node judges alike."""
    spec = needs.pod.get("spec") or {}
    images = [container.get("image") for container in spec.get("containers") or ()]
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity")
    return orjson.dumps([
        needs.requests, needs.ports, images, spec.get("nodeSelector"), node_affinity, spec.get("tolerations"),
    ])  # fmt: skip


def refusal_of(pod: Object) -> str:
    """What this scheduler does not do and a pod requires; "" when there is nothing."""
    return "resourceClaims are not supported yet" if (pod.get("spec") or {}).get("resourceClaims") else ""


def schedule(pod: Object, snapshot: Snapshot, claims: Claims, rotation: Rotation) -> Decision:
    """The best node of those that fit."""
    total = len(snapshot.order)
    if problem := claims.problem or refusal_of(pod):
        return Decision("", total, problem)
    if not total:
        return Decision("")
    needs = needs_of(pod, claims.exclusive)
    near = nearby(pod, wishes_of(pod, snapshot.neighbours.namespaces_of), snapshot)
    refusal = near.refusal if near.may_refuse else None
    candidates, reasons = rotation.window(needs, claims).candidates(needs, snapshot, refusal)
    if not candidates:
        return Decision("", total, "", tuple(reasons))
    return Decision(_best(candidates, near).info.name, total)


def _best(candidates: Sequence[Candidate], near: Nearby) -> Candidate:
    """The highest sum; of equals the first by name, so that a decision can be repeated."""
    if len(candidates) == 1:
        return candidates[0]
    totals = [candidate.absolute for candidate in candidates]
    extra = [normalized([c.relative[i] for c in candidates], weight) for i, (_, weight) in enumerate(RELATIVE)]
    if near.likes or near.soft:
        extra.append(near.scores([candidate.info for candidate in candidates]))
    for row in extra:
        if row is not None:
            totals = [total + more for total, more in zip(totals, row, strict=True)]
    highest = max(totals)
    return min((c for c, total in zip(candidates, totals, strict=True) if total == highest), key=lambda c: c.info.name)


def reasons_against(needs: PodNeeds, claims: Claims, info: NodeInfo) -> list[str]:
    """The reasons of the first filter that has any."""
    for check in FILTERS:
        if found := check(needs, info):
            return found
    return node_reasons(claims, info.node)


def is_hopeless(reasons: Reasons) -> bool:
    """No removal of pods would help on a node with these reasons."""
    return any(reason == cause or reason.startswith((f"{cause} {{", f"{cause}/")) for reason in reasons for cause in UNRESOLVABLE)


def preemption_text(total: int, reasons: Sequence[Reasons]) -> str:
    """Upstream's tail when no victim was found."""
    hopeless = sum(map(is_hopeless, reasons))
    if hopeless == len(reasons):
        return f"preemption: 0/{total} nodes are available: {hopeless or total} {NOT_HELPFUL}"
    parts = [f"{len(reasons) - hopeless} {NO_VICTIMS}"]
    if hopeless:
        parts.append(f"{hopeless} {NOT_HELPFUL}")
    return f"preemption: 0/{total} nodes are available: {', '.join(p.rstrip('.') for p in parts)}."

"""One pod, all nodes: where it goes, or upstream's sentence saying why nowhere. Pure.

Spec:  kubernetes pkg/scheduler: schedulePod, FitError.Error (the message's shape).
"""

from collections import Counter
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.scheduler.filters import FILTERS, PodNeeds, needs_of
from wherry.orchestration.scheduler.scores import best
from wherry.orchestration.scheduler.snapshot import NodeInfo, Snapshot
from wherry.orchestration.scheduler.volumes import Claims, node_reasons

# With many nodes only some are scored (upstream percentageOfNodesToScore: 50 % less one per 125 nodes, at least 5 %).
SCORE_ALL_UP_TO = 100
SCORE_PERCENT_MIN = 5
NOT_HELPFUL = "Preemption is not helpful for scheduling."
NO_VICTIMS = "No preemption victims found for incoming pod."
# Reasons that removing other pods can never change.
UNRESOLVABLE = ("node(s) were unschedulable", "node(s) had untolerated taint", "node(s) didn't match Pod's node affinity",
                "node(s) had volume node affinity conflict")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` is "" when there is none; `message` is what condition and event then say."""

    node: str
    message: str = ""


class Rotation:
    """Where the search for enough feasible nodes begins, so that all nodes get their turn."""

    def __init__(self) -> None:
        self.start = 0


def refusal_of(pod: Object) -> str:
    """What this scheduler does not do yet and a pod requires; "" when there is nothing."""
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    for name in ("podAffinity", "podAntiAffinity"):
        if (affinity.get(name) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return f"required {name} is not supported yet"
    if any(c.get("whenUnsatisfiable") == "DoNotSchedule" for c in spec.get("topologySpreadConstraints") or ()):
        return "topologySpreadConstraints with DoNotSchedule are not supported yet"
    if spec.get("resourceClaims"):
        return "resourceClaims are not supported yet"
    return ""


def schedule(pod: Object, snapshot: Snapshot, claims: Claims, rotation: Rotation) -> Decision:
    """The best node of those that fit."""
    total = len(snapshot.nodes)
    if problem := claims.problem or refusal_of(pod):
        return Decision("", f"0/{total} nodes are available: {problem}. {preemption_text(total, [])}")
    if not total:
        return Decision("", "no nodes available to schedule pods")
    needs = needs_of(pod, claims.exclusive)
    reasons: list[list[str]] = []
    feasible: list[NodeInfo] = []
    nodes = list(snapshot.nodes.values())
    enough = nodes_to_find(total)
    first = rotation.start % total
    seen = 0
    for info in (*nodes[first:], *nodes[:first]):
        seen += 1
        if why := reasons_against(needs, claims, info):
            reasons.append(why)
        else:
            feasible.append(info)
            if len(feasible) >= enough:
                break
    rotation.start = (first + seen) % total
    if feasible:
        return Decision(best(needs, feasible).name)
    return Decision("", failure_text(total, reasons))


def nodes_to_find(total: int) -> int:
    """How many feasible nodes are enough to choose from."""
    if total <= SCORE_ALL_UP_TO:
        return total
    percent = max(SCORE_PERCENT_MIN, 50 - total // 125)
    return max(SCORE_ALL_UP_TO, total * percent // 100)


def reasons_against(needs: PodNeeds, claims: Claims, info: NodeInfo) -> list[str]:
    """The reasons of the first filter that has any."""
    for check in FILTERS:
        if found := check(needs, info):
            return found
    return node_reasons(claims, info.node)


def failure_text(total: int, reasons: list[list[str]]) -> str:
    """`0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods. preemption: ...`."""
    counted = Counter(reason for why in reasons for reason in why)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
    return f"0/{total} nodes are available: {listed}. {preemption_text(total, reasons)}"


def preemption_text(total: int, reasons: list[list[str]]) -> str:
    """Upstream's tail; preemption itself is not there yet, so no victim is ever found."""
    hopeless = [why for why in reasons if any(reason.startswith(UNRESOLVABLE) for reason in why)] if reasons else []
    if not reasons or len(hopeless) == len(reasons):
        return f"preemption: 0/{total} nodes are available: {len(hopeless) or total} {NOT_HELPFUL}".rstrip(".") + "."
    parts = [f"{len(reasons) - len(hopeless)} {NO_VICTIMS}"]
    if hopeless:
        parts.append(f"{len(hopeless)} {NOT_HELPFUL}")
    return f"preemption: 0/{total} nodes are available: {', '.join(p.rstrip('.') for p in parts)}."

"""Which of the nodes that fit is best: each score is 0 to 100 after normalizing, weighted as upstream.

Spec:  kubernetes pkg/scheduler/framework/plugins: NodeResourcesFit (LeastAllocated), NodeResourcesBalancedAllocation,
       NodeAffinity (preferred), TaintToleration (PreferNoSchedule), ImageLocality.
"""

from collections.abc import Callable, Sequence

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.placement import term_matches, tolerates
from wherry.orchestration.scheduler.filters import PodNeeds
from wherry.orchestration.scheduler.snapshot import NodeInfo, for_scores

MAX = 100.0
MIB = 1024**2
IMAGE_BYTES_MIN, IMAGE_BYTES_MAX = 23 * MIB, 1000 * MIB


def least_allocated(needs: PodNeeds, info: NodeInfo) -> float:
    """More free cpu and memory is better."""
    return sum(MAX * (1 - share) for share in _shares(needs, info)) / 2


def balanced_allocation(needs: PodNeeds, info: NodeInfo) -> float:
    """cpu and memory used to the same degree is better."""
    cpu, memory = _shares(needs, info)
    return MAX * (1 - abs(cpu - memory) / 2)


def _shares(needs: PodNeeds, info: NodeInfo) -> tuple[float, float]:
    wanted = for_scores(needs.requests)
    cpu, memory = (
        min(1.0, (info.used_for_scores[resource] + wanted[resource]) / max(info.allocatable.get(resource, 0), 1))
        for resource in ("cpu", "memory")
    )
    return cpu, memory


def preferred_affinity(needs: PodNeeds, info: NodeInfo) -> float:
    """Sum of the weights of the preferred terms that match; normalized later."""
    affinity = ((needs.pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return float(sum(p.get("weight", 0) for p in preferred if term_matches(p.get("preference") or {}, info.node)))


def intolerable_taints(needs: PodNeeds, info: NodeInfo) -> float:
    """How many PreferNoSchedule taints the pod does not tolerate; fewer is better, turned round when normalized."""
    tolerations = (needs.pod.get("spec") or {}).get("tolerations") or ()
    taints = (info.node.get("spec") or {}).get("taints") or ()
    return -float(sum(1 for t in taints if t.get("effect") == "PreferNoSchedule" and not tolerates(tolerations, t)))


def image_locality(needs: PodNeeds, info: NodeInfo) -> float:
    """Bytes of the pod's images that are there already."""
    containers: Sequence[Object] = (needs.pod.get("spec") or {}).get("containers") or ()
    present = sum(info.images.get(container.get("image", ""), 0) for container in containers)
    ceiling = IMAGE_BYTES_MAX * max(len(containers), 1)
    clamped = min(max(present, IMAGE_BYTES_MIN), ceiling)
    return MAX * (clamped - IMAGE_BYTES_MIN) / (ceiling - IMAGE_BYTES_MIN)


Score = Callable[[PodNeeds, NodeInfo], float]
# (score, weight). Absolute ones are 0 to 100 for a node by itself; relative ones are normalized over the candidates.
ABSOLUTE: tuple[tuple[Score, float], ...] = ((least_allocated, 1), (balanced_allocation, 1), (image_locality, 1))
RELATIVE: tuple[tuple[Score, float], ...] = ((preferred_affinity, 2), (intolerable_taints, 3))


def normalized(values: Sequence[float], weight: float) -> list[float] | None:
    """0 to 100 times `weight`; None when all are equal and so decide nothing."""
    low, high = min(values), max(values)
    if high == low:
        return None
    return [weight * MAX * (value - low) / (high - low) for value in values]

"""May this pod run on that node? Each filter answers with upstream's reasons, or with none.

In:    a pod with what was computed of it once (`PodNeeds`), a `NodeInfo`.
Out:   reasons, as they stand in `0/3 nodes are available: ...`.
Spec:  kubernetes pkg/scheduler/framework/plugins (names and reason texts).
"""

from collections.abc import Callable
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.placement import (
    HostPort,
    host_ports,
    matches_node,
    ports_clash,
    requests_of,
    tolerates,
    untolerated_taint,
)
from wherry.orchestration.objects.well_known import TAINT_NODE_UNSCHEDULABLE
from wherry.orchestration.scheduler.snapshot import NodeInfo, claim_keys

UNSCHEDULABLE_TAINT = {"key": TAINT_NODE_UNSCHEDULABLE, "effect": "NoSchedule", "value": ""}


@dataclass(frozen=True, slots=True)
class PodNeeds:
    """A pod and what the filters and scores ask of it again and again."""

    pod: Object
    requests: dict[str, int]
    ports: tuple[HostPort, ...]
    claims: frozenset[str]
    exclusive_claims: frozenset[str] = frozenset()  # ReadWriteOncePod


def needs_of(pod: Object, exclusive_claims: frozenset[str] = frozenset()) -> PodNeeds:
    """Compute once per pod."""
    return PodNeeds(pod, requests_of(pod), tuple(host_ports(pod)), claim_keys(pod), exclusive_claims)


def node_unschedulable(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """NodeUnschedulable."""
    if not (info.node.get("spec") or {}).get("unschedulable"):
        return []
    if tolerates((needs.pod.get("spec") or {}).get("tolerations") or (), UNSCHEDULABLE_TAINT):
        return []
    return ["node(s) were unschedulable"]


def taint_toleration(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """TaintToleration."""
    taint = untolerated_taint(needs.pod, info.node, ("NoSchedule", "NoExecute"))
    if taint is None:
        return []
    return [f"node(s) had untolerated taint {{{taint.get('key', '')}: {taint.get('value', '')}}}"]


def node_affinity(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """NodeAffinity."""
    return [] if matches_node(needs.pod, info.node) else ["node(s) didn't match Pod's node affinity/selector"]


def node_ports(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """NodePorts."""
    taken = (port for ports in info.ports.values() for port in ports)
    if needs.ports and any(ports_clash(ours, theirs) for theirs in taken for ours in needs.ports):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return []


def node_resources_fit(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """NodeResourcesFit: every resource that does not fit, not only the first."""
    reasons = []
    if len(info.pods) + 1 > info.allocatable.get("pods", 0):
        reasons.append("Too many pods")
    for resource, wanted in needs.requests.items():
        if wanted and wanted > info.allocatable.get(resource, 0) - info.used[resource]:
            reasons.append(f"Insufficient {resource}")
    return reasons


def volume_restrictions(needs: PodNeeds, info: NodeInfo) -> list[str]:
    """VolumeRestrictions: a ReadWriteOncePod claim has one user."""
    if needs.exclusive_claims and any(needs.exclusive_claims & claims for claims in info.claims.values()):
        return ["node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"]
    return []


Filter = Callable[[PodNeeds, NodeInfo], list[str]]
# Order as upstream's default profile: the first filter with reasons is the one that is told.
FILTERS: tuple[Filter, ...] = (
    node_unschedulable,
    taint_toleration,
    node_affinity,
    node_ports,
    node_resources_fit,
    volume_restrictions,
)

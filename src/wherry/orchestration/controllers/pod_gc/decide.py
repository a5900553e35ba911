"""Which pods nobody will clean up: pure.

In:    all pods, the names of nodes.
Out:   pods to delete by force, with the reason; nodes that are missing.
Spec:  Kubernetes pkg/controller/podgc/gc_controller.go.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object, condition_of, is_deleting, name_of, namespace_of

TERMINATED_MAX = 12500  # --terminated-pod-gc-threshold
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
FINISHED = ("Succeeded", "Failed")

NodeOf = Callable[[str], Object | None]


@dataclass(frozen=True, slots=True)
class Removal:
    """Delete by force. `why` is "" for pods that are finished or never ran; else it is told in a condition."""

    pod: Object
    why: str = ""


def node_of(pod: Object) -> str:
    """spec.nodeName, "" before scheduling."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def is_finished(pod: Object) -> bool:
    """Succeeded or Failed."""
    return (pod.get("status") or {}).get("phase") in FINISHED


def surplus(pods: Iterable[Object], limit: int = TERMINATED_MAX) -> list[Removal]:
    """The oldest of the finished pods beyond `limit`."""
    finished = [pod for pod in pods if is_finished(pod) and not is_deleting(pod)]
    finished.sort(key=lambda p: (p["metadata"].get("creationTimestamp") or "", namespace_of(p), name_of(p)))
    return [Removal(pod) for pod in finished[: max(len(finished) - limit, 0)]]


def unscheduled(pods: Iterable[Object]) -> list[Removal]:
    """Deleted before they had a node: no kubelet will finish it."""
    return [Removal(pod) for pod in pods if is_deleting(pod) and not node_of(pod)]


def out_of_service(pods: Iterable[Object], node: NodeOf) -> list[Removal]:
    """Deleted, on a node that a person declared dead (KEP-2268)."""
    return [Removal(pod) for pod in pods if is_deleting(pod) and _is_out_of_service(node(node_of(pod)))]


def _is_out_of_service(node: Object | None) -> bool:
    if node is None:
        return False
    ready = condition_of((node.get("status") or {}).get("conditions"), "Ready") or {}
    tainted = any(taint.get("key") == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ())
    return tainted and ready.get("status") != "True"


def missing_nodes(pods: Iterable[Object], node: NodeOf) -> set[str]:
    """Names that pods have and no node has."""
    return {name for pod in pods if (name := node_of(pod)) and node(name) is None}


def orphaned(pods: Iterable[Object], gone: Iterable[str]) -> list[Removal]:
    """Pods of nodes that are `gone` for good."""
    names = set(gone)
    return [Removal(pod, "PodGC: node no longer exists") for pod in pods if node_of(pod) in names]

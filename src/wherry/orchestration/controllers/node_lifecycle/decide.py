"""What a node's silence and conditions mean: pure.

In:    a Node, how long ago it was last heard of, whether any node at all is ready.
Out:   conditions turned Unknown; the taints it should have.
Spec:  Kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go: reasons, texts, taints are its.
"""

from datetime import datetime

from wherry.kit.clock import rfc3339
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting
from wherry.orchestration.objects.well_known import (
    TAINT_NODE_DISK_PRESSURE,
    TAINT_NODE_MEMORY_PRESSURE,
    TAINT_NODE_NETWORK_UNAVAILABLE,
    TAINT_NODE_NOT_READY,
    TAINT_NODE_PID_PRESSURE,
    TAINT_NODE_UNREACHABLE,
    TAINT_NODE_UNSCHEDULABLE,
)

GRACE_S = 50.0  # --node-monitor-grace-period since 1.32
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
BY_CONDITION = {
    ("Ready", "False"): TAINT_NODE_NOT_READY,
    ("Ready", "Unknown"): TAINT_NODE_UNREACHABLE,
    ("MemoryPressure", "True"): TAINT_NODE_MEMORY_PRESSURE,
    ("DiskPressure", "True"): TAINT_NODE_DISK_PRESSURE,
    ("NetworkUnavailable", "True"): TAINT_NODE_NETWORK_UNAVAILABLE,
    ("PIDPressure", "True"): TAINT_NODE_PID_PRESSURE,
}
OUR_NO_SCHEDULE = frozenset({*BY_CONDITION.values(), TAINT_NODE_UNSCHEDULABLE})
OUR_NO_EXECUTE = frozenset({TAINT_NODE_NOT_READY, TAINT_NODE_UNREACHABLE})


def conditions(node: Object) -> list[Object]:
    """status.conditions."""
    return (node.get("status") or {}).get("conditions") or []


def ready_status(node: Object) -> str:
    """True, False or Unknown; Unknown when nothing was ever reported."""
    return str((condition_of(conditions(node), "Ready") or {}).get("status") or "Unknown")


def silenced(node: Object, now: datetime) -> list[Object] | None:
    """The conditions of a node that is no longer heard of, None when they say so already."""
    found = {c.get("type"): dict(c) for c in conditions(node)}
    is_new = False
    for kind in WATCHED:
        old = found.get(kind)
        if old is None:
            found[kind] = {
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node["metadata"].get("creationTimestamp"), "lastTransitionTime": rfc3339(now),
            }  # fmt: skip
        elif old.get("status") != "Unknown":
            found[kind] = {
                **old, "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.", "lastTransitionTime": rfc3339(now),
            }  # fmt: skip
        is_new |= found[kind] != old
    return list(found.values()) if is_new else None


def taints_of(node: Object, now: datetime, *, evict: bool) -> list[Object] | None:
    """spec.taints as they should be, None when they are. `evict`: False while no node is ready.

    When every node is silent it is more likely that this side is cut off: then nobody is evicted.
    """
    old = (node.get("spec") or {}).get("taints") or []
    wanted = _wanted(node, evict)
    kept = [taint for taint in old if not _is_ours(taint) or _place(taint) in wanted]
    present = {_place(taint) for taint in kept}
    added = [_taint(key, effect, now) for key, effect in sorted(wanted - present)]
    return kept + added if added or len(kept) != len(old) else None


def _wanted(node: Object, evict: bool) -> set[tuple[str, str]]:
    status = {c.get("type"): c.get("status") for c in conditions(node)}
    wanted = {
        (key, NO_SCHEDULE) for (kind, value), key in BY_CONDITION.items() if status.get(kind, "") == value
    }
    if "Ready" not in status:
        wanted.add((TAINT_NODE_NOT_READY, NO_SCHEDULE))  # as admission put it on the new node
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.add((TAINT_NODE_UNSCHEDULABLE, NO_SCHEDULE))
    ready = status.get("Ready")
    if evict and not is_deleting(node) and ready in ("False", "Unknown"):
        wanted.add((TAINT_NODE_NOT_READY if ready == "False" else TAINT_NODE_UNREACHABLE, NO_EXECUTE))
    return wanted


def _is_ours(taint: Object) -> bool:
    key, effect = _place(taint)
    return (effect == NO_SCHEDULE and key in OUR_NO_SCHEDULE) or (effect == NO_EXECUTE and key in OUR_NO_EXECUTE)


def _place(taint: Object) -> tuple[str, str]:
    return str(taint.get("key")), str(taint.get("effect"))


def _taint(key: str, effect: str, now: datetime) -> Object:
    taint = {"key": key, "effect": effect}
    return {**taint, "timeAdded": rfc3339(now)} if effect == NO_EXECUTE else taint

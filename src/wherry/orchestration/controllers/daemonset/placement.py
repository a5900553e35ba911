"""On which nodes a DaemonSet's pod belongs, and that pod: pure.

Spec:  Kubernetes pkg/controller/daemon/{daemon_controller,util/daemonset_util}.go.
"""

import copy
from enum import Enum

from wherry.orchestration.controllers.workload.pod_template import pod_from
from wherry.orchestration.controllers.workload.pods import node_of
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL
from wherry.orchestration.objects.kinds import DAEMON_SETS
from wherry.orchestration.objects.meta import TEMPLATE_GENERATION, Object, annotations_of, name_of
from wherry.orchestration.objects.placement import matches_node, untolerated_taint
from wherry.orchestration.objects.well_known import (
    TAINT_NODE_DISK_PRESSURE,
    TAINT_NODE_MEMORY_PRESSURE,
    TAINT_NODE_NETWORK_UNAVAILABLE,
    TAINT_NODE_NOT_READY,
    TAINT_NODE_PID_PRESSURE,
    TAINT_NODE_UNREACHABLE,
    TAINT_NODE_UNSCHEDULABLE,
)

GENERATION_LABEL = "pod-template-generation"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    (TAINT_NODE_NOT_READY, "NoExecute"),
    (TAINT_NODE_UNREACHABLE, "NoExecute"),
    (TAINT_NODE_DISK_PRESSURE, "NoSchedule"),
    (TAINT_NODE_MEMORY_PRESSURE, "NoSchedule"),
    (TAINT_NODE_PID_PRESSURE, "NoSchedule"),
    (TAINT_NODE_UNSCHEDULABLE, "NoSchedule"),
)
_TOLERATED_ON_HOST_NETWORK = (TAINT_NODE_NETWORK_UNAVAILABLE, "NoSchedule")


class Place(Enum):
    """What a node is to a DaemonSet."""

    RUN = "run"  # needs a pod
    KEEP = "keep"  # a pod that is there may stay, a new one would not be let in
    LEAVE = "leave"  # must have none


def place(daemon_set: Object, node: Object) -> Place:
    """What `node` is to `daemon_set`."""
    spec = daemon_set["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return Place.LEAVE
    pod = {"spec": {**spec, "tolerations": with_tolerations(spec)}}
    if not matches_node(pod, node) or untolerated_taint(pod, node, ("NoExecute",)):
        return Place.LEAVE
    return Place.KEEP if untolerated_taint(pod, node, ("NoSchedule",)) else Place.RUN


def with_tolerations(spec: Object) -> list[Object]:
    """The template's tolerations and the ones every daemon pod has."""
    added = [*_TOLERATED, *([_TOLERATED_ON_HOST_NETWORK] if spec.get("hostNetwork") else [])]
    own = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in added]
    kept = [t for t in spec.get("tolerations") or () if t not in own]
    return [*kept, *own]


def pod_for(daemon_set: Object, node_name: str, revision_hash: str) -> Object:
    """The pod of `daemon_set` for one node; the scheduler binds it there."""
    pod = pod_from(daemon_set["spec"]["template"], daemon_set, DAEMON_SETS)
    labels = pod["metadata"].setdefault("labels", {})
    if generation := annotations_of(daemon_set).get(TEMPLATE_GENERATION):
        labels[GENERATION_LABEL] = generation
    labels[REVISION_LABEL] = revision_hash
    spec = pod["spec"]
    spec["tolerations"] = with_tolerations(spec)
    spec["affinity"] = pinned(spec.get("affinity"), node_name)
    return pod


def pinned(affinity: Object | None, node_name: str) -> Object:
    """`affinity` with every required term replaced by: this node only."""
    result = copy.deepcopy(affinity or {})
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name]}]}
    node_affinity = result.get("nodeAffinity") or {}
    # Selection by labels was done in `place`; a term keeps only the name, so that several terms cannot widen it.
    result["nodeAffinity"] = {**node_affinity, _REQUIRED: {"nodeSelectorTerms": [term]}}
    return result


def target_of(pod: Object) -> str:
    """The node a daemon pod is on or meant for, "" when it says none."""
    if node := node_of(pod):
        return node
    required = (((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("operator") == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""

"""Whether this node can take a pod. Pure.

In:    the pod, the node, the pods that already run here. Out: a `Rejection`, or None.
Spec:  reasons OutOf<resource>, NodeAffinity, NodePorts, SysctlForbidden; the scheduler has normally checked the same, but
       pods with spec.nodeName, and races, come without it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.orchestration.agent import qos, security
from wherry.orchestration.agent.pod import (
    app_containers,
    init_containers,
    is_host_network,
    is_sidecar,
    is_terminal,
    spec_of,
)
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, labels_of, name_of, uid_of


@dataclass(frozen=True, slots=True)
class Rejection:
    """The pod's status.reason and the message behind `Pod was rejected: `."""

    reason: str
    message: str


def admit(
    pod: Object,
    *,
    node: Object,
    others: Iterable[Object],
    allocatable: Mapping[str, str],
    allowed_unsafe_sysctls: tuple[str, ...] = (),
) -> Rejection | None:
    """None: it may run. `others` are the pods on this node, in any phase; the pod itself among them does not count."""
    if text := security.forbidden_sysctl(pod, allowed_unsafe_sysctls):
        return Rejection("SysctlForbidden", text)
    if spec_of(pod).get("hostUsers") is False:
        return Rejection("UserNamespacesNotSupported", "hostUsers: false is not offered on this node")
    running = [other for other in others if uid_of(other) != uid_of(pod) and not is_terminal(other)]
    if not matches_node(pod, node):
        return Rejection(
            "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        )
    if ports_conflict(pod, running):
        return Rejection(
            "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        )
    return _lacking(pod, running, allocatable)


def _lacking(pod: Object, running: list[Object], allocatable: Mapping[str, str]) -> Rejection | None:
    if "pods" in allocatable and len(running) + 1 > quantity.value(allocatable["pods"]):
        capacity = quantity.value(allocatable["pods"])
        return Rejection(
            "OutOfpods",
            f"Node didn't have enough resource: pods, requested: 1, used: {len(running)}, capacity: {capacity}",
        )
    for resource, text in allocatable.items():
        requested = qos.pod_requests(pod, resource)
        if resource == "pods" or not requested:
            continue
        used = sum(qos.pod_requests(other, resource) for other in running)
        capacity = quantity.milli(text) if resource == "cpu" else quantity.value(text)
        if used + requested > capacity:
            message = f"Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
            return Rejection(f"OutOf{resource}", message)
    return None


def ports_conflict(pod: Object, others: Iterable[Object]) -> bool:
    """A hostPort of `pod` is taken by another pod."""
    wanted = set(_host_ports(pod))
    if not wanted:
        return False
    taken = [port for other in others for port in _host_ports(other)]
    return any(_clash(ours, theirs) for ours in wanted for theirs in taken)


def _host_ports(pod: Object) -> list[tuple[str, str, int]]:
    return [
        (str(port.get("hostIP") or "0.0.0.0"), str(port.get("protocol") or "TCP"), int(number))
        for container in (*filter(is_sidecar, init_containers(pod)), *app_containers(pod))
        for port in container.get("ports") or ()
        if (number := port.get("hostPort") or (port.get("containerPort") if is_host_network(pod) else None))
    ]


def _clash(one: tuple[str, str, int], two: tuple[str, str, int]) -> bool:
    same_port = one[1] == two[1] and one[2] == two[2]
    return same_port and (one[0] == two[0] or "0.0.0.0" in (one[0], two[0]))


def matches_node(pod: Object, node: Object) -> bool:
    """nodeSelector and required node affinity."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec_of(pod).get("nodeSelector") or {}).items()):
        return False
    affinity = (spec_of(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_term_matches(term, labels, name_of(node)) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: Object, labels: Mapping[str, str], node_name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    in_fields = {"metadata.name": node_name}
    return all(_requirement(e, labels) for e in expressions) and all(_requirement(f, in_fields) for f in fields)


def _requirement(requirement: Object, labels: Mapping[str, str]) -> bool:
    key, values = str(requirement.get("key", "")), list(requirement.get("values") or ())
    found = labels.get(key)
    match requirement.get("operator"):
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            try:
                return int(found or "") > int(values[0]) if operator == "Gt" else int(found or "") < int(values[0])
            except (ValueError, IndexError):
                return False
    return False

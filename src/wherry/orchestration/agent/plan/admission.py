"""Whether this node can take a pod. Pure.

In:    the pod, the node, the pods that already run here. Out: a `Rejection`, or None.
Spec:  reasons OutOf<resource>, NodeAffinity, NodePorts, SysctlForbidden; the scheduler has normally checked the same, but
       pods with spec.nodeName, and races, come without it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.kit.reserved import Reserved
from wherry.orchestration.agent.facts.pod import is_terminal, spec_of
from wherry.orchestration.agent.plan import qos, security
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, uid_of
from wherry.orchestration.objects.placement import host_ports, matches_node, ports_clash, reserved_port

NOTHING = Reserved()

NODE_AFFINITY = "NodeAffinity"


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
    reserved: Reserved = NOTHING,
) -> Rejection | None:
    """None: it may run. `others` are the pods on this node, in any phase; the pod itself among them does not count."""
    if text := security.forbidden_sysctl(pod, allowed_unsafe_sysctls):
        return Rejection("SysctlForbidden", text)
    if spec_of(pod).get("hostUsers") is False:
        return Rejection("UserNamespacesNotSupported", "hostUsers: false is not offered on this node")
    running = [other for other in others if uid_of(other) != uid_of(pod) and not is_terminal(other)]
    if not matches_node(pod, node):
        return Rejection(
            NODE_AFFINITY, "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        )
    if text := reserved_port(pod, reserved):
        return Rejection("NodePorts", f"Predicate NodePorts failed: {text}")
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
    wanted = set(host_ports(pod))
    if not wanted:
        return False
    taken = [port for other in others for port in host_ports(other)]
    return any(ports_clash(ours, theirs) for ours in wanted for theirs in taken)

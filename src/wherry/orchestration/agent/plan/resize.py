"""In-place resize: which running containers need other limits, and whether the node can give them. Pure.

Spec: KEP-1287: resizePolicy NotRequired or RestartContainer per resource; PodResizePending reason Deferred (not now) or
      Infeasible (never on this node); PodResizeInProgress while it is being done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.container.runtime.engine import ContainerStatus, Resources, State
from wherry.orchestration.agent.facts.pod import app_containers, container_named, init_containers
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object


@dataclass(frozen=True, slots=True)
class Change:
    """One running container and its new limits; `restarts` when its policy asks for a restart instead."""

    name: str
    container_id: str
    resources: Resources
    restarts: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`condition` is "", PodResizePending or PodResizeInProgress, with its reason and message."""

    condition: str = ""
    reason: str = ""
    message: str = ""


def changes(
    pod: Object,
    live: Iterable[ContainerStatus],
    applied: Mapping[str, Resources],
    *,
    memory_capacity_bytes: int,
) -> list[Change]:
    """What differs from `applied` (by container id); a run that is not in `applied` is taken as up to date."""
    found = []
    for run in live:
        container, now = container_named(pod, run.name), applied.get(run.id)
        if container is None or now is None or run.state != State.RUNNING:
            continue
        wanted = qos.container_resources(pod, container, memory_capacity_bytes=memory_capacity_bytes)
        cpu = (wanted.cpu_shares, wanted.cpu_quota_us) != (now.cpu_shares, now.cpu_quota_us)
        memory = wanted.memory_limit_bytes != now.memory_limit_bytes
        if cpu or memory:
            restarts = (cpu and _restarts(container, "cpu")) or (memory and _restarts(container, "memory"))
            found.append(Change(run.name, run.id, wanted, restarts))
    return found


def judge(pod: Object, others: Iterable[Object], allocatable: Mapping[str, str]) -> Verdict:
    """Whether the new requests fit: never (Infeasible), not now (Deferred), or yes (no condition)."""
    running = list(others)
    for resource in ("cpu", "memory"):
        if resource not in allocatable:
            continue
        asked = qos.pod_requests(pod, resource)
        capacity = quantity.milli(allocatable[resource]) if resource == "cpu" else quantity.value(allocatable[resource])
        if asked > capacity:
            text = f"Node didn't have enough capacity: {resource}, requested: {asked}, capacity: {capacity}"
            return Verdict("PodResizePending", "Infeasible", text)
        used = sum(qos.pod_requests(other, resource) for other in running)
        if asked + used > capacity:
            text = f"Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: {capacity}"
            return Verdict("PodResizePending", "Deferred", text)
    return Verdict()


def requested(pod: Object) -> tuple[object, ...]:
    """What a resize can change; equal values mean that there is nothing to do."""
    return tuple(repr(c.get("resources") or {}) for c in (*init_containers(pod), *app_containers(pod)))


def _restarts(container: Object, resource: str) -> bool:
    policies = container.get("resizePolicy") or ()
    return any(p.get("resourceName") == resource and p.get("restartPolicy") == "RestartContainer" for p in policies)

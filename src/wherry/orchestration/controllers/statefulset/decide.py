"""The next steps of a StatefulSet, in its order: pure.

In:    the set, its pods, names of the current and the update revision, the time.
Out:   a `Plan`: ordinals to create (with the revision to use), pods to delete, pods whose identity labels are wrong.
Spec:  Kubernetes pkg/controller/statefulset/stateful_set_control.go. OrderedReady takes one step at a time and waits
       for every lower ordinal to be available; Parallel creates and deletes at once, but still updates in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wherry.orchestration.controllers.statefulset.identity import (
    first_ordinal,
    has_identity,
    ordinal_of,
    ordinals,
    replicas_of,
)
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL
from wherry.orchestration.controllers.workload.status import without_zeros
from wherry.orchestration.objects.meta import Object, is_deleting, labels_of


@dataclass(slots=True)
class Plan:
    """`create` maps ordinals to revision names. `recreate` are finished pods, deleted so that they come again."""

    create: dict[int, str] = field(default_factory=dict)
    delete: list[Object] = field(default_factory=list)
    recreate: list[Object] = field(default_factory=list)
    relabel: list[Object] = field(default_factory=list)
    waits_for: str = ""


def decide(owner: Object, pods: Sequence[Object], current: str, update: str, now: datetime) -> Plan:
    """What to do next; nothing while a lower member is not there yet, when members come in order."""
    members = {ordinal_of(owner, pod): pod for pod in pods}
    plan = Plan()
    if is_deleting(owner):
        return plan
    in_order = owner["spec"].get("podManagementPolicy", "OrderedReady") != "Parallel"
    if _fill(plan, owner, members, current, update, in_order=in_order, now=now) and in_order:
        return plan
    if _condemn(plan, owner, members, in_order=in_order, now=now) and in_order:
        return plan
    strategy = owner["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        _roll(plan, owner, members, update, now)
    return plan


def _fill(
    plan: Plan, owner: Object, members: Mapping[int, Object], current: str, update: str, *, in_order: bool,
    now: datetime,
) -> bool:
    """Create what is missing. True when there is something to do or to wait for."""
    busy = False
    for ordinal in ordinals(owner):
        pod = members.get(ordinal)
        if pod is None:
            plan.create[ordinal] = current if needs_current(owner, ordinal) else update
        elif is_deleting(pod):
            plan.waits_for = plan.waits_for or f"pod of ordinal {ordinal} to terminate"
        elif read.is_finished(pod):
            plan.recreate.append(pod)
        else:
            if not has_identity(owner, pod):
                plan.relabel.append(pod)
            if is_healthy(owner, pod, now):
                continue
            plan.waits_for = plan.waits_for or f"pod of ordinal {ordinal} to be ready"
        busy = True
        if in_order:
            return True
    return busy


def _condemn(plan: Plan, owner: Object, members: Mapping[int, Object], *, in_order: bool, now: datetime) -> bool:
    """Delete what is beyond the ordinals, highest first. True when there is something to do or to wait for."""
    condemned = sorted((o for o in members if o not in ordinals(owner)), reverse=True)
    unhealthy = [o for o in reversed(condemned) if not is_healthy(owner, members[o], now)]
    for ordinal in condemned:
        pod = members[ordinal]
        if is_deleting(pod):
            plan.waits_for = plan.waits_for or f"pod of ordinal {ordinal} to terminate"
        elif in_order and not is_healthy(owner, pod, now) and ordinal != unhealthy[0]:
            plan.waits_for = f"pod of ordinal {ordinal} to be ready before scaling down"
        else:
            plan.delete.append(pod)
        if in_order:
            return True
    return bool(condemned)


def _roll(plan: Plan, owner: Object, members: Mapping[int, Object], update: str, now: datetime) -> None:
    """Delete members of another revision from the highest ordinal down to the partition."""
    span = ordinals(owner)
    least = max(first_ordinal(owner), partition_of(owner))
    allowed = max_unavailable(owner)
    if allowed > 1:
        missing = sum(o not in members or not is_healthy(owner, members[o], now) for o in span)
        old = [members[o] for o in reversed(span) if o >= least and o in members and _is_old(members[o], update)]
        plan.delete += old[: max(0, allowed - missing)]
        return
    for ordinal in reversed(span):
        if ordinal < least:
            return
        pod = members.get(ordinal)
        if pod is not None and _is_old(pod, update):
            plan.delete.append(pod)
            return
        if pod is None or not is_healthy(owner, pod, now):
            plan.waits_for = plan.waits_for or f"pod of ordinal {ordinal} to be updated"
            return


def _is_old(pod: Object, update: str) -> bool:
    return not is_deleting(pod) and labels_of(pod).get(REVISION_LABEL) != update


def needs_current(owner: Object, ordinal: int) -> bool:
    """A missing member below the partition comes back as it was."""
    strategy = owner["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return False
    if strategy.get("rollingUpdate") is None:
        return ordinal < first_ordinal(owner) + int((owner.get("status") or {}).get("currentReplicas") or 0)
    # An absolute ordinal: with ordinals.start the partition counts from there on.
    return ordinal < first_ordinal(owner) + int(strategy["rollingUpdate"].get("partition") or 0)


def partition_of(owner: Object) -> int:
    """The lowest ordinal that is updated."""
    rolling = (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return first_ordinal(owner) + int(rolling.get("partition") or 0)


def max_unavailable(owner: Object) -> int:
    """updateStrategy.rollingUpdate.maxUnavailable, rounded down, at least 1."""
    value = ((owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable", 1)
    if isinstance(value, str):
        value = int(value.removesuffix("%") or 0) * replicas_of(owner) // 100
    return max(1, int(value or 1))


def is_healthy(owner: Object, pod: Object, now: datetime) -> bool:
    """Running, available, not terminating."""
    min_ready_s = int(owner["spec"].get("minReadySeconds") or 0)
    return read.phase_of(pod) == "Running" and not is_deleting(pod) and read.is_available(pod, min_ready_s, now)


def status_of(
    owner: Object, pods: Sequence[Object], current: str, update: str, collisions: int, now: datetime
) -> Object:
    """The whole status; the update revision becomes current when every member has it."""
    min_ready_s = int(owner["spec"].get("minReadySeconds") or 0)
    running = [pod for pod in pods if read.phase_of(pod) == "Running"]
    ready = sum(map(read.is_ready, running))

    def of(revision: str) -> int:
        return sum(labels_of(pod).get(REVISION_LABEL) == revision for pod in pods if not is_deleting(pod))

    updated, replicas = of(update), replicas_of(owner)
    rolling = (owner["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if rolling and updated == replicas == ready == len(pods):
        current = update
    return without_zeros({
        "observedGeneration": owner["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": sum(read.is_available(pod, min_ready_s, now) for pod in running),
        "currentReplicas": of(current),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }, keep=("replicas", "availableReplicas", "collisionCount"))  # fmt: skip

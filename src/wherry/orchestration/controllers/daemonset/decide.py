"""Which daemon pods to create and delete, by placement and by rolling update, and the status: pure.

In:    the DaemonSet, all nodes, its pods, the hash of its current revision, the time.
Out:   a `Plan`; failed pods are named apart because the loop deletes them with back-off.
Spec:  Kubernetes pkg/controller/daemon/{daemon_controller,update}.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wherry.orchestration.controllers.daemonset.placement import GENERATION_LABEL, Place, place, target_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.children import oldest_first
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL
from wherry.orchestration.controllers.workload.status import without_zeros
from wherry.orchestration.objects.meta import TEMPLATE_GENERATION, Object, annotations_of, is_deleting, labels_of, name_of

BURST = 250


@dataclass(slots=True)
class Plan:
    """Names of nodes to create a pod for; pods to delete; finished pods, to be deleted with back-off."""

    create: list[str] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    finished: list[Object] = field(default_factory=list)


def by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """Pods by the node they are on or meant for, oldest first."""
    grouped: dict[str, list[Object]] = {}
    for pod in oldest_first(pods):
        grouped.setdefault(target_of(pod), []).append(pod)
    return grouped


def decide(
    daemon_set: Object, nodes: Sequence[Object], pods: Sequence[Object], revision_hash: str, now: datetime
) -> Plan:
    """Placement first; when that needs nothing, the rolling update."""
    there = by_node(pods)
    plan = _placement(daemon_set, nodes, there, revision_hash, now)
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if not plan.create and not plan.delete and strategy.get("type", "RollingUpdate") == "RollingUpdate":
        _roll(plan, daemon_set, nodes, there, revision_hash, now)
    return Plan(plan.create[:BURST], plan.delete[:BURST], plan.finished)


def _placement(
    daemon_set: Object, nodes: Sequence[Object], there: Mapping[str, list[Object]], revision_hash: str, now: datetime
) -> Plan:
    plan = Plan()
    for node in nodes:
        pods = there.get(name_of(node), [])
        match place(daemon_set, node):
            case Place.LEAVE:
                plan.delete += [pod for pod in pods if not is_deleting(pod)]
                continue
            case Place.RUN if not pods:
                plan.create.append(name_of(node))
        plan.finished += [pod for pod in pods if read.is_finished(pod) and not is_deleting(pod)]
        plan.delete += _surplus(daemon_set, read.active(pods), revision_hash, now)
    known = {name_of(node) for node in nodes}
    for target, pods in there.items():
        if target not in known:  # meant for a node that is gone; bound ones are the pod garbage collector's
            plan.delete += [pod for pod in pods if not read.node_of(pod) and not is_deleting(pod)]
    return plan


def _surplus(daemon_set: Object, active: Sequence[Object], revision_hash: str, now: datetime) -> list[Object]:
    """All but the oldest; while surging, all but the oldest of each revision, and the old one once the new is up."""
    if not max_surge(daemon_set, 1):
        return list(active[1:])
    new = [pod for pod in active if is_updated(daemon_set, pod, revision_hash)]
    old = [pod for pod in active if pod not in new]
    result = [*new[1:], *old[1:]]
    if new and old and (not read.is_ready(old[0]) or read.is_available(new[0], _min_ready_s(daemon_set), now)):
        result.append(old[0])
    return result


def _roll(
    plan: Plan, daemon_set: Object, nodes: Sequence[Object], there: Mapping[str, list[Object]], revision_hash: str,
    now: datetime,
) -> None:
    running = [node for node in nodes if place(daemon_set, node) is Place.RUN]
    surge, unavailable = max_surge(daemon_set, len(running)), max_unavailable(daemon_set, len(running))
    if not surge:
        unavailable = max(1, unavailable)
    broken: list[Object] = []
    candidates: list[Object] = []
    count = 0
    for node in running:
        active = [pod for pod in there.get(name_of(node), []) if not is_deleting(pod)]
        new = [pod for pod in active if is_updated(daemon_set, pod, revision_hash)]
        old = [pod for pod in active if pod not in new]
        if surge:
            if old and not new:
                (candidates if _available(daemon_set, old[0], now) else broken).append(old[0])
            elif old and not _available(daemon_set, new[0], now):
                count += 1
        elif old and not new:
            up = _available(daemon_set, old[0], now)
            (candidates if up else broken).append(old[0])
            count += not up
        elif old or not new or not _available(daemon_set, new[0], now):
            count += 1
    chosen = broken + candidates[: max(0, (surge or unavailable) - count)]
    if surge:
        plan.create += [target_of(pod) for pod in chosen]
    else:
        plan.delete += chosen


def is_updated(daemon_set: Object, pod: Object, revision_hash: str) -> bool:
    """The pod was made from the current template."""
    if labels_of(pod).get(REVISION_LABEL) == revision_hash:
        return True
    generation = annotations_of(daemon_set).get(TEMPLATE_GENERATION)
    return generation is not None and labels_of(pod).get(GENERATION_LABEL) == generation


def max_surge(daemon_set: Object, nodes: int) -> int:
    """updateStrategy.rollingUpdate.maxSurge of `nodes`, rounded up."""
    return _rounded(daemon_set, "maxSurge", 0, nodes)


def max_unavailable(daemon_set: Object, nodes: int) -> int:
    """updateStrategy.rollingUpdate.maxUnavailable of `nodes`, rounded up."""
    return _rounded(daemon_set, "maxUnavailable", 1, nodes)


def _rounded(daemon_set: Object, name: str, default: int, nodes: int) -> int:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0
    value = (strategy.get("rollingUpdate") or {}).get(name, default)
    if isinstance(value, str):
        return -(-int(value.removesuffix("%") or 0) * nodes // 100)
    return int(value)


def status_of(
    daemon_set: Object, nodes: Sequence[Object], pods: Sequence[Object], revision_hash: str, collisions: int,
    now: datetime,
) -> Object:
    """The whole status."""
    there = by_node(pods)
    desired = current = misplaced = ready = available = updated = 0
    for node in nodes:
        found = sorted(there.get(name_of(node), []), key=read.is_finished)
        if place(daemon_set, node) is not Place.RUN:
            misplaced += bool(found)
            continue
        desired += 1
        if found:
            current += 1
            ready += read.is_ready(found[0])
            available += _available(daemon_set, found[0], now)
            updated += is_updated(daemon_set, found[0], revision_hash)
    required = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    counts = (current, misplaced, desired, ready)
    return without_zeros({
        **dict(zip(required, counts, strict=True)),
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
        "collisionCount": collisions,
    }, keep=required)  # fmt: skip


def _available(daemon_set: Object, pod: Object, now: datetime) -> bool:
    return read.is_available(pod, _min_ready_s(daemon_set), now)


def _min_ready_s(daemon_set: Object) -> int:
    return int(daemon_set["spec"].get("minReadySeconds") or 0)

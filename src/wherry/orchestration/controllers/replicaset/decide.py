"""How many pods a ReplicaSet or ReplicationController lacks, which it gives up, and its status: pure.

Spec:  Kubernetes pkg/controller/replicaset/replica_set.go, replica_set_utils.go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.controllers.workload.pod_ranking import to_delete
from wherry.orchestration.controllers.workload.status import without_zeros
from wherry.orchestration.objects.kinds import REPLICA_SETS, REPLICATION_CONTROLLERS
from wherry.orchestration.objects.meta import Object, condition_of, labels_of, with_condition
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector, from_map

BURST = 500


@dataclass(frozen=True, slots=True)
class Flavor:
    """What differs between the two kinds."""

    resource: Resource
    component: str
    selects: Callable[[Object], LabelSelector]
    counts_terminating: bool


def _by_map(rc: Object) -> LabelSelector:
    return from_map(rc["spec"].get("selector"))


def _by_label_selector(rs: Object) -> LabelSelector:
    return from_label_selector(rs["spec"].get("selector"))


REPLICA_SET = Flavor(REPLICA_SETS, "replicaset-controller", _by_label_selector, counts_terminating=True)
REPLICATION_CONTROLLER = Flavor(REPLICATION_CONTROLLERS, "replication-controller", _by_map, counts_terminating=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """Create so many pods, delete these. At most one of the two."""

    create: int = 0
    delete: tuple[Object, ...] = ()


def replicas_of(owner: Object) -> int:
    """spec.replicas, 1 when absent."""
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def decide(owner: Object, active: Sequence[Object], related: Sequence[Object], now: datetime) -> Plan:
    """Bring `active` pods to spec.replicas, at most `BURST` at a time. `related`: see `pod_ranking.to_delete`."""
    surplus = len(active) - replicas_of(owner)
    if surplus < 0:
        return Plan(create=min(-surplus, BURST))
    if surplus > 0:
        return Plan(delete=tuple(to_delete(active, related, min(surplus, BURST), now)))
    return Plan()


def status_of(
    owner: Object, flavor: Flavor, active: Sequence[Object], terminating: int, failure: str, now: datetime
) -> Object:
    """The whole status. `failure`: text of the first failed create or delete, "" for none."""
    template_labels = (owner["spec"].get("template") or {}).get("metadata", {}).get("labels") or {}
    min_ready_s = int(owner["spec"].get("minReadySeconds") or 0)
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(map(read.is_ready, active)),
        "availableReplicas": sum(read.is_available(pod, min_ready_s, now) for pod in active),
        "observedGeneration": owner["metadata"].get("generation", 0),
        "conditions": _conditions(owner, len(active), failure, now),
    }
    kept = without_zeros(status, keep=("replicas",))
    return {**kept, "terminatingReplicas": terminating} if flavor.counts_terminating else kept


def _conditions(owner: Object, active: int, failure: str, now: datetime) -> list[Object]:
    conditions = (owner.get("status") or {}).get("conditions") or []
    if not failure:
        return [dict(c) for c in conditions if c.get("type") != "ReplicaFailure"]
    if condition_of(conditions, "ReplicaFailure"):
        return list(conditions)
    reason = "FailedCreate" if active < replicas_of(owner) else "FailedDelete"
    new = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure}
    return with_condition(conditions, new, now)

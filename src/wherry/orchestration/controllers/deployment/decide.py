"""One step of a Deployment: which ReplicaSet to create, resize or remove, and the status: pure.

In:    the Deployment, the ReplicaSets it controls, which of those still have running pods (for Recreate), the time.
Out:   a `Plan`. Carried out and decided again until nothing is left to do.
Spec:  Kubernetes pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.orchestration.controllers.deployment import conditions as say
from wherry.orchestration.controllers.deployment.annotations import (
    REVISION,
    annotations_for_set,
    desired_of,
    next_revision,
    revision_of_set,
    with_sizes,
)
from wherry.orchestration.controllers.deployment.numbers import (
    UNLIMITED,
    creation,
    is_rolling,
    is_saturated,
    max_surge,
    max_unavailable,
    new_set_size,
    proportional,
    replicas_of,
    reported,
    total,
    wanted,
)
from wherry.orchestration.controllers.workload.pod_template import HASH_LABEL, same_template, short_hash, without_hash
from wherry.orchestration.objects.kinds import DEPLOYMENTS
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    condition_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`update` holds (before, after). `revision` is what the Deployment's annotation must say, "" to leave it."""

    create: Object | None
    update: tuple[tuple[Object, Object], ...]
    delete: tuple[Object, ...]
    status: Object
    revision: str = ""
    look_again_s: float | None = None


def decide(deployment: Object, sets: Sequence[Object], *, busy: frozenset[str], now: datetime) -> Plan:
    """`busy`: names of the sets that still have pods which have not finished."""
    draft = _Draft(deployment, sets, now)
    if is_deleting(deployment):
        return draft.plan(rollout=False)
    if deployment["spec"].get("paused") or draft.is_scaling():
        draft.scale()
        if deployment["spec"].get("paused"):
            draft.clean_up()
        return draft.plan(rollout=False)
    if is_rolling(deployment):
        draft.roll()
    else:
        draft.recreate(busy)
    return draft.plan(rollout=True)


class _Draft:
    """The sets as they will be when the plan so far has been carried out."""

    def __init__(self, deployment: Object, sets: Sequence[Object], now: datetime) -> None:
        self._deployment = deployment
        self._now = now
        self._before = {name_of(rs): rs for rs in sorted(sets, key=creation)}
        self._sets = dict(self._before)
        self._create: Object | None = None
        self._delete: list[Object] = []
        self._conditions = say.pause_conditions(deployment, now)
        template = deployment["spec"]["template"]
        self._new = next((n for n, rs in self._sets.items() if same_template(rs["spec"]["template"], template)), "")
        self._revision = ""
        if self._new and not is_deleting(deployment):
            self._adopt_new()

    @property
    def _status(self) -> Object:
        return self._deployment.get("status") or {}

    @property
    def new(self) -> Object | None:
        """The set with the current template."""
        return self._sets.get(self._new)

    @property
    def old(self) -> list[Object]:
        """The other sets, oldest first."""
        return [rs for name, rs in self._sets.items() if name != self._new]

    def is_scaling(self) -> bool:
        """spec.replicas changed since the active sets were sized."""
        replicas = replicas_of(self._deployment)
        known = [desired_of(rs) for rs in self._sets.values() if replicas_of(rs) > 0]
        return any(desired is not None and desired != replicas for desired in known)

    def scale(self) -> None:
        """Follow spec.replicas without rolling."""
        active = [rs for rs in self._sets.values() if replicas_of(rs) > 0]
        alone = self._active_or_latest(active)
        if alone is not None:
            self._size(alone, replicas_of(self._deployment))
        elif is_saturated(self._deployment, self.new):
            for rs in self.old:
                if replicas_of(rs) > 0:
                    self._size(rs, 0)
        elif is_rolling(self._deployment):
            for name, size in proportional(self._deployment, active).items():
                self._size(self._sets[name], size)

    def roll(self) -> None:
        """Grow the new set, or shrink the old ones, as far as surge and availability allow."""
        new = self.new or self._make_new()
        replicas = replicas_of(self._deployment)
        if replicas_of(new) != replicas:
            every = [*self._sets.values()]
            size = replicas if replicas_of(new) > replicas else new_set_size(self._deployment, every, new)
            if size != replicas_of(new):
                self._size(new, size)
                return
        if not self._shrink_old(new) and say.is_complete(self._deployment, self._status):
            self.clean_up()

    def recreate(self, busy: frozenset[str]) -> None:
        """Old pods end before new ones begin."""
        old_active = [rs for rs in self.old if replicas_of(rs) > 0]
        for rs in old_active:
            self._size(rs, 0)
        if old_active or any(name != self._new for name in busy):
            return
        new = self.new or self._make_new()
        self._size(new, replicas_of(self._deployment))
        if say.is_complete(self._deployment, self._status):
            self.clean_up()

    def clean_up(self) -> None:
        """Forget old sets beyond revisionHistoryLimit."""
        limit = self._deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == UNLIMITED:
            return
        alive = sorted((rs for rs in self.old if not is_deleting(rs)), key=lambda rs: (revision_of_set(rs), creation(rs)))
        for rs in alive[: max(0, len(alive) - limit)]:
            unseen = rs["metadata"].get("generation", 0) > reported(rs, "observedGeneration")
            if not (reported(rs, "replicas") or replicas_of(rs) or unseen):
                self._delete.append(self._before[name_of(rs)])

    def plan(self, *, rollout: bool) -> Plan:
        """What has been drafted."""
        every = [*self._sets.values()]
        collisions = self._status.get("collisionCount")
        status = say.base_status(self._deployment, every, self.new, self._conditions, collisions, self._now)
        if rollout:
            status = say.rollout_status(self._deployment, every, self.new, status, self._now)
        changed = [(rs, self._sets[name]) for name, rs in self._before.items() if self._sets[name] is not rs]
        create = self._sets[name_of(self._create)] if self._create is not None else None
        again = say.look_again_s(self._deployment, status, self._now) if rollout else None
        return Plan(create, tuple(changed), tuple(self._delete), status, self._revision, again)

    def _active_or_latest(self, active: Sequence[Object]) -> Object | None:
        if len(active) == 1:
            return active[0]
        if active:
            return None
        return self.new or (self.old[-1] if self.old else None)

    def _adopt_new(self) -> None:
        """Bring annotations and minReadySeconds of the set that has the template already up to date."""
        new = self._sets[self._new]
        annotations = annotations_for_set(self._deployment, new, next_revision(self.old))
        min_ready_s = int(self._deployment["spec"].get("minReadySeconds") or 0)
        stale = int(new["spec"].get("minReadySeconds") or 0) != min_ready_s
        if annotations != annotations_of(new) or stale:
            self._sets[self._new] = _changed(new, annotations, minReadySeconds=min_ready_s)
        self._revision = annotations[REVISION]
        if say.deadline_s(self._deployment) is not None and condition_of(self._conditions, "Progressing") is None:
            found = say.condition("Progressing", "True", say.FOUND, f'Found new replica set "{self._new}"')
            self._conditions = say.set_condition(self._conditions, found, self._now)

    def _make_new(self) -> Object:
        deployment = self._deployment
        revision = next_revision(self.old)
        rs = new_set(deployment, collisions=self._status.get("collisionCount"))
        size = new_set_size(deployment, [*self._sets.values()], rs)
        annotations = annotations_for_set(deployment, rs, revision)
        rs = _changed(rs, with_sizes(annotations, replicas_of(deployment), self._maximum()), replicas=size)
        self._new, self._create, self._revision = name_of(rs), rs, str(revision)
        self._sets[self._new] = rs
        if say.deadline_s(deployment) is not None:
            made = say.condition("Progressing", "True", say.CREATED, f'Created new replica set "{self._new}"')
            self._conditions = say.set_condition(self._conditions, made, self._now)
        return rs

    def _shrink_old(self, new: Object) -> bool:
        every = [*self._sets.values()]
        if wanted(self.old) == 0:
            return False
        least = replicas_of(self._deployment) - max_unavailable(self._deployment)
        spare = wanted(every) - least - (replicas_of(new) - reported(new, "availableReplicas"))
        if spare <= 0:
            return False
        dropped = 0
        for rs in self.old:  # first the pods that serve nobody
            unhealthy = replicas_of(rs) - reported(rs, "availableReplicas")
            step = min(spare - dropped, unhealthy)
            if step > 0:
                self._size(rs, replicas_of(rs) - step)
                dropped += step
        left = max(0, total(every, "availableReplicas") - least)
        for rs in self.old:
            step = min(left, replicas_of(rs))
            if step > 0:
                self._size(rs, replicas_of(rs) - step)
                left -= step
                dropped += step
        return dropped > 0

    def _size(self, rs: Object, size: int) -> None:
        annotations = with_sizes(annotations_of(rs), replicas_of(self._deployment), self._maximum())
        if size != replicas_of(rs) or annotations != annotations_of(rs):
            self._sets[name_of(rs)] = _changed(rs, annotations, replicas=size)

    def _maximum(self) -> int:
        return replicas_of(self._deployment) + max_surge(self._deployment)


def new_set(deployment: Object, *, collisions: int | None) -> Object:
    """The ReplicaSet of the current template, of size 0."""
    template = without_hash(deployment["spec"]["template"])
    suffix = short_hash(template, collisions)
    labels = {**labels_of(template), HASH_LABEL: suffix}
    selector = deployment["spec"].get("selector") or {}
    spec = {
        "replicas": 0,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: suffix}},
        "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
    }
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    metadata = {
        "name": f"{name_of(deployment)}-{suffix}",
        "namespace": namespace_of(deployment),
        "labels": labels,
        "ownerReferences": [
            owner_reference(deployment, api_version=DEPLOYMENTS.api_version, kind=DEPLOYMENTS.kind)
        ],
    }
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def _changed(rs: Object, annotations: dict[str, str], **spec: int) -> Object:
    return {**rs, "metadata": {**rs["metadata"], "annotations": annotations}, "spec": {**rs["spec"], **spec}}

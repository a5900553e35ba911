"""ControllerRevisions: the templates a StatefulSet or DaemonSet had, numbered, found again on rollback.

In:    the owner, its ControllerRevisions.
Out:   the revision of the current template, made or renumbered if need be; old ones forgotten.
Spec:  Kubernetes pkg/controller/history/controller_history.go; kubectl rollout undo applies `data` as a strategic patch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wherry.kit.errors import AlreadyExists, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.controllers.workload.pod_template import short_hash
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS
from wherry.orchestration.objects.meta import (
    Object,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from wherry.orchestration.objects.resources import Resource

HASH_LABEL = "controller.kubernetes.io/hash"  # on the revisions of StatefulSets
REVISION_LABEL = "controller-revision-hash"  # on pods, and on the revisions of DaemonSets
COLLISIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Current:
    """The revision of the owner's template; `collisions` counts names that were taken by other templates."""

    revision: Object
    collisions: int


def data_of(owner: Object) -> Object:
    """The patch that puts the owner's template back."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def template_of(revision: Object) -> Object:
    """The template in a revision."""
    template = revision["data"]["spec"]["template"]
    return {name: value for name, value in template.items() if name != "$patch"}


def in_order(revisions: Sequence[Object]) -> list[Object]:
    """By number, then age, then name."""
    return sorted(
        revisions, key=lambda r: (r.get("revision", 0), r["metadata"].get("creationTimestamp") or "", name_of(r))
    )


def next_number(revisions: Sequence[Object]) -> int:
    """Above all."""
    return max((int(revision.get("revision", 0)) for revision in revisions), default=0) + 1


def new_revision(owner: Object, owners: Resource, number: int, collisions: int, hash_label: str) -> Object:
    """A revision of the owner's template, named by its hash."""
    data = data_of(owner)
    suffix = short_hash(data, collisions if collisions else None)
    metadata = {
        "name": f"{name_of(owner)[:223]}-{suffix}",
        "namespace": namespace_of(owner),
        "labels": {**labels_of(owner["spec"]["template"]), hash_label: suffix},
        "ownerReferences": [owner_reference(owner, api_version=owners.api_version, kind=owners.kind)],
    }
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": number}


def to_forget(revisions: Sequence[Object], live: Collection[str], limit: int) -> list[Object]:
    """The oldest of those not in `live` (names), beyond `limit`."""
    spare = [r for r in in_order(revisions) if name_of(r) not in live and not is_deleting(r)]
    return spare[: max(0, len(spare) - limit)]


@dataclass(frozen=True, slots=True)
class History:
    """Writes revisions for owners of one resource."""

    client: Client
    owners: Resource
    hash_label: str

    async def current(self, owner: Object, revisions: Sequence[Object]) -> Current:
        """The revision of the owner's template. An old one with the same template gets the highest number."""
        collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
        data, ordered = data_of(owner), in_order(revisions)
        number = next_number(ordered)
        same = [revision for revision in ordered if revision.get("data") == data]
        if same:
            latest = same[-1]
            if latest is not ordered[-1]:
                latest = await self.client.update(CONTROLLER_REVISIONS, {**latest, "revision": number})
            return Current(latest, collisions)
        for _ in range(COLLISIONS_MAX):
            revision = new_revision(owner, self.owners, number, collisions, self.hash_label)
            try:
                return Current(await self.client.create(CONTROLLER_REVISIONS, revision), collisions)
            except AlreadyExists:
                live = await self.client.get(CONTROLLER_REVISIONS, name_of(revision), namespace_of(owner))
                if live.get("data") == data:
                    return Current(live, collisions)
                collisions += 1
        raise AlreadyExists(f"{self.owners.kind} {name_of(owner)!r}: {COLLISIONS_MAX} names for its revision are taken")

    async def forget(self, revisions: Sequence[Object], live: Collection[str], limit: int) -> None:
        """Delete what `to_forget` names."""
        for revision in to_forget(revisions, live, limit):
            try:
                await self.client.delete(
                    CONTROLLER_REVISIONS, name_of(revision), namespace_of(revision), uid=uid_of(revision)
                )
            except NotFound:
                continue

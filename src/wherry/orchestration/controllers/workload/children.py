"""Which objects belong to which owner: indexes, which owner a child's change wakes, and the pure half of adoption.

In:    informers of owners and children.
Out:   keys of owners; the children an owner controls or might adopt; what to adopt and release.
Spec:  Kubernetes pkg/controller/controller_ref_manager.go.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.loop_kit import Seen, Wakes
from wherry.orchestration.objects.meta import (
    Object,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import LabelSelector

BY_CONTROLLER = "controller-uid"
ORPHANS = "orphan-namespace"

Selects = Callable[[Object], LabelSelector]


def _controller_uid(child: Object) -> list[str]:
    return [owner["uid"]] if (owner := controller_of(child)) else []


def _orphaned_in(child: Object) -> list[str]:
    return [] if controller_of(child) else [namespace_of(child)]


BY_OWNER = {BY_CONTROLLER: _controller_uid, ORPHANS: _orphaned_in}  # indexes that make `controlled_by` and `candidates` quick


@dataclass(frozen=True, slots=True)
class Claim:
    """Children of one owner: `owned` match already, `adopt` are orphans that match, `release` match no longer."""

    owned: tuple[Object, ...]
    adopt: tuple[Object, ...]
    release: tuple[Object, ...]


def controlled_by(children: Informer, owner: Object) -> list[Object]:
    """Children whose controller is `owner`."""
    return children.by_index(BY_CONTROLLER, uid_of(owner))


def candidates(children: Informer, owner: Object) -> list[Object]:
    """Children that `owner` controls, and orphans of its namespace."""
    return controlled_by(children, owner) + children.by_index(ORPHANS, namespace_of(owner))


def claim(owner: Object, selector: LabelSelector, found: Iterable[Object]) -> Claim:
    """Sort `candidates` of `owner`. A deleting owner adopts and releases nothing."""
    owned: list[Object] = []
    adopt: list[Object] = []
    release: list[Object] = []
    for child in found:
        controller = controller_of(child)
        matches = selector.matches(labels_of(child))
        if controller is not None:
            if controller["uid"] == uid_of(owner):
                (owned if matches else release).append(child)
        elif matches and not is_deleting(child):
            adopt.append(child)
    if is_deleting(owner):
        return Claim(tuple(owned), (), ())
    return Claim(tuple(owned), tuple(adopt), tuple(release))


def owners_in(owners: Resource, selects: Selects | None) -> Wakes:
    """A child's change wakes its controller, if that is of `owners`; with `selects`, also owners that might adopt an orphan."""

    def wakes(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
        for child in (old, new):
            owner = controller_of(child) if child is not None else None
            if child is not None and owner is not None and is_owner_kind(owner, owners):
                yield f"{namespace_of(child)}/{owner['name']}"
        if selects is not None and new is not None and controller_of(new) is None and not is_deleting(new):
            for candidate in seen[owners].list(namespace_of(new)):
                if selects(candidate).matches(labels_of(new)):
                    yield key_of(candidate)

    return wakes


def is_owner_kind(owner: Object, resource: Resource) -> bool:
    """True when an owner reference is to `resource`, in any version of its group."""
    group = str(owner.get("apiVersion", "")).rpartition("/")[0]
    return owner.get("kind") == resource.kind and group == resource.group


def is_controlled_by(child: Object, owner: Object) -> bool:
    """True when `owner` is the controller of `child`."""
    controller = controller_of(child)
    return controller is not None and controller["uid"] == uid_of(owner)


def with_owner(child: Object, reference: Object) -> list[Object]:
    """The owner references of `child` with `reference` added."""
    kept = [owner for owner in child["metadata"].get("ownerReferences") or () if owner.get("uid") != reference["uid"]]
    return [*kept, reference]


def without_owner(child: Object, uid: str) -> list[Object]:
    """The owner references of `child` but the one to `uid`."""
    return [owner for owner in child["metadata"].get("ownerReferences") or () if owner.get("uid") != uid]


def oldest_first(objects: Iterable[Object]) -> list[Object]:
    """By creation, then by name."""
    return sorted(objects, key=lambda o: (o["metadata"].get("creationTimestamp") or "", name_of(o)))

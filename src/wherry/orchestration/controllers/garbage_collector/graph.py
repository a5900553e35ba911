"""Who owns whom, over all resources: a graph of object metadata, and which objects to look at when it changes.

In:    items, as informers see them come, change and go; a dependent may come before its owner.
Out:   uids whose fate may have changed.
Spec:  Kubernetes pkg/controller/garbagecollector/{graph,graph_builder}.go.
Never: decides; see `decide.py`.
"""

from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, revision_of, uid_of
from wherry.orchestration.objects.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Item:
    """The metadata of one object that matters here."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    revision: str
    owners: tuple[Object, ...]
    deleting: bool
    finalizers: tuple[str, ...]

    @property
    def is_foreground(self) -> bool:
        """Being deleted, after its dependents."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def is_orphaning(self) -> bool:
        """Being deleted, after its dependents were let go."""
        return self.deleting and ORPHAN in self.finalizers

    def blocks(self, owner: str) -> bool:
        """The owner's foreground deletion waits for this object."""
        return any(ref.get("uid") == owner and ref.get("blockOwnerDeletion") for ref in self.owners)


def item_of(resource: Resource, obj: Object) -> Item:
    """The item of an object."""
    metadata = obj["metadata"]
    return Item(
        resource,
        namespace_of(obj),
        name_of(obj),
        uid_of(obj),
        revision_of(obj),
        tuple(metadata.get("ownerReferences") or ()),
        is_deleting(obj),
        tuple(metadata.get("finalizers") or ()),
    )


@dataclass(slots=True)
class Graph:
    """Items by uid, and the uids of dependents by the uid of their owner, whether or not the owner is known."""

    items: dict[str, Item] = field(default_factory=dict)
    _dependents: dict[str, set[str]] = field(default_factory=dict)

    def dependents(self, uid: str) -> list[Item]:
        """What names `uid` as an owner."""
        return [self.items[dependent] for dependent in sorted(self._dependents.get(uid, ()))]

    def put(self, item: Item) -> set[str]:
        """Note the newest state; return the uids to look at."""
        old = self.items.get(item.uid)
        self.items[item.uid] = item
        if old is not None and _fate(old) == _fate(item):
            return set()
        before = {ref["uid"] for ref in old.owners} if old is not None else set()
        after = {ref["uid"] for ref in item.owners}
        self._link(item.uid, before, after)
        wake = {item.uid} if item.owners or item.is_foreground or item.is_orphaning else set()
        wake |= self._foreground(before | after)  # this item may no longer hold its owner back
        if item.is_foreground and not (old is not None and old.is_foreground):
            wake |= self._dependents.get(item.uid, set())
        return wake

    def remove(self, uid: str) -> set[str]:
        """The object is gone; return the uids to look at."""
        old = self.items.pop(uid, None)
        wake = set(self._dependents.get(uid, ()))
        if old is not None:
            owners = {ref["uid"] for ref in old.owners}
            self._link(uid, owners, set())
            wake |= self._foreground(owners)
        return wake

    def _link(self, uid: str, before: set[str], after: set[str]) -> None:
        for owner in before - after:
            self._dependents[owner].discard(uid)
            if not self._dependents[owner]:
                del self._dependents[owner]
        for owner in after - before:
            self._dependents.setdefault(owner, set()).add(uid)

    def _foreground(self, uids: set[str]) -> set[str]:
        return {uid for uid in uids if uid in self.items and self.items[uid].is_foreground}


def _fate(item: Item) -> tuple[object, ...]:
    return item.owners, item.deleting, item.finalizers

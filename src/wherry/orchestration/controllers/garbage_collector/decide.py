"""What to do about one object: pure.

In:    the item, the graph, and which owners the server says are absent.
Out:   one of the actions below, or `Ask` when the graph does not know an owner.
Spec:  Kubernetes pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem, processDeletingDependentsItem).
"""

from collections.abc import Collection
from dataclasses import dataclass

from wherry.orchestration.controllers.garbage_collector.graph import FOREGROUND, ORPHAN, Graph, Item
from wherry.orchestration.objects.meta import Object


@dataclass(frozen=True, slots=True)
class Nothing:
    """Leave it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the server whether these owners exist."""

    owners: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete it, by `policy`; first take blockOwnerDeletion off when `unblock`."""

    policy: str
    unblock: bool = False


@dataclass(frozen=True, slots=True)
class KeepOwners:
    """Drop all owner references but these."""

    owners: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Let `dependents` go, then take `finalizer` off."""

    finalizer: str
    dependents: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Press:
    """Look at the dependents that hold this object back."""

    uids: tuple[str, ...]


Action = Nothing | Ask | Delete | KeepOwners | Finish | Press


def decide(item: Item, graph: Graph, absent: Collection[str]) -> Action:
    """The next action. `absent`: uids of owners that the server has not."""
    if item.is_orphaning:
        return Finish(ORPHAN, tuple(graph.dependents(item.uid)))
    if item.is_foreground:
        blocking = [dependent for dependent in graph.dependents(item.uid) if dependent.blocks(item.uid)]
        if not blocking:
            return Finish(FOREGROUND)
        return Press(tuple(dependent.uid for dependent in blocking if not dependent.deleting))
    if item.deleting or not item.owners:
        return Nothing()
    return _by_owners(item, graph, absent)


def _by_owners(item: Item, graph: Graph, absent: Collection[str]) -> Action:
    unknown = tuple(ref for ref in item.owners if ref["uid"] not in absent and not _is_known(item, graph, ref))
    if unknown:
        return Ask(unknown)
    gone = [ref for ref in item.owners if ref["uid"] in absent]
    waiting = [ref for ref in item.owners if ref not in gone and graph.items[ref["uid"]].is_foreground]
    solid = tuple(ref for ref in item.owners if ref not in gone and ref not in waiting)
    if solid:
        return KeepOwners(solid) if gone or waiting else Nothing()
    dependents = graph.dependents(item.uid)
    if waiting and dependents:
        # A dependent that waits for its own dependents in the foreground may, in a circle, wait for us.
        return Delete("Foreground", unblock=any(dependent.is_foreground for dependent in dependents))
    return Delete(_policy(item))


def _is_known(item: Item, graph: Graph, ref: Object) -> bool:
    """The graph has that owner, where an owner of `item` must be."""
    owner = graph.items.get(ref["uid"])
    return owner is not None and (not owner.resource.namespaced or owner.namespace == item.namespace)


def _policy(item: Item) -> str:
    if ORPHAN in item.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in item.finalizers else "Background"

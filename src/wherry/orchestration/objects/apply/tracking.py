"""Who owns what after an ordinary write (create, update, patch, status).

In:    the object before and after, its structure, who wrote it, when.
Out:   the object after, with metadata.managedFields as upstream would have them.
Spec:  KEP-555; k8s.io/apimachinery/pkg/util/managedfields. What changed or was added belongs to the writer, what went
       belongs to nobody; a write that changes nothing changes no entry, also no timestamp.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from wherry.kit.clock import rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.fieldsets import Comparison, compare
from wherry.orchestration.objects.apply.managers import UPDATE, Manager, Managers, Owned, capped, changed, decode, encode
from wherry.orchestration.objects.apply.paths import Path
from wherry.orchestration.objects.apply.places import with_metadata
from wherry.orchestration.objects.apply.trees import NOTHING, minus, union
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.structure import Node

# Never tracked, as `apiVersion` and `kind`: names and what the server itself keeps.
_UNTRACKED_METADATA = frozenset(
    ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
     "resourceVersion")
)  # fmt: skip

_skeletons: dict[str, Object] = {}  # by upstream's definition name; of a custom resource there is nothing to keep


def track_update(
    old: Object | None,
    new: Object,
    node: Node,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    now: datetime,
    reset: Sequence[str] | None = None,
) -> Object:
    """`new` with its managedFields. Neither argument is changed.

    `reset` names the top-level fields this endpoint does not write; by default `status` for the main resource and
    `spec` for the status subresource.
    """
    node = with_metadata(node)
    entries = _entries_before(old, new, subresource)
    if old is not None and not entries:
        return with_managers(new, [])  # nobody is tracked, and that stays so until the first apply
    difference = _difference(old, new, node, branches_reset(node, subresource, reset))
    if old is not None and not difference:
        return with_managers(new, entries)
    managers = _readable(entries)
    writer = Manager(manager or "unknown", UPDATE, api_version, subresource)
    after = after_change(managers, writer, difference, now)
    return with_managers(new, entries if after == managers else encode(after))


def owned_by_first(live: Object, node: Node, first: Manager, ignored: tuple[Path, ...], now: datetime) -> Managers:
    """Managers of an object that nobody was tracked for: `first` owns all of it."""
    return after_change({}, first, _difference(None, live, node, ignored), now)


def after_change(managers: Managers, writer: Manager, difference: Comparison, now: datetime) -> Managers:
    """`writer` takes what was added or changed; nobody owns what was removed."""
    taken = difference.taken
    lost = union(taken, difference.removed)
    after = changed(managers, lambda fields: minus(fields, lost))
    if taken:
        kept = after.get(writer.identity)
        after[writer.identity] = Owned(writer, union(kept.fields if kept else NOTHING, taken), rfc3339(now))
    return capped(after)


def branches_reset(node: Node, subresource: str, reset: Sequence[str] | None) -> tuple[Path, ...]:
    """The branches a request to this endpoint never owns."""
    if reset is None:
        reset = ("spec",) if subresource == "status" else () if subresource else ("status",)
    return tuple((f"f:{name}",) for name in reset)


def untracked_removed(obj: Object) -> Object:
    """`obj` without the fields nobody owns; shares everything else."""
    shown = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    metadata = obj.get("metadata") or {}
    shown["metadata"] = {key: value for key, value in metadata.items() if key not in _UNTRACKED_METADATA}
    return shown


def with_managers(obj: Object, entries: list[Any]) -> Object:
    """A copy of `obj` with those entries; without the field when there are none."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def live_managers(obj: Object | None) -> Managers:
    """Those of a stored object."""
    return _readable(_entries(obj))


def _readable(entries: list[Any]) -> Managers:
    """The managers of `entries`; none when they are malformed."""
    try:
        return decode(entries)
    except Invalid:
        return {}


def _entries_before(old: Object | None, new: Object, subresource: str) -> list[Any]:
    """The request's own entries if they can be read (main resource only), else the stored ones; `[{}]` resets."""
    theirs, stored = _entries(new), _entries(old)
    if not subresource and theirs == [{}]:
        return []
    if not subresource and theirs != stored and live_managers(new):
        return theirs
    return stored


def _difference(old: Object | None, new: Object, node: Node, ignored: tuple[Path, ...]) -> Comparison:
    after = untracked_removed(new)
    base = {"metadata": {}, **_skeleton(node)}
    if old is not None:
        base |= untracked_removed(old)
    return compare(base, after, node).without(ignored)


def _entries(obj: Object | None) -> list[Any]:
    return ((obj or {}).get("metadata") or {}).get("managedFields") or []


def _skeleton(node: Node) -> Object:
    """What an empty object of a kind looks like: the structs and zero values that are always written. Shared: never changed."""
    found = _skeletons.get(node.type_name)
    if found is None:
        structs = {name: _skeleton(node.fields[name]) for name, zero in node.zeros.items() if zero.__class__ is dict}
        found = {**node.zeros, **structs}
        if node.type_name:
            _skeletons[node.type_name] = found
    return found

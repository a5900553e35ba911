"""Server-side apply: a configuration that says what one manager wants, merged with what others own.

In:    the live object (None: create), the applied configuration, the kind's structure, who applies, whether by force.
Out:   the object to store, with metadata.managedFields; the live object itself when nothing changes.
Spec:  KEP-555; structured-merge-diff's Updater.Apply. Defaulting and validation come after, in the API server.
Not:   conversion between versions: paths owned at another version are taken as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

from wherry.kit.clock import rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.conflict import ApplyConflict
from wherry.orchestration.objects.apply.fieldsets import compare, fields_of
from wherry.orchestration.objects.apply.last_applied import KUBECTL, allowed_conflicts, with_last_applied
from wherry.orchestration.objects.apply.managers import (
    APPLY,
    BEFORE_FIRST_APPLY,
    UPDATE,
    Manager,
    Managers,
    Owned,
    capped,
    changed,
    encode,
)
from wherry.orchestration.objects.apply.merging import merge, remove
from wherry.orchestration.objects.apply.paths import Fields, Path, Paths, parents, read_fields
from wherry.orchestration.objects.apply.places import child, with_metadata
from wherry.orchestration.objects.apply.tracking import (
    branches_reset,
    live_managers,
    owned_by_first,
    untracked_removed,
    with_managers,
)
from wherry.orchestration.objects.apply.trees import NOTHING, common, minus, union, without
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.patch.json_value import check_depth
from wherry.orchestration.objects.structure import ANY, Node


def apply_patch(
    live: Object | None,
    applied: Object,
    node: Node,
    *,
    manager: str,
    api_version: str,
    force: bool,
    subresource: str,
    now: datetime,
    reset: Sequence[str] | None = None,
) -> Object:
    """`live` with `applied` in it. Raises `ApplyConflict`, or `Invalid` for a configuration that is not clear.

    Returns `live` itself when neither a value nor an owner changes. `reset` as in `track_update`.
    """
    _check(applied, api_version)
    node = with_metadata(node)
    ignored = branches_reset(node, subresource, reset)
    applier = Manager(manager, APPLY, api_version, subresource)
    base: Object = live if live is not None else {}
    managers = _managers_before(live, node, api_version, now, ignored)
    before = managers.get(applier.identity)
    wanted = without(fields_of(untracked_removed(applied), node), ignored)
    claimed = {**managers, applier.identity: Owned(applier, wanted, before.time if before else "")}
    written = {name: value for name, value in applied.items() if (f"f:{name}",) not in ignored}
    merged = merge(with_managers(base, []), written, node)
    pruned = _prune(merged, claimed, before.fields if before else NOTHING, node)
    after = _settle(base, pruned, claimed, applier, node, ignored, force=force)
    if manager == KUBECTL:
        pruned = with_last_applied(pruned, applied)
    return _result(live, pruned, managers, after, applier, now)


def _check(applied: Object, api_version: str) -> None:
    check_depth(applied)
    metadata = applied.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise Invalid("metadata must be an object")
    if metadata.get("managedFields"):
        raise Invalid("metadata.managedFields must be nil")
    found = applied.get("apiVersion", api_version)
    if found != api_version:
        raise Invalid(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {found}, expected: {api_version}"
        )


def _managers_before(
    live: Object | None, node: Node, api_version: str, now: datetime, ignored: tuple[Path, ...]
) -> Managers:
    """Those of the live object. One that was never tracked belongs to `before-first-apply` as a whole."""
    managers = live_managers(live)
    if managers or live is None:
        return managers
    return owned_by_first(live, node, Manager(BEFORE_FIRST_APPLY, UPDATE, api_version), ignored, now)


def _prune(merged: Object, managers: Managers, last: Fields, node: Node) -> Object:
    """Take out what this manager applied last time and now does not, unless somebody else owns it."""
    lost = last
    for owner in managers.values():
        lost = minus(lost, owner.fields)
    if not lost:
        return merged  # the usual case: all that was applied last time still has an owner
    before = _with_named_parents(read_fields(last), node)
    gone = remove(merged, before, node)
    there, left = _paths_of(merged, node), _paths_of(gone, node)
    owned = read_fields(reduce(union, (owner.fields for owner in managers.values()), NOTHING))
    kept = remove(merged, there - (left | _with_named_parents(owned, node)), node)
    # What nobody owns and was not applied last time stays: it is not this manager's to remove.
    result: Object = remove(merged, (there - _paths_of(kept, node)) & before, node)
    return result


def _paths_of(value: Object, node: Node) -> Paths:
    return _with_named_parents(read_fields(fields_of(value, node, strict=False)), node)


def _settle(
    base: Object, pruned: Object, claimed: Managers, applier: Manager, node: Node, ignored: tuple[Path, ...], *, force: bool
) -> Managers:
    """The managers after the change. Raises `ApplyConflict` when it touches others' fields and is not forced."""
    difference = compare(untracked_removed(base), untracked_removed(pruned), node).without(ignored)
    others = {identity: owned for identity, owned in claimed.items() if identity != applier.identity}
    taken = difference.taken
    conflicts = {owned.manager: both for owned in others.values() if taken and (both := common(owned.fields, taken))}
    if conflicts and not force:
        allowed = allowed_conflicts(base, node) if applier.name == KUBECTL else NOTHING
        refused = {owner: rest for owner, fields in conflicts.items() if (rest := minus(fields, allowed))}
        if refused:
            raise ApplyConflict(refused)
    lost = union(taken, difference.removed)
    after = changed(others, lambda fields: minus(fields, lost))
    mine = claimed[applier.identity]
    return capped({**after, applier.identity: mine} if mine.fields else after)


def _result(
    live: Object | None, pruned: Object, managers: Managers, after: Managers, applier: Manager, now: datetime
) -> Object:
    moved = live is None or untracked_removed(pruned) != untracked_removed(live)
    mine = after.get(applier.identity)
    if live is not None and not moved and after == live_managers(live):
        return live
    if mine is not None and (moved or mine != managers.get(applier.identity)):
        after = {**after, applier.identity: replace(mine, time=rfc3339(now))}
    return with_managers(pruned, encode(after))


def _with_named_parents(paths: Paths, node: Node) -> Paths:
    """`paths` and those of their parents that are declared fields: a struct stays as long as something in it does."""
    return paths | {parent for parent in set(parents(paths)) if _is_declared_field(parent, node)}


def _is_declared_field(path: Path, node: Node) -> bool:
    for element in path[:-1]:
        node = child(node, element[2:]) if element.startswith("f:") else (node.item or ANY)
    return path[-1].startswith("f:") and path[-1][2:] in node.fields

"""Join what a dialect wants to say with the status an object has: own entries replaced, everybody else's kept.

In:    the object as last seen, the desired status (conditions without times), the time.
Out:   a merge patch, or None when the object says it already.
Spec:  Gateway API v1 ("do not touch entries of other controllers"); metav1.Condition.lastTransitionTime.

The patch carries the object's resourceVersion: if somebody else wrote meanwhile it conflicts, and the next event tries again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.application.gateway.model.kinds import CONTROLLER
from wherry.orchestration.objects.meta import Object, condition_of, revision_of, with_condition


def patch_for(obj: Object, desired: Mapping[str, Any], now: datetime) -> Object | None:
    """The merge patch that brings `obj`'s status to `desired`, None when nothing changes."""
    held = obj.get("status") or {}
    joined = {key: _joined(key, held.get(key), wanted, now) for key, wanted in desired.items()}
    changed = {key: value for key, value in joined.items() if value != held.get(key)}
    if not changed:
        return None
    return {"metadata": {"resourceVersion": revision_of(obj)}, "status": changed}


def _joined(key: str, held: Any, wanted: Any, now: datetime) -> Any:
    return _JOINS[key](held, wanted, now) if key in _JOINS else wanted


def _conditions(held: Sequence[Object] | None, wanted: Sequence[Object], now: datetime) -> Any:
    for new in wanted:
        old = condition_of(held, new["type"])
        if old is None or any(old.get(name) != value for name, value in new.items()):
            held = with_condition(held, new, now)
    return held


def _listeners(held: Sequence[Object] | None, wanted: Sequence[Object], now: datetime) -> Any:
    """Listeners by name; those that no longer exist go."""
    before = {entry.get("name"): entry for entry in held or ()}
    return [_with_conditions(before.get(entry["name"]), entry, now) for entry in wanted]


def _parents(held: Sequence[Object] | None, wanted: Sequence[Object], now: datetime) -> Any:
    """Entries of other controllers stay as they are, ours become `wanted`."""
    return _by_reference("parentRef", held, wanted, now)


def _ancestors(held: Sequence[Object] | None, wanted: Sequence[Object], now: datetime) -> Any:
    return _by_reference("ancestorRef", held, wanted, now)


def _by_reference(name: str, held: Sequence[Object] | None, wanted: Sequence[Object], now: datetime) -> Any:
    others = [entry for entry in held or () if entry.get("controllerName") != CONTROLLER]
    own = [entry for entry in held or () if entry.get("controllerName") == CONTROLLER]
    joined = []
    for entry in wanted:
        before = next((old for old in own if old.get(name) == entry[name]), None)
        joined.append(_with_conditions(before, entry, now))
    if joined == own:
        return held if held is not None or not joined else joined
    return [*others, *joined]


def _with_conditions(before: Object | None, entry: Object, now: datetime) -> Object:
    held = (before or {}).get("conditions")
    known = {new["type"] for new in entry["conditions"]}
    kept = [old for old in held or () if old.get("type") in known]
    return {**entry, "conditions": _conditions(kept, entry["conditions"], now)}


_JOINS: dict[str, Callable[[Any, Any, datetime], Any]] = {
    "conditions": _conditions,
    "listeners": _listeners,
    "parents": _parents,
    "ancestors": _ancestors,
}

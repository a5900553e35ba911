"""The strategic merge patch from one pod status to another: only what differs, and only our own conditions. Pure.

Spec: core/v1 PodStatus patch keys: conditions by type, podIPs and hostIPs by ip; other lists are replaced whole.
"""

from collections.abc import Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object, condition_of, uid_of

CONTENT_TYPE = "application/strategic-merge-patch+json"
_BY_KEY = {"podIPs": "ip", "conditions": "type"}


def status_patch(pod: Object, old: Object, new: Object) -> Object | None:
    """The whole patch with the uid as precondition, or None when nothing differs."""
    changes: dict[str, Any] = {}
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key in _BY_KEY:
            changes[key] = _list_changes(before or [], after or [], _BY_KEY[key])
        else:
            changes[key] = after
    changes = {key: value for key, value in changes.items() if value != []}
    return {"metadata": {"uid": uid_of(pod)}, "status": changes} if changes else None


def _list_changes(before: list[Object], after: list[Object], key: str) -> list[Object]:
    if key == "type":  # conditions of others must survive; `after` lacks only what is ours to remove
        removed = [{"$patch": "delete", "type": c["type"]} for c in before if condition_of(after, c["type"]) is None]
        return removed + [
            _with_nulls(condition_of(before, condition["type"]) or {}, condition)
            for condition in after
            if condition_of(before, condition["type"]) != condition
        ]
    kept = {entry[key] for entry in after}
    removed = [{"$patch": "delete", key: entry[key]} for entry in before if entry[key] not in kept]
    known = {entry[key] for entry in before}
    return removed + [entry for entry in after if entry[key] not in known]


def _with_nulls(before: Mapping[str, Any], after: Object) -> Object:
    """A merged entry keeps what the patch does not name, so what is gone must be named."""
    return {**{key: None for key in before if key not in after}, **after}

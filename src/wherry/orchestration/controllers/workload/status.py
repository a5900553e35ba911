"""Write the status a controller computed, once, and only when it says something new.

In:    the object the status was computed from (its resourceVersion makes the write conditional) and the status.
Out:   the object as stored; `Conflict` when it changed meanwhile (the queue retries).
"""

from collections.abc import Mapping
from typing import Any

from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.objects.meta import Object, annotations_of, key_of
from wherry.orchestration.objects.resources import Resource


def without_zeros(status: Mapping[str, Any], *, keep: tuple[str, ...] = ()) -> Object:
    """Leave out zero, empty and None values, as upstream's omitempty does; `keep` names required fields."""
    return {name: value for name, value in status.items() if name in keep or value not in (None, 0, "", [], {})}


async def write_status(
    client: Client, seen: Seen, resource: Resource, obj: Object, status: Object, *, annotations: Mapping[str, str] | None = None
) -> Object:
    """Put `status` on `obj` unless it has it already; status updates of built-in kinds take annotations too.

    The key of `obj` is not worked on again before the cache shows it.
    """
    wanted = {**annotations_of(obj), **(annotations or {})}
    if (obj.get("status") or {}) == status and wanted == annotations_of(obj):
        return obj
    changed = {**obj, "status": status}
    if annotations:
        changed["metadata"] = {**obj["metadata"], "annotations": wanted}
    written = await client.update_status(resource, changed)
    seen.wrote(key_of(obj), resource, written)
    return written


def merged_status(old: Mapping[str, Any] | None, new: Mapping[str, Any], owned: tuple[str, ...]) -> Object:
    """`old` with the fields in `owned` replaced by those of `new`; fields of others survive."""
    kept = {name: value for name, value in (old or {}).items() if name not in owned}
    return {**kept, **new}

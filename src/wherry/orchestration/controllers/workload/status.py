"""Write the status a controller computed, once, and only when it says something new.

In:    the object the status was computed from (its resourceVersion makes the write conditional) and the status.
Out:   the object as stored; `Conflict` when it changed meanwhile (the queue retries).
"""

from collections.abc import Mapping
from typing import Any

from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource


def without_zeros(status: Mapping[str, Any], *, keep: tuple[str, ...] = ()) -> Object:
    """Leave out zero, empty and None values, as upstream's omitempty does; `keep` names required fields."""
    return {name: value for name, value in status.items() if name in keep or value not in (None, 0, "", [], {})}


async def write_status(client: Client, resource: Resource, obj: Object, status: Object) -> Object:
    """Put `status` on `obj` unless it has it already."""
    if (obj.get("status") or {}) == status:
        return obj
    return await client.update_status(resource, {**obj, "status": status})


def merged_status(old: Mapping[str, Any] | None, new: Mapping[str, Any], owned: tuple[str, ...]) -> Object:
    """`old` with the fields in `owned` replaced by those of `new`; fields of others survive."""
    kept = {name: value for name, value in (old or {}).items() if name not in owned}
    return {**kept, **new}

"""Write the status a controller computed, once, and only when it says something new.

In:    the object the status was computed from (its resourceVersion makes the write conditional) and the status.
Out:   the object as stored; `Conflict` when it changed meanwhile (the queue retries).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.controllers.workload.expectations import Expectations
from wherry.orchestration.objects.meta import Object, annotations_of, key_of


def without_zeros(status: Mapping[str, Any], *, keep: tuple[str, ...] = ()) -> Object:
    """Leave out zero, empty and None values, as upstream's omitempty does; `keep` names required fields."""
    return {name: value for name, value in status.items() if name in keep or value not in (None, 0, "", [], {})}


@dataclass(slots=True)
class StatusWriter:
    """Writes to the objects of one informer, and knows when that informer has caught up with the writes."""

    client: Client
    objects: Informer
    _written: Expectations = field(init=False)

    def __post_init__(self) -> None:
        self._written = Expectations(self.objects)

    def is_fresh(self, key: str) -> bool:
        """False while the cached object is older than our last write: its event will come, and wake the key."""
        return self._written.met(key)

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._written.forget(key)

    async def write(self, obj: Object, status: Object, *, annotations: Mapping[str, str] | None = None) -> Object:
        """Put `status` on `obj` unless it has it already; status updates of built-in kinds take annotations too."""
        wanted = {**annotations_of(obj), **(annotations or {})}
        if (obj.get("status") or {}) == status and wanted == annotations_of(obj):
            return obj
        changed = {**obj, "status": status}
        if annotations:
            changed["metadata"] = {**obj["metadata"], "annotations": wanted}
        written = await self.client.update_status(self.objects.resource, changed)
        self._written.created(key_of(obj), written)
        return written


def merged_status(old: Mapping[str, Any] | None, new: Mapping[str, Any], owned: tuple[str, ...]) -> Object:
    """`old` with the fields in `owned` replaced by those of `new`; fields of others survive."""
    kept = {name: value for name, value in (old or {}).items() if name not in owned}
    return {**kept, **new}

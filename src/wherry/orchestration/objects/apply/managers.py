"""The managers of an object: metadata.managedFields, decoded and written back.

In:    a list of managedFields entries.
Out:   `Managers`, immutable: who owns which paths, at which version, since when; and the entries again.
Spec:  k8s.io/apimachinery/pkg/util/managedfields: identity of a manager, order of entries, at most ten updaters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.paths import Fields
from wherry.orchestration.objects.apply.trees import NOTHING, checked, union

APPLY = "Apply"
UPDATE = "Update"
UPDATERS_MAX = 10  # upstream's cap; the oldest are put together beyond it
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields. An applier is one manager at all versions, an updater is one for each version."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> "Manager":
        """What tells managers apart."""
        return replace(self, api_version="") if self.operation == APPLY else self

    def __str__(self) -> str:
        """As conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns, and when that last changed (RFC 3339, "" unknown)."""

    manager: Manager
    fields: Fields  # a tree (`trees.py`); never changed
    time: str


Managers = Mapping[Manager, Owned]


def decode(entries: Any) -> Managers:
    """Managers by identity. Raises `Invalid` when an entry is malformed."""
    found: dict[Manager, Owned] = {}
    if not isinstance(entries, list | None):
        raise Invalid("metadata.managedFields must be a list")
    for entry in entries or ():
        if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
            raise Invalid('metadata.managedFields[].operation must be "Apply" or "Update"')
        if entry.get("fieldsType", "FieldsV1") != "FieldsV1":
            raise Invalid('metadata.managedFields[].fieldsType must be "FieldsV1"')
        manager = Manager(
            str(entry.get("manager", "")), entry["operation"], str(entry.get("apiVersion", "")),
            str(entry.get("subresource", "")),
        )  # fmt: skip
        owned = Owned(manager, checked(entry.get("fieldsV1") or {}), str(entry.get("time") or ""))
        found[manager.identity] = owned
    return found


def encode(managers: Managers) -> list[dict[str, Any]]:
    """Entries in upstream's order; managers that own nothing have none."""
    kept = sorted((owned for owned in managers.values() if owned.fields), key=_entry_order)
    return [_entry(owned) for owned in kept]


def changed(managers: Managers, change: Callable[[Fields], Fields]) -> dict[Manager, Owned]:
    """Managers with `change` done to the fields of each; those left with none are gone."""
    found: dict[Manager, Owned] = {}
    for identity, owned in managers.items():
        fields = change(owned.fields)
        if fields:
            found[identity] = owned if fields is owned.fields else replace(owned, fields=fields)
    return found


def capped(managers: Managers) -> Managers:
    """At most `UPDATERS_MAX` updaters: the oldest of each version are put together as `ANCIENT`."""
    if len(managers) <= UPDATERS_MAX:
        return managers
    updaters = sorted((o for o in managers.values() if o.manager.operation == UPDATE), key=lambda o: (o.time, o.manager.name))
    excess = len(updaters) - UPDATERS_MAX
    if excess <= 0:
        return managers
    kept = dict(managers)
    first: dict[str, Manager] = {}
    for owned in updaters:
        version = owned.manager.api_version
        if excess <= 0:
            break
        if version not in first:
            first[version] = owned.manager
            continue
        bucket = Manager(ANCIENT, UPDATE, version)
        parts = [kept.pop(m) for m in dict.fromkeys((first[version], bucket, owned.manager)) if m in kept]
        kept[bucket] = _together(bucket, parts)
        first[version] = bucket
        excess -= len(parts) - 1
    return kept


def _together(bucket: Manager, parts: Sequence[Owned]) -> Owned:
    return Owned(bucket, reduce(union, (part.fields for part in parts), NOTHING), max(part.time for part in parts))


def _entry(owned: Owned) -> dict[str, Any]:
    manager = owned.manager
    entry: dict[str, Any] = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": owned.fields}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _entry_order(owned: Owned) -> tuple[str, ...]:
    manager = owned.manager
    return (manager.operation, owned.time, manager.name, manager.api_version, manager.subresource)

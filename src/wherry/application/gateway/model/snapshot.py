"""One moment of the cluster as dialects read it, and a memory of what was read so that unchanged work is not redone.

In:    objects by resource and key, straight from informers (shared: never mutated).
Out:   `Snapshot` to read; `Memo.of` runs a pure function again only when something it read has changed; `Snapshot.lacking`,
       what the functions that ran looked for in vain.
Cost:  checking 5,000 remembered results takes about as many dictionary look-ups as they had reads (bench/gateway_routes.py).
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from wherry.application.gateway.model.freshness import Lack
from wherry.orchestration.objects.endpoints import service_of
from wherry.orchestration.objects.meta import Object, key_of, namespace_of
from wherry.orchestration.objects.resources import Resource

Value = TypeVar("Value")


class Reader(Protocol):
    """What a pure compile function may read."""

    def get(self, table: str, key: str) -> Any:
        """The entry, or None."""

    def lacks(self, lack: Lack) -> None:
        """Say that the result would be another one with that."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tables by name; a resource's table is named by `Resource.qualified_name`, its keys are `namespace/name`."""

    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lacking: set[Lack] = field(default_factory=set, compare=False)  # said by remembered functions as they ran, not from memory

    def get(self, table: str, key: str) -> Any:
        """The entry, or None."""
        return self.tables.get(table, {}).get(key)

    def lacks(self, lack: Lack) -> None:
        """Nothing: who reads without a memory would say the same each time."""

    def all(self, resource: Resource) -> Iterable[Object]:
        """Every object of a resource, in no particular order."""
        return self.tables.get(resource.qualified_name, {}).values()

    def of(self, resource: Resource, key: str) -> Object | None:
        """One object."""
        found: Object | None = self.get(resource.qualified_name, key)
        return found

    def with_table(self, name: str, table: Mapping[str, Any]) -> "Snapshot":
        """A copy with one more table, for results that later steps read."""
        return Snapshot({**self.tables, name: table}, self.lacking)


def snapshot_of(objects: Iterable[tuple[Resource, Iterable[Object]]]) -> Snapshot:
    """A snapshot of plain objects."""
    return Snapshot({resource.qualified_name: {key_of(obj): obj for obj in items} for resource, items in objects})


def by_namespace(objects: Iterable[Object]) -> dict[str, tuple[Object, ...]]:
    """Objects grouped by their namespace."""
    return _grouped(objects, namespace_of)


def by_service(slices: Iterable[Object]) -> dict[str, tuple[Object, ...]]:
    """EndpointSlices grouped by `namespace/service`."""
    return _grouped(slices, service_of)


def _grouped(objects: Iterable[Object], key: Callable[[Object], str]) -> dict[str, tuple[Object, ...]]:
    groups: dict[str, list[Object]] = {}
    for obj in objects:
        groups.setdefault(key(obj), []).append(obj)
    return {name: tuple(items) for name, items in groups.items()}


class _Recorder:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.reads: dict[tuple[str, str], Any] = {}

    def get(self, table: str, key: str) -> Any:
        found = self._snapshot.get(table, key)
        self.reads[table, key] = found
        return found

    def lacks(self, lack: Lack) -> None:
        self._snapshot.lacking.add(lack)


@dataclass(slots=True)
class _Remembered(Generic[Value]):
    subject: Any
    reads: tuple[tuple[str, str, Any], ...]
    value: Value

    def holds(self, subject: Any, snapshot: Snapshot) -> bool:
        if self.subject is not subject:
            return False
        for table, key, seen in self.reads:
            found = snapshot.get(table, key)
            if found is not seen and (isinstance(found, dict) or found != seen):
                return False
        return True


class Memo(Generic[Value]):
    """Results by key, each with its subject and everything it read. Objects are compared by identity."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Remembered[Value]] = {}

    def of(
        self, key: Hashable, subject: Any, snapshot: Snapshot, compute: Callable[[Any, Reader], Value]
    ) -> Value:
        """`compute(subject, reader)`, or what it returned last time when nothing it saw has changed."""
        kept = self._kept.get(key)
        if kept is not None and kept.holds(subject, snapshot):
            return kept.value
        recorder = _Recorder(snapshot)
        value = compute(subject, recorder)
        reads = tuple((table, name, seen) for (table, name), seen in recorder.reads.items())
        self._kept[key] = _Remembered(subject, reads, value)
        return value

    def keep_only(self, keys: Iterable[Hashable]) -> None:
        """Forget every other key."""
        wanted = keys if isinstance(keys, Mapping) else set(keys)
        if len(wanted) < len(self._kept):  # every wanted key has just been asked for
            for key in [key for key in self._kept if key not in wanted]:
                del self._kept[key]

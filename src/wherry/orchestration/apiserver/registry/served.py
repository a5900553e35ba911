"""What is served: one `Served` a resource and version, built in or custom, and the table that finds them.

`Served` knows where the objects are stored, how the stored form becomes the served one, which rules apply to writes
and which fields can be selected.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from wherry.kit.http.message import Response, Upgrade
from wherry.orchestration.apiserver.registry.cache import Cached, ResourceCache
from wherry.orchestration.apiserver.registry.codec import encode, with_revision
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.fields import FieldReader
from wherry.orchestration.apiserver.registry.rules import BuiltInRules, Rules
from wherry.orchestration.apiserver.registry.scale_paths import ScalePaths
from wherry.orchestration.apiserver.sheets import sheet_of
from wherry.orchestration.apiserver.sheets.conversions import Conversion
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.apiserver.tables.columns import DEFAULT, Printer
from wherry.orchestration.objects.meta import Object, name_of, namespace_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.structure import ANY, Node

# What serves a virtual row: takes a `call.request.Call`, which this module is below of.
Answer = Callable[[Any], Awaitable[Response | Upgrade]]


@dataclass(slots=True, eq=False)
class Served:
    """One row of the table. `node_of` is called when a structure is needed.

    A row is stored; or virtual, made when somebody asks: `refresh` fills its cache anew before each reading, `answer` serves
    every request for it (reviews, bindings). What other servers serve is no row of this table: `aggregation/` has it.
    """

    resource: Resource
    cache: ResourceCache
    strategy: Strategy
    fields: FieldReader
    node_of: Callable[[], Node]
    rules_of: Callable[[Node], Rules]
    conversion: Conversion | None = None
    printer: Printer = DEFAULT  # of `kubectl get`
    is_custom: bool = False
    is_terminating: bool = False  # its definition is being deleted: nothing new is taken
    scale: ScalePaths | None = None
    refresh: Callable[[], Awaitable[None]] | None = None
    answer: Answer | None = None
    schema: Object | None = None  # the OpenAPI v3 schema of a custom resource
    _rules: Rules | None = None

    @property
    def node(self) -> Node:
        """The structure of the kind."""
        return self.node_of()

    @property
    def rules(self) -> Rules:
        """How its objects are read, defaulted and validated."""
        if self._rules is None:
            self._rules = self.rules_of(self.node)
        return self._rules

    def key(self, namespace: str, name: str) -> str:
        """The cache key of an object."""
        return f"{namespace}/{name}" if self.resource.namespaced else name

    def key_of(self, obj: Object) -> str:
        """The cache key of `obj`."""
        return self.key(namespace_of(obj), name_of(obj))

    def data(self, cached: Cached) -> bytes:
        """The served bytes of an entry."""
        if self.conversion is None:
            return cached.data
        if cached.views is None:
            cached.views = {}
        found = cached.views.get(self)
        if found is None:
            found = cached.views[self] = _dumps(self.conversion.to_served(cached.obj()))
        return found

    def obj(self, cached: Cached) -> Object:
        """The served object of an entry, a fresh copy."""
        obj = cached.obj()
        return obj if self.conversion is None else self.conversion.to_served(obj)

    def stored(self, obj: Object) -> Object:
        """The form to store."""
        return obj if self.conversion is None else self.conversion.to_stored(obj)


def _dumps(obj: Object) -> bytes:
    revision = obj["metadata"].get("resourceVersion", "0")
    return with_revision(encode(obj), int(revision))


class ServedTable:
    """All rows. `revision` grows with every change, for documents (discovery, OpenAPI) made from it."""

    def __init__(self) -> None:
        self.revision = 0
        self.listeners: list[Callable[[str], None]] = []  # called with `<version>.<group>` of what comes or goes
        self._rows: dict[tuple[str, str, str], Served] = {}
        self._by_kind: dict[tuple[str, str], Served] = {}

    def add(self, served: Served) -> None:
        """Serve a resource, or replace the row of the same group, version and plural."""
        r = served.resource
        self._rows[r.group, r.version, r.plural] = served
        self._by_kind[r.api_version, r.kind] = served
        self._changed(r)

    def remove(self, resource: Resource) -> None:
        """No longer serve it."""
        self._rows.pop((resource.group, resource.version, resource.plural), None)
        self._by_kind.pop((resource.api_version, resource.kind), None)
        self._changed(resource)

    def _changed(self, resource: Resource) -> None:
        self.revision += 1
        for listener in self.listeners:
            listener(f"{resource.version}.{resource.group}")

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """By path."""
        return self._rows.get((group, version, plural))

    def of(self, resource: Resource) -> Served:
        """The row of a built-in resource."""
        return self._rows[resource.group, resource.version, resource.plural]

    def by_kind(self, api_version: str, kind: str) -> Served | None:
        """By apiVersion and kind."""
        return self._by_kind.get((api_version, kind))

    def any_version(self, group: str, plural: str) -> Served | None:
        """Some row of that group and plural."""
        return next((s for (g, _, p), s in self._rows.items() if (g, p) == (group, plural)), None)

    def has_group_version(self, group: str, version: str) -> bool:
        """Whether anything is served there."""
        return any((g, v) == (group, version) for g, v, _ in self._rows)

    def rows(self) -> list[Served]:
        """All, in the order they were added."""
        return list(self._rows.values())


def built_in(resource: Resource, registry: Registry) -> Served:
    """The row of a built-in resource."""
    sheet = sheet_of(resource)
    place = (sheet.stored.group, sheet.stored.plural) if sheet.stored else (resource.group, resource.plural)
    return Served(
        resource=resource,
        cache=registry.cache(*place),
        strategy=sheet.strategy(resource),
        fields=FieldReader(sheet.fields),
        node_of=lambda: structure_of(resource.api_version, resource.kind) or ANY,
        rules_of=lambda node: BuiltInRules(resource, node, place[0]),
        conversion=sheet.stored.conversion if sheet.stored else None,
        printer=sheet.columns,
    )

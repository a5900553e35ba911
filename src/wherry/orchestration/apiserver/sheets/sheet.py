"""What a kind is beside its schema: one `Sheet` a served resource, one file a group.

In:    a row of `objects/kinds.py`.
Out:   its write rules, the columns of `kubectl get`, the fields selectors may name, where and as what it is stored, a description.
Spec:  upstream pkg/registry/*/strategy.go (rules and `ToSelectableFields`), pkg/printers/internalversion (columns).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wherry.orchestration.apiserver.sheets.conversions import Stored
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.apiserver.tables.columns import DEFAULT, Printer
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")  # of an Event's subject

Strategies = Callable[[Resource], Strategy]


def plain(
    *, tracks_generation: bool = False, initial_status: Object | None = None, creates_on_update: bool = False,
    needs_revision: bool = False, generation_follows_annotations: bool = False,
) -> Strategies:
    """The rules most kinds share. A kind with a status subresource starts with an empty status where nothing else is said."""

    def make(resource: Resource) -> Strategy:
        has_status = "status" in resource.subresources
        return Strategy(
            has_status=has_status, tracks_generation=tracks_generation,
            initial_status=initial_status if initial_status is not None else {} if has_status else None,
            creates_on_update=creates_on_update, takes_unconditional_update=not needs_revision,
            generation_follows_annotations=generation_follows_annotations)

    return make


def special(kind: type[Strategy]) -> Strategies:
    """Rules of one kind alone."""
    return lambda _: kind()


def same(*paths: str) -> Mapping[str, str]:
    """Fields that selectors name by their path."""
    return {path: path for path in paths}


def subject(name: str) -> dict[str, str]:
    """Fields of what an Event is about, which each of its two groups calls by another name."""
    return {f"{name}.{part}": f"involvedObject.{part}" for part in REFERENCE}


@dataclass(frozen=True, slots=True)
class Sheet:
    """`fields`: what a selector names -> the path in the stored object; metadata.name and metadata.namespace always work.
    `stored`: of a view of another resource's objects."""

    resource: Resource
    description: str
    strategy: Strategies = plain()
    columns: Printer = DEFAULT
    fields: Mapping[str, str] = field(default_factory=dict)
    stored: Stored | None = None

"""Which paths a value has, and which differ between two values.

In:    values and their structure.
Out:   the paths an applier owns (`paths_of`); what was added, changed or removed (`compare`).
Spec:  structured-merge-diff's ToFieldSet and Compare.
"""

from dataclasses import dataclass
from typing import Any

from wherry.orchestration.objects.apply.paths import Path, Paths, without
from wherry.orchestration.objects.apply.places import (
    check_items,
    child,
    equal,
    is_atomic_map,
    is_declared,
    is_keyed_list,
    items_of,
    members_of,
)
from wherry.orchestration.objects.structure import ANY, Node

_ABSENT = object()
_ROOTS = frozenset({(), ("f:metadata",)})  # always there, so nobody's


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paths by what happened to them."""

    added: Paths
    changed: Paths
    removed: Paths

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def taken(self) -> Paths:
        """What whoever made the change now owns."""
        return self.added | self.changed

    def without(self, prefixes: tuple[Path, ...]) -> "Comparison":
        """Leave out whole branches: those the request may not write."""
        return Comparison(without(self.added, prefixes), without(self.changed, prefixes), without(self.removed, prefixes))


def paths_of(value: dict[str, Any], node: Node, *, strict: bool = True) -> Paths:
    """The paths `value` sets. `strict` refuses duplicates and keyless items in keyed lists."""
    found: set[Path] = set()
    _collect(value, node, (), found, strict)
    return frozenset(found) - _ROOTS


def compare(old: dict[str, Any], new: dict[str, Any], node: Node) -> Comparison:
    """How `new` differs from `old`. Equal branches cost one comparison in C."""
    walk = _Walk()
    if old != new:
        walk.visit(old, new, node, ())
    return Comparison(*(frozenset(found) - _ROOTS for found in (walk.added, walk.changed, walk.removed)))


def _collect(value: Any, node: Node, path: Path, found: set[Path], strict: bool) -> None:
    if isinstance(value, dict) and not is_atomic_map(node):
        for name, inner in value.items():
            below = (*path, f"f:{name}")
            _collect(inner, child(node, name), below, found, strict)
            if inner is None or inner == {} or inner == [] or not is_declared(node, name):
                found.add(below)
    elif isinstance(value, list) and is_keyed_list(node):
        if strict:
            check_items(node, value, path)
        for element, item in items_of(node, value).items():
            _collect(item, node.item or ANY, (*path, element), found, strict)
            found.add((*path, element))
    else:
        found.add(path)


class _Walk:
    """One comparison under way."""

    def __init__(self) -> None:
        self.added: set[Path] = set()
        self.changed: set[Path] = set()
        self.removed: set[Path] = set()

    def visit(self, old: Any, new: Any, node: Node, path: Path) -> None:
        """`_ABSENT` on one side: the whole branch was added or removed, containers included."""
        if old is _ABSENT:
            _whole(new, node, path, self.added)
            return
        if new is _ABSENT:
            _whole(old, node, path, self.removed)
            return
        if old == new and type(old) is type(new):
            return
        if _is_map(old, new) and not is_atomic_map(node) and not _both_empty(old, new):
            self._visit_members(old, new, node, path)
        elif _is_list(old, new) and is_keyed_list(node) and not _both_empty(old, new):
            self._visit_items(old, new, node, path)
        elif _kinds_differ(old, new):
            self.visit(old, _ABSENT, node, path)
            self.visit(_ABSENT, new, node, path)
            self.changed.add(path)
        elif not equal(node, old, new):
            self.changed.add(path)

    def _visit_members(self, old: Any, new: Any, node: Node, path: Path) -> None:
        before = {element: (value, below) for element, value, below in members_of(node, _map(old))}
        for element, value, below in members_of(node, _map(new)):
            known = before.pop(element, None)
            self.visit(known[0] if known else _ABSENT, value, below, (*path, element))
        for element, (value, below) in before.items():
            self.visit(value, _ABSENT, below, (*path, element))

    def _visit_items(self, old: Any, new: Any, node: Node, path: Path) -> None:
        item = node.item or ANY
        before = items_of(node, _list(old))
        for element, value in items_of(node, _list(new)).items():
            self.visit(before.pop(element, _ABSENT), value, item, (*path, element))
        for element, value in before.items():
            self.visit(value, _ABSENT, item, (*path, element))


def _whole(value: Any, node: Node, path: Path, found: set[Path]) -> None:
    """Every path of a branch that is on one side only, containers included."""
    found.add(path)
    if isinstance(value, dict):
        if node.map_type != "atomic":
            for name, inner in value.items():
                _whole(inner, child(node, name), (*path, f"f:{name}"), found)
    elif isinstance(value, list) and value and is_keyed_list(node):
        item = node.item or ANY
        for element, inner in items_of(node, value).items():
            _whole(inner, item, (*path, element), found)


def _is_map(old: Any, new: Any) -> bool:
    """Both sides fit a map; null and absence fit anything."""
    return isinstance(old if _empty(new) else new, dict) and (_empty(old) or _empty(new) or isinstance(old, dict))


def _is_list(old: Any, new: Any) -> bool:
    return isinstance(old if _empty(new) else new, list) and (_empty(old) or _empty(new) or isinstance(old, list))


def _empty(value: Any) -> bool:
    return value is None


def _both_empty(old: Any, new: Any) -> bool:
    return not (_map(old) or _list(old)) and not (_map(new) or _list(new))


def _kinds_differ(old: Any, new: Any) -> bool:
    containers = (dict, list)
    return (
        not _empty(old)
        and not _empty(new)
        and (isinstance(old, containers) or isinstance(new, containers))
        and type(old) is not type(new)
    )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""Which paths a value has, and which differ between two values.

In:    values and their structure.
Out:   the paths an applier owns (`fields_of`); what was added, changed or removed (`compare`); as trees (`trees.py`).
Spec:  structured-merge-diff's ToFieldSet and Compare.
"""

from dataclasses import dataclass
from typing import Any

from wherry.orchestration.objects.apply.paths import Fields, Path
from wherry.orchestration.objects.apply.places import (
    check_items,
    child,
    equal,
    is_atomic_map,
    is_keyed_list,
    items_of,
)
from wherry.orchestration.objects.apply.trees import NOTHING, SELF, as_member, union, without
from wherry.orchestration.objects.structure import ANY, Node

_ABSENT = object()
_Difference = tuple[Fields | None, Fields | None, Fields | None]  # added, changed, removed; a member has at least `{}`
_SAME: _Difference = (None, None, None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trees by what happened to their members."""

    added: Fields
    changed: Fields
    removed: Fields

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def taken(self) -> Fields:
        """What whoever made the change now owns."""
        return union(self.added, self.changed)

    def without(self, prefixes: tuple[Path, ...]) -> "Comparison":
        """Leave out whole branches: those the request may not write."""
        return Comparison(without(self.added, prefixes), without(self.changed, prefixes), without(self.removed, prefixes))


def fields_of(value: dict[str, Any], node: Node, *, strict: bool = True) -> Fields:
    """The paths `value` sets. `strict` refuses duplicates and keyless items in keyed lists."""
    return _rootless(_set_by(value, node, (), strict))


def compare(old: dict[str, Any], new: dict[str, Any], node: Node) -> Comparison:
    """How `new` differs from `old`. Equal branches cost one comparison in C."""
    added, changed, removed = _visit(old, new, node)
    return Comparison(_rootless(added or {}), _rootless(changed or {}), _rootless(removed or {}))


def _rootless(tree: Fields) -> Fields:
    """Without the roots, which are always there and so nobody's."""
    metadata = tree.get("f:metadata")
    if metadata is None or (metadata and SELF not in metadata):
        return tree
    below = {element: inner for element, inner in metadata.items() if element != SELF}
    rest = {element: inner for element, inner in tree.items() if element != "f:metadata"}
    return dict(sorted({**rest, "f:metadata": below}.items())) if below else rest


def _set_by(value: Any, node: Node, path: Path, strict: bool) -> Fields:
    """The tree below the place of `value`; empty for one whole value, whose place is the member."""
    found: Fields = {}
    if value.__class__ is dict and not is_atomic_map(node):
        declared, other = node.fields, node.item or ANY
        for name in sorted(value):
            inner, element = value[name], f"f:{name}"
            below = NOTHING
            if inner.__class__ is dict or inner.__class__ is list:
                below = _set_by(inner, declared.get(name) or other, (*path, element), strict)
            found[element] = below if name in declared else as_member(below)
    elif value.__class__ is list and is_keyed_list(node):
        if strict:
            check_items(node, value, path)
        item = node.item or ANY
        for element, inner in sorted(items_of(node, value).items(), key=_element):
            found[element] = as_member(_set_by(inner, item, (*path, element), strict))
    return found


def _element(pair: tuple[str, Any]) -> str:
    return pair[0]


def _visit(old: Any, new: Any, node: Node) -> _Difference:
    """What differs at one place that both sides have."""
    if old == new and type(old) is type(new):
        return _SAME
    if _is_map(old, new) and not is_atomic_map(node) and not _both_empty(old, new):
        return _visit_members(_map(old), _map(new), node)
    if _is_list(old, new) and is_keyed_list(node) and not _both_empty(old, new):
        return _visit_items(items_of(node, _list(old)), items_of(node, _list(new)), node.item or ANY)
    if _kinds_differ(old, new):
        return _whole(new, node), {}, _whole(old, node)
    return _SAME if equal(node, old, new) else (None, {}, None)


def _visit_members(old: dict[str, Any], new: dict[str, Any], node: Node) -> _Difference:
    found = _Found()
    declared, other, added = node.fields, node.item or ANY, found.added
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if before is _ABSENT:
            is_container = value.__class__ is dict or value.__class__ is list
            added[f"f:{name}"] = _whole(value, declared.get(name) or other) if is_container else {}
        elif before != value or type(before) is not type(value):
            found.note(f"f:{name}", _visit(before, value, child(node, name)))
    for name, value in old.items():
        if name not in new:
            found.removed[f"f:{name}"] = _whole(value, child(node, name))
    return found.difference()


def _visit_items(old: dict[str, Any], new: dict[str, Any], item: Node) -> _Difference:
    found = _Found()
    for element, value in new.items():
        before = old.get(element, _ABSENT)
        if before is _ABSENT:
            found.added[element] = _whole(value, item)
        else:
            found.note(element, _visit(before, value, item))
    for element, value in old.items():
        if element not in new:
            found.removed[element] = _whole(value, item)
    return found.difference()


class _Found:
    """The differences below one container, which itself is on both sides."""

    def __init__(self) -> None:
        self.added: Fields = {}
        self.changed: Fields = {}
        self.removed: Fields = {}

    def note(self, element: str, difference: _Difference) -> None:
        added, changed, removed = difference
        if added is not None:
            self.added[element] = added
        if changed is not None:
            self.changed[element] = changed
        if removed is not None:
            self.removed[element] = removed

    def difference(self) -> _Difference:
        return _ordered(self.added), _ordered(self.changed), _ordered(self.removed)


def _ordered(tree: Fields) -> Fields | None:
    return dict(sorted(tree.items(), key=_element)) if len(tree) > 1 else tree or None


def _whole(value: Any, node: Node) -> Fields:
    """Every path of a branch that is on one side only, containers included."""
    if value.__class__ is dict:
        if not value or node.map_type == "atomic":
            return {}
        fields, other = node.fields, node.item or ANY
        found: Fields = {SELF: {}}
        for name in sorted(value):
            inner = value[name]
            is_container = inner.__class__ is dict or inner.__class__ is list
            found[f"f:{name}"] = _whole(inner, fields.get(name) or other) if is_container else {}
        return found
    if value and value.__class__ is list and is_keyed_list(node):
        item = node.item or ANY
        items = sorted(items_of(node, value).items(), key=_element)
        return {SELF: {}, **{element: _whole(inner, item) for element, inner in items}}
    return {}


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

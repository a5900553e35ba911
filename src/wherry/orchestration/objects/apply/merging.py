"""Putting an applied configuration into a live object, and taking paths out again.

In:    values and their structure.
Out:   new values; the arguments are not changed and may share branches with the result.
Spec:  structured-merge-diff's Merge (with its order of list items) and RemoveItems.
"""

from typing import Any

from wherry.orchestration.objects.apply.paths import Path, Paths
from wherry.orchestration.objects.apply.places import (
    child,
    element_of,
    is_atomic_map,
    is_keyed_list,
)
from wherry.orchestration.objects.structure import ANY, Node

Removal = dict[str, "Removal | None"]


def merge(live: Any, applied: Any, node: Node) -> Any:
    """`live` with everything `applied` sets. Null sets to absent."""
    if isinstance(applied, dict) and not is_atomic_map(node):
        merged = dict(live) if isinstance(live, dict) else {}
        for name, value in applied.items():
            if value is None:
                merged.pop(name, None)
            elif value.__class__ is dict or value.__class__ is list:
                merged[name] = merge(merged.get(name), value, child(node, name))
            else:
                merged[name] = value
        return merged
    if isinstance(applied, list) and is_keyed_list(node):
        return _merge_items(live if isinstance(live, list) else [], applied, node)
    return applied


def remove(value: Any, paths: Paths, node: Node) -> Any:
    """`value` without `paths`. Nothing inside atomic parts is touched."""
    return _remove(value, _tree(paths), node) if paths else value


def _merge_items(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    """Items of both, each once: the applied ones in their order, the live ones where they stood between them."""
    item = node.item or ANY
    left, right = [element_of(node, i) for i in live], [element_of(node, i) for i in applied]
    live_items, applied_items = _first_by_element(left, live), _first_by_element(right, applied)
    shared = [element for element in right if element in live_items]
    next_shared = iter([*shared[1:], None])
    awaited: str | None = shared[0] if shared else None
    done: set[str] = set()
    out: list[Any] = []
    i = j = 0
    while i < len(left) or j < len(right):
        element = left[i] if i < len(left) else ""
        if i < len(left) and element not in applied_items:
            out.append(live[i])
            i += 1
        elif i < len(left) and (element in done or (j < len(right) and awaited not in (None, element))):
            i += 1  # merged already, or to be merged at its place in the applied order
        elif j < len(right):
            element = right[j]
            out.append(merge(live_items.get(element), applied_items[element], item))
            done.add(element)
            if element == awaited:
                awaited = next(next_shared)
            j += 1
        else:
            i += 1
    return out


def _first_by_element(elements: list[str], items: list[Any]) -> dict[str, Any]:
    return dict(zip(reversed(elements), reversed(items), strict=True))


def _tree(paths: Paths) -> Removal:
    """A trie: None marks a path to be removed with all below it."""
    root: Removal = {}
    for path in sorted(paths, key=len):
        _plant(root, path)
    return root


def _plant(root: Removal, path: Path) -> None:
    here = root
    for element in path[:-1]:
        below = here.setdefault(element, {})
        if below is None:
            return  # a parent goes as a whole
        here = below
    here[path[-1]] = None


def _remove(value: Any, tree: Removal, node: Node) -> Any:
    if isinstance(value, dict) and not is_atomic_map(node):
        kept = {}
        for name, inner in value.items():
            below = tree.get(f"f:{name}", {})
            if below is not None:
                kept[name] = _remove(inner, below, child(node, name)) if below else inner
        return kept
    if isinstance(value, list) and is_keyed_list(node):
        items = []
        for item in value:
            below = tree.get(element_of(node, item), {})
            if below is not None:
                items.append(_remove(item, below, node.item or ANY) if below else item)
        return items
    return value

"""Sets of field paths in the form FieldsV1 has them: a tree, shared where nothing changes.

In:    trees such as `{"f:spec": {".": {}, "f:replicas": {}}}`; the root is never a member itself.
Out:   trees in upstream's form and order: a member with nothing below it is `{}`, one with something below it has `.`,
       a node that is no member has neither, and the elements of a node are sorted.
Spec:  sigs.k8s.io/structured-merge-diff, fieldpath.Set.
Cost:  an operation visits what both trees have; nothing is copied that stays as it was.
Never: changes an argument. Results share branches with them.
"""

from collections.abc import Sequence
from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.paths import DEPTH_MAX, Fields, Path

SELF = "."
NOTHING: Fields = {}
_KINDS = frozenset(("f:", "k:", "v:", "i:"))


def checked(fields: Any, depth: int = 0) -> Fields:
    """The tree a managedFields entry holds, put in order. Raise `Invalid` when it is none."""
    if fields.__class__ is not dict or depth > DEPTH_MAX:
        raise Invalid("fieldsV1 is not a tree of fields")
    if not fields:
        return {}
    found: Fields = {SELF: {}} if SELF in fields and depth else {}
    for element in sorted(fields):
        if element[:2] in _KINDS:
            below = checked(fields[element], depth + 1)
            found[element] = below
        elif element != SELF:
            raise Invalid(f"fieldsV1 has the element {element[:40]!r}; it must start with f:, k:, v: or i:")
    return {} if len(found) == 1 and SELF in found else found


def union(left: Fields, right: Fields) -> Fields:
    """What is in either. Both are sets: neither is `{}` below the root for want of members."""
    if not left or not right:
        return left or right
    return _joined(left, right)


def minus(tree: Fields, taken: Fields) -> Fields:
    """`tree` without the members of `taken`; `tree` itself when they have none in common."""
    return _less(tree, taken) if tree and taken else tree


def common(left: Fields, right: Fields) -> Fields:
    """What is in both."""
    found: Fields = {}
    for element, below in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            continue
        inside = common(below, other)
        if _is_member(below) and _is_member(other):
            found[element] = {SELF: {}, **inside} if inside else {}
        elif inside:
            found[element] = inside
    return found


def without(tree: Fields, prefixes: Sequence[Path]) -> Fields:
    """`tree` without the branches of some fields of the root, each a path of one element."""
    gone = {path[0] for path in prefixes}
    if gone.isdisjoint(tree):
        return tree
    return {element: below for element, below in tree.items() if element not in gone}


def single(path: Path) -> Fields:
    """The set of one path."""
    tree: Fields = {}
    for element in reversed(path):
        tree = {element: tree}
    return tree


def as_member(below: Fields) -> Fields:
    """The node of a member that has `below` in it."""
    return {SELF: {}, **below} if below else {}


def _is_member(node: Fields) -> bool:
    return not node or SELF in node


def _joined(left: Fields, right: Fields) -> Fields:
    merged = dict(left)
    for element, below in right.items():
        known = left.get(element)
        if known is None or element == SELF:
            merged[element] = below
        elif known is not below:
            merged[element] = _both_nodes(known, below)
    return merged if len(merged) == len(left) else dict(sorted(merged.items()))


def _both_nodes(left: Fields, right: Fields) -> Fields:
    if left and right:
        return _joined(left, right)
    other = left or right  # the empty one is a member with nothing below it
    return other if not other or SELF in other else {SELF: {}, **other}


def _less(tree: Fields, taken: Fields) -> Fields:
    kept = tree
    for element, gone in taken.items():
        below = tree.get(element)
        if below is None or element == SELF:
            continue
        left = _node_less(below, gone)
        if left is below:
            continue
        if kept is tree:
            kept = dict(tree)
        if left is None:
            del kept[element]
        else:
            kept[element] = left
    return kept


def _node_less(node: Fields, gone: Fields) -> Fields | None:
    """What is left of a node; None when it is neither a member nor has one below it."""
    is_taken = _is_member(gone)
    if not node:
        return None if is_taken else node
    left = _less(node, gone) if gone else node
    if is_taken and SELF in left:
        left = {element: below for element, below in left.items() if element != SELF}
    if left is node:
        return node
    if not left:
        return None  # was no member
    return {} if len(left) == 1 and SELF in left else left

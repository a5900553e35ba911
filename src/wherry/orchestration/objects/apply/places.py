"""What structure says about one place of an object: which rule it follows when it is compared, merged or owned.

In:    a `Node` and a value.
Out:   the child nodes, whether the value is one whole (a leaf), and the path elements of list items.
Spec:  structured-merge-diff's typed values: x-kubernetes-list-type, list-map-keys, map-type; what has no structure is
       deduced: maps are granular, lists atomic.
"""

from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.apply.paths import Path, key_element, one_key_element, text_of, value_element
from wherry.orchestration.objects.patch.json_value import same
from wherry.orchestration.objects.structure import ANY, Node, Shape

# The one default upstream's schema has for list-map keys: ports without a protocol are TCP.
KEY_DEFAULTS = {"protocol": "TCP"}
_TEXT = Node(Shape.STRING)
_OWNER = Node(Shape.OBJECT, dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT))
METADATA = Node(
    Shape.OBJECT,
    {
        "annotations": Node(Shape.MAP, item=_TEXT),
        "labels": Node(Shape.MAP, item=_TEXT),
        "finalizers": Node(Shape.LIST, item=_TEXT, list_type="set"),
        "ownerReferences": Node(Shape.LIST, item=_OWNER, list_type="map", list_map_keys=("uid",)),
        **dict.fromkeys(("name", "namespace", "generateName", "uid", "resourceVersion", "creationTimestamp"), _TEXT),
        **dict.fromkeys(("generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"), _TEXT),
        "managedFields": Node(Shape.LIST),
    },
)


def with_metadata(node: Node) -> Node:
    """`node`, with the structure of ObjectMeta where a custom resource's schema says nothing of it."""
    known = node.fields.get("metadata")
    if known is not None and "labels" in known.fields:
        return node
    return Node(Shape.OBJECT, {**node.fields, "metadata": METADATA}, preserve_unknown=node.preserve_unknown)


def child(node: Node, name: str) -> Node:
    """The structure of a map's value or a struct's field."""
    return node.fields.get(name) or node.item or ANY


def is_declared(node: Node, name: str) -> bool:
    """True for a field of a struct, False for a key of a map: only keys are members by themselves."""
    return name in node.fields


def is_atomic_map(node: Node) -> bool:
    """Owned as a whole."""
    return node.map_type == "atomic"


def is_keyed_list(node: Node) -> bool:
    """A set or a map in the form of a list; every other list is owned as a whole."""
    return node.shape is Shape.LIST and node.list_type in ("set", "map")


def is_leaf(node: Node, value: Any) -> bool:
    """True when nothing inside `value` is owned by itself."""
    if isinstance(value, dict):
        return is_atomic_map(node)
    if isinstance(value, list):
        return not is_keyed_list(node)
    return True


def element_of(node: Node, item: Any) -> str:
    """The path element of an item of a keyed list. Key fields that are absent take their default or are left out."""
    if node.list_type == "set" or not isinstance(item, dict):
        return value_element(item)
    if len(node.list_map_keys) == 1 and type(value := item.get(node.list_map_keys[0])) is str:
        return one_key_element(node.list_map_keys[0], value)
    keys = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in node.list_map_keys}
    return key_element({key: value for key, value in keys.items() if value is not None})


def items_of(node: Node, items: list[Any] | None) -> dict[str, Any]:
    """The items of a keyed list by path element, the first of each: what is stored may hold duplicates."""
    found: dict[str, Any] = {}
    for item in items or ():
        found.setdefault(element_of(node, item), item)
    return found


def check_items(node: Node, items: list[Any], path: Path) -> None:
    """Raise `Invalid` for duplicates and for items without their keys: what is applied must be clear."""
    seen: set[str] = set()
    for item in items:
        if node.list_type == "map" and not isinstance(item, dict):
            raise Invalid(f"{text_of(path)}: element must be an object")
        missing = [key for key in _required_keys(node) if isinstance(item, dict) and item.get(key) is None]
        if missing and len(missing) == len(node.list_map_keys):
            raise Invalid(
                f"{text_of(path)}: element: associative list with keys has an element that omits key field "
                f'"{missing[0]}" (and doesn\'t have default value)'
            )
        element = element_of(node, item)
        if element in seen:
            raise Invalid(f"{text_of(path)}: duplicate entries for key {text_of((element,))}")
        seen.add(element)


def equal(node: Node, left: Any, right: Any) -> bool:
    """Equal as values of this place: `0.5` and `500m` are the same quantity."""
    if same(left, right):
        return True
    if node.shape is not Shape.QUANTITY:
        return False
    try:
        return quantity.compare(left, right) == 0
    except Invalid:
        return False


def _required_keys(node: Node) -> tuple[str, ...]:
    return node.list_map_keys if node.list_type == "map" else ()

"""Strategic merge patch: a merge patch that knows which lists are maps in disguise.

In:    a document, a patch, and the kind's structure tree (patch strategies and merge keys).
Out:   a new document; neither argument is changed.
Spec:  k8s.io/apimachinery/pkg/util/strategicpatch: `$patch: delete|replace|merge`, `$retainKeys`,
       `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`; the order of merged lists and error texts are its.
"""

from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.patch.element_order import identity, ordered_like, places_of
from wherry.orchestration.objects.patch.json_value import check_depth, copied
from wherry.orchestration.objects.structure import ANY, Node, Shape

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_PREFIX = "$deleteFromPrimitiveList/"
ORDER_PREFIX = "$setElementOrder/"

Map = dict[str, Any]


def apply(doc: Map, patch: Map, node: Node) -> Map:
    """`doc` with `patch` merged in by the strategies of `node`. Raises `Invalid` with upstream's text."""
    if not isinstance(patch, dict):
        raise Invalid("json: cannot unmarshal into Go value of type map[string]interface {}")
    check_depth(patch)
    return _merge_map(copied(doc), copied(patch), node)


def _merge_map(original: Map, patch: Map, node: Node) -> Map:
    directive = patch.pop(PATCH, "merge")
    if directive == "replace":
        return {k: _plain(v) for k, v in patch.items() if v is not None and not _is_directive(k)}
    if directive == "delete":
        return {}
    if directive != "merge":
        raise Invalid(f"unknown patch type '{directive}' in map: '{patch}'")
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, node)
    for key, value in patch.items():
        if key.startswith(DELETE_PREFIX):
            _delete_primitives(original, key.removeprefix(DELETE_PREFIX), value)
        elif value is None:
            original.pop(key, None)
        else:
            original[key] = _merge_value(original.get(key), value, _field(node, key))
    return original


def _merge_value(original: Any, value: Any, node: Node) -> Any:
    if isinstance(value, dict) and isinstance(original, dict):
        return value if "replace" in node.patch_strategy else _merge_map(original, value, node)
    if isinstance(value, list) and isinstance(original, list):
        return _merge_list(original, value, node) if "merge" in node.patch_strategy else value
    return _plain(value)


def _merge_list(original: list[Any], patch: list[Any], node: Node) -> list[Any]:
    if not original and not patch:
        return original
    if any(isinstance(item, list) for item in [*original, *patch]):
        raise Invalid("lists of lists are not supported")
    key = node.patch_merge_key
    if all(not isinstance(item, dict) for item in [*original, *patch]):
        merged = _unique([*original, *patch])
        return ordered_like(merged, patch, original, "")
    if not all(isinstance(item, dict) for item in [*original, *patch]):
        raise Invalid("list element types are not identical")
    if not key:
        raise Invalid(f"cannot merge lists without merge key for {node.type_name}")
    server, changes = _obey_directives(original, patch, key)
    merged = _merge_items(list(server), changes, key, node.item or ANY)
    return ordered_like(merged, changes, server, key)


def _obey_directives(original: list[Map], patch: list[Map], key: str) -> tuple[list[Map], list[Map]]:
    """(the list to merge into, the elements to merge) once `$patch` elements have done their work."""
    changes = [item for item in patch if PATCH not in item]
    gone = set()
    replace = False
    for item in patch:
        match item.get(PATCH, ""):
            case "":
                pass
            case "delete":
                if key not in item:
                    raise _no_merge_key(item, key)
                gone.add(identity(item, key))
            case "replace":
                replace = True
            case "merge":
                raise Invalid("merging lists cannot yet be specified in the patch")
            case other:
                raise Invalid(f"unknown patch type '{other}' in map: '{item}'")
    if replace:
        return [_plain(item) for item in changes], []
    return [old for old in original if key not in old or identity(old, key) not in gone], changes


def _merge_items(server: list[Map], changes: list[Map], key: str, node: Node) -> list[Map]:
    places = places_of(server, key)
    for item in changes:
        if key not in item:
            raise _no_merge_key(item, key)
        place = places.setdefault(identity(item, key), len(server))
        if place == len(server):
            server.append(_plain(item))
        else:
            server[place] = _merge_map(server[place], item, node)
    return server


def _retain_keys(original: Map, patch: Map) -> None:
    """Only the listed keys stay; every key the patch sets must be among them."""
    if RETAIN_KEYS not in patch:
        return
    retained = patch.pop(RETAIN_KEYS)
    set_by_patch = [k for k, v in patch.items() if v is not None and not k.startswith((DELETE_PREFIX, ORDER_PREFIX))]
    if not isinstance(retained, list) or not all(key in retained for key in set_by_patch):
        raise Invalid("invalid patch format of retainKeys")
    for key in [key for key in original if key not in retained]:
        del original[key]


def _merge_ordered_lists(original: Map, patch: Map, node: Node) -> None:
    """Lists with a `$setElementOrder` are merged here and taken out of the patch, with the directive."""
    for directive in [key for key in patch if key.startswith(ORDER_PREFIX)]:
        name, order = directive.removeprefix(ORDER_PREFIX), patch.pop(directive)
        field = _field(node, name)
        if not isinstance(order, list):
            raise Invalid("invalid patch format of setElementOrder list")
        if name in patch and not isinstance(patch[name], list):
            continue  # null or another type: the ordinary merge decides
        changes, server = patch.pop(name, None), original.get(name)
        key = field.patch_merge_key
        _check_order(changes or [], order, key)
        if changes is None and not isinstance(server, list):
            continue
        if not isinstance(server, list):
            merged, server = _plain(changes), []
        else:
            merged = server if changes is None else _merge_list(server, changes, field)
        original[name] = ordered_like(merged, order, server, key)


def _check_order(changes: list[Any], order: list[Any], key: str) -> None:
    kept = [item for item in changes if not (isinstance(item, dict) and PATCH in item)]
    if key and not all(isinstance(item, dict) and key in item for item in [*kept, *order]):
        raise Invalid("invalid patch format of setElementOrder list")
    known = places_of(order, key)
    places = [known.get(identity(item, key), -1) for item in kept]
    if -1 in places or places != sorted(places):
        raise Invalid(f"The order in patch list:\n{kept}\n doesn't match $setElementOrder list:\n{order}\n")


def _delete_primitives(original: Map, name: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise Invalid("invalid patch format of primitive list")
    if isinstance(original.get(name), list):
        unwanted = {identity(item, "") for item in gone}
        original[name] = [item for item in original[name] if identity(item, "") not in unwanted]


def _plain(value: Any) -> Any:
    """A patch value that meets nothing: without its directives and nulls."""
    if isinstance(value, dict):
        if value.get(PATCH) == "delete":
            return {}
        return {k: _plain(v) for k, v in value.items() if v is not None and not _is_directive(k)}
    if isinstance(value, list):
        return [_plain(v) for v in value if not (isinstance(v, dict) and v.get(PATCH) in ("delete", "replace"))]
    return value


def _is_directive(key: str) -> bool:
    return key in (PATCH, RETAIN_KEYS) or key.startswith((DELETE_PREFIX, ORDER_PREFIX))


def _field(node: Node, name: str) -> Node:
    if node.shape is Shape.OBJECT and name in node.fields:
        return node.fields[name]
    return node.item or ANY


def _unique(items: list[Any]) -> list[Any]:
    return [items[place] for place in places_of(items, "").values()]


def _no_merge_key(item: Map, key: str) -> Invalid:
    return Invalid(f"map: {item} does not contain declared merge key: {key}")

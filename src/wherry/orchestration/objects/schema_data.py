"""The structure of the built-in kinds, from the checked-in data file `schema.json.zst`.

Out:   `structure_of(api_version, kind)`: one shared `Node` tree a definition, built on first use.
Spec:  the Kubernetes 1.37 OpenAPI definitions, as `tools/generate_schema.py` reduces them (no prose).
Cost:  the file loads once in about 4 ms; a Pod's tree is built in about 3 ms more.
Never: knows custom resources (`custom/schema.py` makes their nodes).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from threading import RLock
from typing import Any

import orjson
import zstandard

from wherry.orchestration.objects.structure import ANY, Node, Shape

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_nodes: dict[str, Node] = {}
_unfinished: dict[str, Node] = {}
_building = RLock()  # trees are asked for by the event loop and beside it


@cache
def data() -> Mapping[str, Any]:
    """The whole file: `kinds` (`apps/v1/Deployment` -> definition name) and `definitions`; do not change it."""
    packed = files(__package__).joinpath("schema.json.zst").read_bytes()
    loaded: Mapping[str, Any] = orjson.loads(zstandard.ZstdDecompressor().decompress(packed))
    return loaded


@cache
def _go_shape() -> Mapping[str, Any]:
    """A definition -> what its Go type omits and always writes (`tools/generate_go_shape.py`)."""
    packed = files(__package__).joinpath("go_shape.json.zst").read_bytes()
    loaded: Mapping[str, Any] = orjson.loads(zstandard.ZstdDecompressor().decompress(packed))
    return loaded


def structure_of(api_version: str, kind: str) -> Node | None:
    """The tree of a built-in kind, list kind or subresource kind (Scale, Eviction, TokenRequest); None when unknown."""
    name = data()["kinds"].get(f"{api_version}/{kind}")
    return None if name is None else definition(name)


def definition(name: str) -> Node:
    """The tree of a definition by upstream's name, such as `io.k8s.api.core.v1.PodSpec`."""
    found = _nodes.get(name)
    if found is not None:
        return found
    with _building:
        return _nodes.get(name) or _unfinished.get(name) or _finished(name)


def _finished(name: str) -> Node:
    """Others see a tree when all of it is there: one that contains itself is entered before its fields are built."""
    if _unfinished:
        return _built(name)
    try:
        node = _built(name)
        _nodes.update(_unfinished)
        return node
    finally:
        _unfinished.clear()


def _built(name: str) -> Node:
    raw = data()["definitions"][name]
    fields: dict[str, Node] = {}
    zeros: dict[str, Any] = {}
    node = Node(
        Shape.OBJECT,
        fields=fields,
        required=tuple(raw.get("required", ())),
        map_type=raw.get("map-type", "granular"),
        type_name=name,
        omits=_go_omits(name),
        zeros=zeros,
    )
    _unfinished[name] = node
    for key, sub in raw["fields"].items():
        fields[key] = _field(sub)
    for key, zero in go_zeros(name).items():
        if key in fields:
            zeros[key] = dict(fields[key].zeros) if zero == {} else zero
    return node


def go_zeros(name: str) -> Mapping[str, Any]:
    """What the fields of a definition hold that are always written; an empty object stands for that struct's own."""
    zeros: Mapping[str, Any] = _go_shape().get(name, {}).get("zeros", {})
    return zeros


def _go_omits(name: str) -> frozenset[str]:
    """The fields that no empty value is kept of: left out, or null again where `go_zeros` has that.

    Upstream stores protobuf, in which a list, map or byte text of nothing is none at all.
    """
    raw = data()["definitions"][name]["fields"]
    nulls = {key for key, zero in go_zeros(name).items() if zero is None and key in raw and _is_sequence(raw[key])}
    return frozenset(nulls.union(_go_shape().get(name, {}).get("omits", ())))


def _is_sequence(raw: Mapping[str, Any]) -> bool:
    return raw.get("shape") in ("list", "map") or raw.get("format") == "byte"


def _field(raw: Mapping[str, Any]) -> Node:
    ref = raw.get("ref")
    if ref is not None:
        return definition(ref) if len(raw) == 1 else _annotated(definition(ref), raw)
    if raw["shape"] == "any" and len(raw) == 1:
        return ANY
    return Node(
        Shape(raw["shape"]),
        item=_field(raw["item"]) if "item" in raw else None,
        list_type=raw.get("list-type", "atomic"),
        list_map_keys=tuple(raw.get("list-map-keys", ())),
        map_type=raw.get("map-type", "granular"),
        patch_strategy=_strategies(raw),
        patch_merge_key=raw.get("patch-merge-key", ""),
        preserve_unknown=raw["shape"] == "any",
        format=raw.get("format", ""),
    )


def _annotated(target: Node, raw: Mapping[str, Any]) -> Node:
    """A definition used by a field that says more about it: the fields stay shared, also while still being built."""
    return Node(
        Shape.OBJECT,
        fields=target.fields,
        required=target.required,
        map_type=raw.get("map-type", target.map_type),
        patch_strategy=_strategies(raw),
        patch_merge_key=raw.get("patch-merge-key", ""),
        type_name=target.type_name,
        omits=target.omits,
        zeros=target.zeros,
    )


def _strategies(raw: Mapping[str, Any]) -> tuple[str, ...]:
    text = raw.get("patch-strategy", "")
    return tuple(text.split(",")) if text else ()

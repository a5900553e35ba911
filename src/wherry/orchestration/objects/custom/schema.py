"""Custom resources by their schema: structure, pruning, defaults and validation.

In:    the `openAPIV3Schema` of one CRD version, already found structural (`validation/crd_structure.py`).
Out:   a `CompiledSchema`; compile once a version, use for every object.
Spec:  https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ (pruning, defaulting);
       OpenAPI v3.0 validation as the API server does it (`custom/values.py`).
Never: evaluates x-kubernetes-validations (CEL): such rules are kept and not enforced.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.objects.custom.values import ValueCheck, compile_check
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.schema_data import OBJECT_META, definition
from wherry.orchestration.objects.structure import ANY, Node, Shape
from wherry.orchestration.objects.validation.causes import Cause, Causes

UNKNOWN_MAX = 100
_SHAPES = {
    "string": Shape.STRING, "integer": Shape.INTEGER, "number": Shape.NUMBER, "boolean": Shape.BOOLEAN,
    "object": Shape.OBJECT, "array": Shape.LIST,
}
_ROOT_FIELDS = ("apiVersion", "kind", "metadata")


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """One version's schema, ready. `schema` is the plain OpenAPI v3 schema; do not change it."""

    schema: Mapping[str, Any]
    node: Node
    check: ValueCheck

    def validate(self, obj: Object, old: Object | None = None) -> list[Cause]:
        """Every cause to refuse `obj`. A value that `old` already had wrong in the same place passes (ratcheting)."""
        found = Causes()
        body = {key: value for key, value in obj.items() if key not in _ROOT_FIELDS}
        self.check(body, "", found)
        if old is None or not found:
            return found
        before = Causes()
        self.check({key: value for key, value in old.items() if key not in _ROOT_FIELDS}, "", before)
        return [cause for cause in found if cause not in before]

    def prune(self, obj: Object) -> list[str]:
        """Drop, in place, every field the schema does not know; a text such as `unknown field "spec.foo"` for each."""
        removed: list[str] = []
        _prune_object(obj, self.node, "", removed)
        return removed[:UNKNOWN_MAX]

    def default(self, obj: Object) -> Object:
        """Fill absent fields from the schema's `default`s, in place; null where null is not allowed counts as absent."""
        _fill(obj, self.schema)
        return obj


def compile_schema(openapi_v3: Mapping[str, Any]) -> CompiledSchema:
    """Ready one version's schema. It must have passed `check_schema`; the values of defaults are shared, never changed."""
    root = _node_of(openapi_v3)
    meta = definition(OBJECT_META)
    fields = {**root.fields, "apiVersion": Node(Shape.STRING), "kind": Node(Shape.STRING), "metadata": meta}
    node = Node(
        Shape.OBJECT, fields=fields, required=root.required, map_type=root.map_type,
        preserve_unknown=root.preserve_unknown, item=root.item,
    )
    body = {**openapi_v3, "properties": {
        key: value for key, value in (openapi_v3.get("properties") or {}).items() if key not in _ROOT_FIELDS
    }}
    if body.get("required"):
        body["required"] = [name for name in body["required"] if name not in _ROOT_FIELDS]
    return CompiledSchema(openapi_v3, node, compile_check(body))


def _node_of(schema: Mapping[str, Any]) -> Node:
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if schema.get("x-kubernetes-int-or-string"):
        return Node(Shape.INT_OR_STRING)
    shape = _SHAPES.get(str(schema.get("type") or ""))
    if shape is None:
        return ANY
    if shape is Shape.LIST:
        return Node(
            shape, item=_node_of(schema.get("items") or {}), list_type=schema.get("x-kubernetes-list-type") or "atomic",
            list_map_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        )
    if shape is Shape.OBJECT:
        return _object_node(schema, preserve)
    return Node(shape, format=str(schema.get("format") or "") if shape is Shape.INTEGER else "")


def _object_node(schema: Mapping[str, Any], preserve: bool) -> Node:
    map_type = schema.get("x-kubernetes-map-type") or "granular"
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    if not properties and not embedded and extra:
        item = _node_of(extra) if isinstance(extra, dict) else ANY
        return Node(Shape.MAP, item=item, map_type=map_type)
    if not properties and not embedded and preserve:
        return Node(Shape.ANY, preserve_unknown=True, map_type=map_type)
    fields = {name: _node_of(inner) for name, inner in properties.items()}
    if embedded:
        fields |= {"apiVersion": Node(Shape.STRING), "kind": Node(Shape.STRING), "metadata": definition(OBJECT_META)}
    return Node(
        Shape.OBJECT, fields=fields, required=tuple(schema.get("required") or ()), map_type=map_type,
        preserve_unknown=preserve, embedded_resource=embedded,
    )


def _prune_object(value: Any, node: Node, path: str, removed: list[str]) -> None:
    if isinstance(value, dict):
        if node.shape is Shape.OBJECT:
            for key in list(value):
                inside = f"{path}.{key}" if path else key
                sub = node.fields.get(key)
                if sub is not None:
                    _prune_object(value[key], sub, inside, removed)
                elif not node.preserve_unknown:
                    removed.append(f'unknown field "{inside}"')
                    del value[key]
        elif node.item is not None:
            for key, member in value.items():
                _prune_object(member, node.item, f"{path}.{key}", removed)
    elif isinstance(value, list) and node.item is not None:
        for index, member in enumerate(value):
            _prune_object(member, node.item, f"{path}[{index}]", removed)


def _fill(value: Any, schema: Mapping[str, Any]) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, inner in properties.items():
            _fill_member(value, name, inner, is_named=True)
            _fill(value.get(name), inner)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for name in list(value.keys() - properties.keys()):
                _fill_member(value, name, extra, is_named=False)
                _fill(value.get(name), extra)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        item = schema["items"]
        for index, member in enumerate(value):
            if member is None and "default" in item and not item.get("nullable"):
                value[index] = copy.deepcopy(item["default"])
            _fill(value[index], item)


def _fill_member(value: Object, name: str, schema: Mapping[str, Any], *, is_named: bool) -> None:
    """A null that may not be null goes away first; then what is absent gets its default."""
    if name in value and value[name] is None and not schema.get("nullable"):
        del value[name]
        is_named = True
    if is_named and name not in value and "default" in schema:
        value[name] = copy.deepcopy(schema["default"])

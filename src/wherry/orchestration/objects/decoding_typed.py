"""Fit a decoded object to the structure of its kind, as a typed decoder does.

In:    plain JSON values and a built-in kind's `Node`.
Out:   the object without unknown fields, quantities and times in canonical form, in the shape Go's encoding gives (empty
       values left out or zero values and nulls written, as `Node.omits` and `Node.zeros` say), and a text per unknown field.
Spec:  Go's encoding/json as Kubernetes uses it: case matters, null is "not there", wrong types are errors with Go's text.
Never: checks meaning (`validation/`), or custom resources (`custom/schema.py`).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wherry.kit.clock import parse_rfc3339, rfc3339, rfc3339_micro
from wherry.kit.errors import Invalid
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.decoding_errors import Malformed
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.structure import Node, Shape

UNKNOWN_MAX = 100  # texts reported; the rest is dropped without a text, as upstream
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Typed:
    """`obj` holds only known fields. `unknown` are texts such as `unknown field "spec.foo"`."""

    obj: Object
    unknown: tuple[str, ...]


def typed(obj: Object, node: Node) -> Typed:
    """Fit `obj`, which the caller owns and which is changed. Raises `Malformed` at the first value of a wrong type."""
    fitter = _Fitter()
    try:
        fitted = fitter.object(obj, node)
    except Malformed as error:
        kind, version = str(obj.get("kind", ""))[:80], str(obj.get("apiVersion", "")).rpartition("/")[2][:80]
        raise Malformed(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from error
    return Typed(fitted, tuple(fitter.unknown))


def unknown_fields(obj: Mapping[str, Any], node: Node) -> list[str]:
    """A text for every field `node` does not know; `obj` stays as it is. Values of a wrong type are passed over."""
    found: list[str] = []
    _find_unknown(obj, node, "", found)
    return found[:UNKNOWN_MAX]


def prune_unknown(obj: Object, node: Node) -> Object:
    """`typed` without the texts: known fields only, values checked. Changes and returns `obj`."""
    return typed(obj, node).obj


def _find_unknown(value: Any, node: Node, path: str, found: list[str]) -> None:
    if node.shape is Shape.OBJECT and isinstance(value, Mapping):
        for key, member in value.items():
            inside = f"{path}.{key}" if path else key
            sub = node.fields.get(key)
            if sub is not None:
                _find_unknown(member, sub, inside, found)
            elif not node.preserve_unknown:
                found.append(f'unknown field "{inside}"')
    elif node.item is not None and isinstance(value, list):
        for index, item in enumerate(value):
            _find_unknown(item, node.item, f"{path}[{index}]", found)
    elif node.item is not None and isinstance(value, Mapping):
        for key, item in value.items():
            _find_unknown(item, node.item, f"{path}.{key}", found)


class _MapKey(str):
    """A key of a map on the way to a value: people want to see it, Go's texts leave it out."""

    __slots__ = ()


class _Fitter:
    """One walk. `_way` holds the field names, indices and map keys down to the value at hand."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._way: list[str | int] = []

    def object(self, value: Any, node: Node) -> Object:
        if value.__class__ is not dict:
            raise self._mismatch(value, node, node)
        fields, way = node.fields, self._way
        for key in list(value):
            member, sub = value[key], fields.get(key)
            if sub is None:
                if not node.preserve_unknown:
                    self._note(key)
                    del value[key]
            elif member is None:
                if node.zeros.get(key, False) is not None:
                    del value[key]
            elif sub.shape is Shape.STRING and member.__class__ is str and not sub.format:
                if not member and key in node.omits:
                    del value[key]
            else:
                way.append(key)
                fitted = value[key] = self._value(member, sub, node)
                way.pop()
                if not fitted and key in node.omits:
                    del value[key]
        for key, zero in node.zeros.items():
            if key not in value:
                value[key] = _own(zero) if zero.__class__ is dict else zero
        return value

    def _value(self, value: Any, node: Node, struct: Node) -> Any:
        match node.shape:
            case Shape.OBJECT:
                if value.__class__ is not dict:
                    raise self._mismatch(value, node, struct)
                return self.object(value, node)
            case Shape.LIST:
                return self._list(value, node, struct)
            case Shape.MAP:
                return self._map(value, node, struct)
            case Shape.STRING if value.__class__ is str:
                return _base64(value) if node.format == "byte" else value
            case Shape.BOOLEAN if value.__class__ is bool:
                return value
            case Shape.NUMBER if value.__class__ in (int, float):
                return value
            case Shape.INTEGER if value.__class__ is int:
                if value in (_INT32 if node.format == "int32" else _INT64):
                    return value
                raise self._mismatch(value, node, struct, shown=f"number {value}")
            case Shape.ANY:
                return value
            case Shape.STRING | Shape.BOOLEAN | Shape.NUMBER | Shape.INTEGER:
                raise self._mismatch(value, node, struct)
        return _own_reader(value, node)

    def _list(self, value: Any, node: Node, struct: Node) -> Any:
        if value.__class__ is not list:
            raise self._mismatch(value, node, struct)
        item = node.item
        assert item is not None, "a list node has an item"
        for index, member in enumerate(value):
            self._way.append(index)
            value[index] = _zero(item) if member is None else self._value(member, item, struct)
            self._way.pop()
        return value

    def _map(self, value: Any, node: Node, struct: Node) -> Any:
        if value.__class__ is not dict:
            raise self._mismatch(value, node, struct)
        item = node.item
        assert item is not None, "a map node has an item"
        for key, member in value.items():
            self._way.append(_MapKey(key))
            value[key] = _zero(item) if member is None else self._value(member, item, struct)
            self._way.pop()
        return value

    def _note(self, key: str) -> None:
        if len(self.unknown) < UNKNOWN_MAX:
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in [*self._way, key])
            self.unknown.append(f'unknown field "{path[1:]}"')

    def _mismatch(self, value: Any, node: Node, struct: Node, shown: str = "") -> Malformed:
        trail = [step for step in self._way if step.__class__ is str]
        place = f"Go struct field {_go_name(struct)}.{'.'.join(map(str, trail))}" if trail else "Go value"
        return Malformed(f"json: cannot unmarshal {shown or _json_kind(value)} into {place} of type {_go_type(node)}")


def _own(zero: Mapping[str, Any]) -> Object:
    """A struct of zero values that the object may keep."""
    return {key: _own(inner) if inner.__class__ is dict else inner for key, inner in zero.items()}


def _own_reader(value: Any, node: Node) -> Any:
    """The types that read themselves in Go: their errors name no field."""
    match node.shape:
        case Shape.INT_OR_STRING:
            if value.__class__ is str or (value.__class__ is int and value in _INT32):
                return value
            raise Malformed(f"json: cannot unmarshal {_json_kind(value)} into Go value of type int32")
        case Shape.QUANTITY:
            if value.__class__ in (str, int, float):
                return _quantity(value)
            raise Malformed(f"json: cannot unmarshal {_json_kind(value)} into Go value of type resource.Quantity")
    assert node.shape is Shape.TIME, node.shape
    if value.__class__ is not str:
        raise Malformed(f"json: cannot unmarshal {_json_kind(value)} into Go value of type string")
    return _time(value, node.format == "micro-time")


@lru_cache(maxsize=4096)
def _quantity(value: str | int | float) -> str:
    try:
        return quantity.canonical(value)
    except Invalid as error:
        raise Malformed(str(error)) from error


@lru_cache(maxsize=4096)
def _time(text: str, micro: bool) -> str:
    try:
        moment = parse_rfc3339(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
        raise Malformed(f'parsing time "{text[:80]}" as "{layout}": cannot parse "{text[:80]}" as "2006"')
    return rfc3339_micro(moment) if micro else rfc3339(moment)


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
        return text
    except (binascii.Error, ValueError):
        pass
    folded = text.replace("\n", "").replace("\r", "")
    try:
        return base64.b64encode(base64.b64decode(folded, validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"illegal base64 data at input byte {_bad_byte(text)}") from error


def _bad_byte(text: str) -> int:
    allowed = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n")
    first = next((i for i, char in enumerate(text) if char not in allowed), len(text))
    # A wrong "=" or a cut-off end is reported at the start of its group of four.
    return first if first < len(text) and text[first] != "=" else first - first % 4


def _json_kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "number"
        case float():
            return f"number {value!r}"
        case list():
            return "array"
        case None:
            return "null"
    return "object"


def _go_name(node: Node) -> str:
    return node.type_name.rpartition(".")[2]


def _go_type(node: Node) -> str:
    match node.shape:
        case Shape.OBJECT:
            return ".".join(node.type_name.split(".")[-2:])
        case Shape.LIST:
            return "[]uint8" if node.format == "byte" else f"[]{_go_type(node.item)}" if node.item else "[]interface {}"
        case Shape.MAP:
            return f"map[string]{_go_type(node.item)}" if node.item else "map[string]interface {}"
        case Shape.STRING:
            return "[]uint8" if node.format == "byte" else "string"
        case Shape.INTEGER:
            return node.format or "int64"
        case Shape.NUMBER:
            return "float64"
        case Shape.BOOLEAN:
            return "bool"
    return {Shape.TIME: "v1.Time", Shape.QUANTITY: "resource.Quantity"}.get(node.shape, "intstr.IntOrString")


def _zero(node: Node) -> Any:
    """What Go has where JSON has null inside a list or a map."""
    match node.shape:
        case Shape.OBJECT:
            return _own(node.zeros)
        case Shape.MAP:
            return {}
        case Shape.LIST:
            return []
        case Shape.STRING:
            return ""
        case Shape.BOOLEAN:
            return False
        case Shape.INTEGER | Shape.NUMBER | Shape.INT_OR_STRING:
            return 0
        case Shape.QUANTITY:
            return "0"
    return None

"""Protobuf request bodies into plain objects: what kubectl and client-go send for the built-in kinds.

In:    `k8s\\0` and a runtime.Unknown that names apiVersion and kind and holds the message.
Out:   the object as its JSON would be. Answers are never protobuf: such clients accept JSON too.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding ; protobuf wire format.
Data:  `fields.json.zst`, made by tools/generate_protobuf.py; loaded on first use (5 ms).
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import zstandard

from wherry.kit.clock import rfc3339, rfc3339_micro
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DEPTH_MAX = 100
META = "apimachinery.pkg.apis.meta.v1"
_PACKAGES = {
    "": "api.core", "apiextensions": "apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration": "kube_aggregator.pkg.apis.apiregistration",
}
_LISTS = ("ExtraValue", "OptionalNames", "Verbs")  # messages that stand for a list of strings
_SCHEMA = "apiextensions_apiserver.pkg.apis.apiextensions.v1."
Table = dict[str, dict[int, tuple[str, str, str]]]


class MalformedMessage(Invalid):
    """The bytes are no message of the kind they name."""


@cache
def table() -> Table:
    """message -> {field number: (json name, type, flags)}."""
    packed = (Path(__file__).parent / "fields.json.zst").read_bytes()
    raw = orjson.loads(zstandard.ZstdDecompressor().decompress(packed))
    return {name: {int(n): tuple(f) for n, f in fields.items()} for name, fields in raw.items()}


def decode(body: bytes) -> Object:
    """The object. Raise `MalformedMessage`."""
    if not body.startswith(MAGIC):
        raise MalformedMessage("the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        unknown = {number: value for number, _, value in _fields(body[len(MAGIC):])}
        meta = {number: value for number, _, value in _fields(unknown.get(1, b""))}
        api_version, kind = meta.get(1, b"").decode(), meta.get(2, b"").decode()
        obj = _message(_message_name(api_version, kind), unknown.get(2, b""), 0)
    except (IndexError, UnicodeDecodeError, ValueError, AttributeError, struct.error, TypeError) as error:
        raise MalformedMessage(f"the body is no protobuf message: {error}") from error
    return {"kind": kind, "apiVersion": api_version, **obj}


def _message_name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    first = group.partition(".")[0]
    name = f"{_PACKAGES.get(first, f'api.{first}')}.{version}.{kind}"
    if name in table():
        return name
    if f"{META}.{kind}" in table():  # DeleteOptions and the like exist in every group
        return f"{META}.{kind}"
    raise MalformedMessage(f'no kind "{kind[:80]}" is registered for version "{api_version[:80]}"')


def _message(name: str, data: bytes, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise MalformedMessage(f"nested deeper than {DEPTH_MAX} levels")
    special = _SPECIAL.get(name)
    if special is not None:
        return special(data)
    if name.rpartition(".")[2] in _LISTS:
        return [value.decode() for _, _, value in _fields(data)]
    known = table()[name]
    obj: Object = {}
    for number, wire, value in _fields(data):
        field = known.get(number)
        if field is not None:
            _put(obj, field, wire, value, depth)
    return _reshaped(name, obj)


def _put(obj: Object, field: tuple[str, str, str], wire: int, value: Any, depth: int) -> None:
    name, kind, flags = field
    if flags == "m":
        entry = {number: (w, v) for number, w, v in _fields(value)}
        key = entry[1][1].decode() if 1 in entry else ""
        item_wire, item = entry.get(2, (2, b""))
        obj.setdefault(name, {})[key] = _value(kind, item_wire, item, depth)
    elif "r" in flags and wire == 2 and kind in ("int32", "int64", "uint32", "bool"):
        obj.setdefault(name, []).extend(_scalar(kind, v) for v in _packed(value))
    elif "r" in flags:
        obj.setdefault(name, []).append(_value(kind, wire, value, depth))
    else:
        read = _value(kind, wire, value, depth)
        if not name:
            obj.update(read)
        elif read is not None and not ("z" in flags and read in ("", 0, False, {})):
            obj[name] = read


def _value(kind: str, wire: int, value: Any, depth: int) -> Any:
    if kind == "string":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind in ("double", "float"):
        return struct.unpack("<d" if wire == 1 else "<f", value)[0]
    if kind in ("bool", "int32", "int64", "uint32", "uint64"):
        return _scalar(kind, value)
    return _message(kind, value, depth + 1)


def _scalar(kind: str, value: int) -> Any:
    if kind == "bool":
        return bool(value)
    if kind.startswith("int") and value >= 1 << 63:
        return value - (1 << 64)
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value): int for varints, bytes else."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value = data[at:at + size]
            at += size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value = data[at:at + size]
            at += size
        else:
            raise MalformedMessage(f"wire type {wire} is not known")
        if at > end:
            raise MalformedMessage("unexpected EOF")
        yield number, wire, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise MalformedMessage("integer overflow")


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _numbers(data: bytes) -> dict[int, Any]:
    return {number: value for number, _, value in _fields(data)}


def _moment(data: bytes) -> datetime | None:
    if not data:
        return None
    parts = _numbers(data)
    seconds, nanos = _scalar("int64", parts.get(1, 0)), _scalar("int32", parts.get(2, 0))
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)


def _time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else rfc3339(moment)


def _micro_time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else rfc3339_micro(moment)


def _quantity(data: bytes) -> str:
    text: bytes = _numbers(data).get(1, b"0")
    return text.decode()


def _int_or_string(data: bytes) -> int | str:
    parts = _numbers(data)
    if parts.get(1, 0) == 1:
        text: bytes = parts.get(3, b"")
        return text.decode()
    return int(_scalar("int32", parts.get(2, 0)))


def _raw_json(data: bytes) -> Any:
    raw = _numbers(data).get(1, b"")
    return orjson.loads(raw) if raw else None


def _duration(data: bytes) -> str:
    return f"{_scalar('int64', _numbers(data).get(1, 0)) / 1e9:g}s"


_SPECIAL = {
    f"{META}.Time": _time,
    f"{META}.MicroTime": _micro_time,
    f"{META}.Duration": _duration,
    f"{META}.FieldsV1": _raw_json,
    "apimachinery.pkg.api.resource.Quantity": _quantity,
    "apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "apimachinery.pkg.runtime.RawExtension": _raw_json,
    f"{_SCHEMA}JSON": _raw_json,
}


def _reshaped(name: str, obj: Object) -> Any:
    """Messages that stand for a choice in JSON."""
    if not name.startswith(_SCHEMA):
        return obj
    match name.removeprefix(_SCHEMA):
        case "JSONSchemaPropsOrBool":
            return obj.get("schema") if "schema" in obj else obj.get("allows", False)
        case "JSONSchemaPropsOrArray":
            return obj.get("schema") if "schema" in obj else obj.get("jSONSchemas", obj.get("JSONSchemas", []))
        case "JSONSchemaPropsOrStringArray":
            return obj.get("schema") if "schema" in obj else obj.get("property", obj.get("Property", []))
    return obj

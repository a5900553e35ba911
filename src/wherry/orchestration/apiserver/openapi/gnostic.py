"""A Swagger 2.0 document as the protobuf message `openapi.v2.Document`, which client-go reads.

In:    the document as plain JSON values, of the parts `swagger.py` makes.
Out:   its bytes, for `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`.
Spec:  gnostic's OpenAPIv2.proto (field numbers beside each writer); protobuf wire format, length-delimited and varint only.
Cost:  all built-in kinds: see README.
"""

from collections.abc import Callable, Iterable, Mapping
from struct import pack
from typing import Any

import orjson


def encode(document: Mapping[str, Any]) -> bytes:
    """`Document`: swagger 1, info 2, paths 8, definitions 9."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b"".join(_message(2, _named(path, _path_item(item))) for path, item in document["paths"].items())
    definitions = b"".join(_message(1, _named(name, _schema(schema))) for name, schema in document["definitions"].items())
    return _text(1, document["swagger"]) + _message(2, info) + _message(8, paths) + _message(9, definitions)


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode()) if text else b""


def _texts(field: int, texts: Iterable[str]) -> bytes:
    return b"".join(_message(field, text.encode()) for text in texts)


def _boolean(field: int, value: Any) -> bytes:
    return _varint(field << 3) + b"\x01" if value else b""


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + pack("<d", value)


def _named(name: str, body: bytes) -> bytes:
    """Every Named* message: name 1, value 2."""
    return _text(1, name) + _message(2, body)


def _any(value: Any) -> bytes:
    """`Any`: yaml 2. JSON is YAML."""
    return _message(2, orjson.dumps(value))


def _extensions(field: int, obj: Mapping[str, Any]) -> bytes:
    return b"".join(
        _message(field, _named(key, _any(value))) for key, value in obj.items() if key.startswith("x-")
    )


_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _path_item(item: Mapping[str, Any]) -> bytes:
    """`PathItem`: the methods, parameters 9."""
    operations = b"".join(_message(number, _operation(item[name])) for name, number in _METHODS.items() if name in item)
    return operations + b"".join(_message(9, _parameter(one)) for one in item.get("parameters", ()))


def _operation(operation: Mapping[str, Any]) -> bytes:
    """`Operation`: tags 1, operation_id 5, produces 6, consumes 7, parameters 8, responses 9, schemes 10, extensions 13."""
    responses = b"".join(
        _message(1, _named(code, _message(1, _response(response)))) for code, response in operation["responses"].items()
    )
    return b"".join((
        _texts(1, operation.get("tags", ())),
        _text(5, operation.get("operationId", "")),
        _texts(6, operation.get("produces", ())),
        _texts(7, operation.get("consumes", ())),
        *(_message(8, _parameter(one)) for one in operation.get("parameters", ())),
        _message(9, responses),
        _texts(10, operation.get("schemes", ())),
        _extensions(13, operation),
    ))


def _response(response: Mapping[str, Any]) -> bytes:
    """`Response`: description 1, schema 2 (a `SchemaItem` with schema 1)."""
    schema = response.get("schema")
    return _text(1, response["description"]) + (_message(2, _message(1, _schema(schema))) if schema else b"")


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    """`ParametersItem` with parameter 1: body_parameter 1, or non_body_parameter 2 (query 3, path 4)."""
    if parameter["in"] == "body":
        body = b"".join((
            _text(2, parameter["name"]), _text(3, "body"), _boolean(4, parameter.get("required")),
            _message(5, _schema(parameter["schema"])),
        ))
        return _message(1, _message(1, body))
    is_path = parameter["in"] == "path"
    shared = b"".join((
        _boolean(1, parameter.get("required")), _text(2, parameter["in"]), _text(3, parameter.get("description", "")),
        _text(4, parameter["name"]), _text(5 if is_path else 6, parameter.get("type", "")),
        _boolean(19 if is_path else 20, parameter.get("uniqueItems")),
    ))
    return _message(1, _message(2, _message(4 if is_path else 3, shared)))


def _schema(schema: Mapping[str, Any]) -> bytes:
    """`Schema`; unknown keywords are left out, x- ones are extensions (31)."""
    return b"".join(
        _SCHEMA_FIELDS[key](value) for key, value in schema.items() if key in _SCHEMA_FIELDS and value is not None
    ) + _extensions(31, schema)


def _additional(value: Any) -> bytes:
    """`AdditionalPropertiesItem`: schema 1, boolean 2."""
    inner = _message(1, _schema(value)) if isinstance(value, Mapping) else _boolean(2, value)
    return _message(21, inner)


def _properties(value: Mapping[str, Any]) -> bytes:
    return _message(25, b"".join(_message(1, _named(name, _schema(inner))) for name, inner in value.items()))


_SCHEMA_FIELDS: Mapping[str, Callable[[Any], bytes]] = {
    "$ref": lambda value: _text(1, value),
    "format": lambda value: _text(2, value),
    "title": lambda value: _text(3, value),
    "description": lambda value: _text(4, value),
    "multipleOf": lambda value: _double(6, value),
    "maximum": lambda value: _double(7, value),
    "exclusiveMaximum": lambda value: _boolean(8, value),
    "minimum": lambda value: _double(9, value),
    "exclusiveMinimum": lambda value: _boolean(10, value),
    "maxLength": lambda value: _integer(11, value),
    "minLength": lambda value: _integer(12, value),
    "pattern": lambda value: _text(13, value),
    "maxItems": lambda value: _integer(14, value),
    "minItems": lambda value: _integer(15, value),
    "uniqueItems": lambda value: _boolean(16, value),
    "maxProperties": lambda value: _integer(17, value),
    "minProperties": lambda value: _integer(18, value),
    "required": lambda value: _texts(19, value),
    "enum": lambda value: b"".join(_message(20, _any(one)) for one in value),
    "additionalProperties": _additional,
    "type": lambda value: _message(22, _text(1, value)),
    "items": lambda value: _message(23, _message(1, _schema(value))),
    "properties": _properties,
}

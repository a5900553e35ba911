"""Request bodies into objects: JSON and YAML, with duplicate keys found and hostile input refused.

In:    the bytes of a body and its Content-Type.
Out:   `Decoded`: the object as plain JSON values, and one text for every key written twice.
       `typed` (from `decoding_typed`) then fits the object to the structure of a built-in kind.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation ; texts as sigs.k8s.io/json and yaml.
Limits: nesting of `DEPTH_MAX`, `decoding_yaml.VALUES_MAX` values (of YAML: after aliases are followed).
Never: decodes protobuf or CBOR: `UnsupportedMediaType` says so.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from wherry.kit.errors import Unsupported
from wherry.orchestration.objects.decoding_errors import Malformed
from wherry.orchestration.objects.decoding_typed import Typed, prune_unknown, typed, unknown_fields
from wherry.orchestration.objects.decoding_yaml import VALUES_MAX, read_yaml
from wherry.orchestration.objects.meta import Object

__all__ = [
    "DEPTH_MAX", "Decoded", "Malformed", "Typed", "UnsupportedMediaType", "check_budget", "decode", "prune_unknown",
    "strict_error", "typed", "unknown_fields",
]

DEPTH_MAX = 250  # far above any real object, far below Python's recursion limit of 1000
# A whole string literal, and whether a colon follows: then it was a key.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?', re.DOTALL)
_BRACKET = re.compile(rb"[{}\[\]]")
_EMPTY = re.compile(rb"\[\s*\]|\{\s*\}")
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_YAML_TYPES = ("application/yaml", "application/apply-patch+yaml", "text/yaml", "application/x-yaml")
_JSON_TYPES = ("", "application/json", "*/*", "text/plain", "text/json")


class UnsupportedMediaType(Unsupported):
    """The body's Content-Type is not read here: HTTP 415."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """`obj` belongs to the caller. `duplicate_fields` are texts such as `duplicate field "spec.replicas"`."""

    obj: Object
    duplicate_fields: tuple[str, ...] = ()


def decode(body: bytes, content_type: str = "application/json") -> Decoded:
    """The object in `body`. Raises `Malformed` (HTTP 400) or `UnsupportedMediaType` (HTTP 415)."""
    value, duplicates = _read(body, content_type.partition(";")[0].strip().lower())
    if not isinstance(value, dict):
        kind = {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(value), "number")
        raise Malformed(f"couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into an object")
    return Decoded(value, tuple(duplicates))


def strict_error(texts: Sequence[str]) -> str:
    """The message of a refused `fieldValidation=Strict` write; `texts` as `unknown_fields` and `decode` give them."""
    return f"strict decoding error: {', '.join(texts)}"


def _read(body: bytes, media_type: str) -> tuple[Any, list[str]]:
    if media_type in _JSON_TYPES or (media_type.startswith("application/") and media_type.endswith("+json")):
        return _read_json(body)
    if media_type in _YAML_TYPES:
        return _read_yaml(body)
    raise UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: application/json, "
        f"application/yaml, not {media_type[:80]!r}"
    )


def check_budget(body: bytes) -> None:
    """Raise `Malformed` for JSON of too many values or levels, before anything is made of it.

    A value follows a comma or the start of an object or array that is not empty. Counting those in the whole body bounds
    both; only a body that is over that bound has its texts taken out and is looked at in detail.
    """
    if body.count(b",") + (opened := body.count(b"{") + body.count(b"[")) < VALUES_MAX and opened <= DEPTH_MAX:
        return
    structure = _STRING.sub(b"0", body)
    opened = structure.count(b"{") + structure.count(b"[") - sum(1 for _ in _EMPTY.finditer(structure))
    if structure.count(b",") + opened >= VALUES_MAX:
        raise Malformed(f"couldn't get version/kind; json parse error: document has more than {VALUES_MAX} values")
    depth = 0
    for bracket in _BRACKET.findall(structure):
        depth += 1 if bracket in b"{[" else -1
        if depth > DEPTH_MAX:
            raise _too_deep()


def _too_deep() -> Malformed:
    return Malformed(f"couldn't get version/kind; json parse error: json: exceeded max depth of {DEPTH_MAX}")


def _read_yaml(body: bytes) -> tuple[Any, list[str]]:
    """Clients send JSON as YAML, which it is; reading it as JSON is 50 times faster."""
    if body.lstrip()[:1] == b"{":
        check_budget(body)
        try:
            return _unique(orjson.loads(body), body)
        except orjson.JSONDecodeError:
            pass  # a YAML mapping in braces
    return read_yaml(body, DEPTH_MAX)


def _read_json(body: bytes) -> tuple[Any, list[str]]:
    check_budget(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"couldn't get version/kind; json parse error: {error}") from error
    return _unique(value, body)


def _unique(value: Any, body: bytes) -> tuple[Any, list[str]]:
    """`value`, and a text for every key that `body` has twice."""
    if _keeps_every_key(value, body):
        return value, []
    written = sum(1 for found in _STRING.finditer(body) if found.group(1))
    if _count_keys(value, 0) == written:
        return value, []
    return value, _duplicates(body)


def _keeps_every_key(value: Any, body: bytes) -> bool:
    """Whether writing the value surely shows that no key was lost: it gives the body back, or has as many ends of keys.

    A key written twice leaves fewer of them. Escapes and spaces before a colon would blur the count: then nothing is sure.
    """
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False  # nested too deep; counting says so
    if written == body.rstrip():
        return True
    return b"\\" not in body and not _SPACED_COLON.search(body) and written.count(b'":') == body.count(b'":')


def _count_keys(value: Any, depth: int) -> int:
    if depth > DEPTH_MAX:
        raise _too_deep()
    if isinstance(value, dict):
        return len(value) + sum(_count_keys(v, depth + 1) for v in value.values() if v.__class__ in (dict, list))
    if isinstance(value, list):
        return sum(_count_keys(v, depth + 1) for v in value if v.__class__ in (dict, list))
    return 0


class _Pairs(list[tuple[str, Any]]):
    """The members of one JSON object in the order written, duplicates included."""


def _duplicates(body: bytes) -> list[str]:
    found: list[str] = []
    _walk_pairs(json.loads(body, object_pairs_hook=_Pairs), "", found)
    return found


def _walk_pairs(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, member in value:
            inside = f"{path}.{key}" if path else key
            if key in seen and (text := f'duplicate field "{inside}"') not in found:
                found.append(text)
            seen.add(key)
            _walk_pairs(member, inside, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk_pairs(item, f"{path}[{index}]", found)

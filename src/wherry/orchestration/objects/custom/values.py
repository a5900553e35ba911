"""OpenAPI v3 schemas compiled to checks of values, with the API server's texts.

In:    a structural schema (plain dict).
Out:   `compile_check(schema)`: a function (value, path, causes) that writes what is wrong.
Spec:  OpenAPI 3.0.3 schema object as CRDs allow it; formats as k8s.io/apiextensions lists them; unknown formats pass.
       Patterns: `validation/patterns.py`.
Never: evaluates x-kubernetes-validations.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import metadata, names
from wherry.orchestration.objects.validation.causes import Cause, Causes, shown
from wherry.orchestration.objects.validation.patterns import compile_pattern
from wherry.orchestration.objects.validation.services import is_cidr

ValueCheck = Callable[[Any, str, Causes], None]

_CLASSES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float),
}
_DURATION = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+|0")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?")
_MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")


def compile_check(schema: Mapping[str, Any]) -> ValueCheck:
    """The check of `schema` and everything inside it."""
    kind = "int-or-string" if schema.get("x-kubernetes-int-or-string") else str(schema.get("type") or "")
    inner = [
        check
        for check in (
            _enum(schema), _strings(schema), _numbers(schema), _arrays(schema), _objects(schema), *_junctors(schema),
            _embedded(schema),
        )
        if check is not None
    ]
    nullable = bool(schema.get("nullable"))

    def check_value(value: Any, path: str, found: Causes) -> None:
        if value is None and nullable:
            return
        if not _is_of(value, kind):
            _wrong_type(value, kind, path, found)
            return
        for check in inner:
            check(value, path, found)

    return check_value


def _is_of(value: Any, kind: str) -> bool:
    if not kind:
        return True
    if kind == "int-or-string":
        return isinstance(value, int | str) and value.__class__ is not bool
    if value.__class__ is bool:
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _CLASSES.get(kind, (object,)))


def _wrong_type(value: Any, kind: str, path: str, found: Causes) -> None:
    wanted = "integer,string" if kind == "int-or-string" else kind
    seen = next((name for name in ("boolean", "string", "integer", "number", "array", "object") if _is_of(value, name)), "null")
    place = path or "<nil>"
    found.wrong_type(place, seen, f'{place} in body must be of type {wanted}: "{seen}"')


def _enum(schema: Mapping[str, Any]) -> ValueCheck | None:
    allowed = schema.get("enum")
    if not allowed:
        return None

    def check_enum(value: Any, path: str, found: Causes) -> None:
        if not any(value == one and value.__class__ is one.__class__ for one in allowed):
            texts = [one if isinstance(one, str) else shown(one) for one in allowed]
            found.not_supported(path, value, texts)

    return check_enum


def _strings(schema: Mapping[str, Any]) -> ValueCheck | None:
    low, high, text, form = (schema.get(k) for k in ("minLength", "maxLength", "pattern", "format"))
    pattern = compile_pattern(text) if text else None
    is_format = _FORMATS.get(form or "")
    if low is None and high is None and pattern is None and is_format is None:
        return None

    def check_string(value: Any, path: str, found: Causes) -> None:
        if not isinstance(value, str):
            return
        if high is not None and len(value) > high:
            found.too_long(path, high)
        if low is not None and len(value) < low:
            found.invalid(path, value, f"{path} in body should be at least {low} chars long")
        if pattern is not None and not pattern.search(value):
            found.invalid(path, value, f"{path} in body should match '{text}'")
        if is_format is not None and not is_format(value):
            found.invalid(path, value, f'{path} in body must be of type {form}: "{value}"')

    return check_string


def _numbers(schema: Mapping[str, Any]) -> ValueCheck | None:
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    above, below = bool(schema.get("exclusiveMinimum")), bool(schema.get("exclusiveMaximum"))
    bits = {"int32": 31, "int64": 63}.get(str(schema.get("format") or "")) if schema.get("type") == "integer" else None
    if low is None and high is None and step is None and bits is None:
        return None

    def check_number(value: Any, path: str, found: Causes) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return
        if bits is not None and not -(2**bits) <= value < 2**bits:
            found.invalid(path, value, f"{path} in body must be of type int{bits + 1}: {value}")
        if low is not None and (value <= low if above else value < low):
            word = "greater than" if above else "greater than or equal to"
            found.invalid(path, value, f"{path} in body should be {word} {low}")
        if high is not None and (value >= high if below else value > high):
            word = "less than" if below else "less than or equal to"
            found.invalid(path, value, f"{path} in body should be {word} {high}")
        if step and Decimal(str(value)) % Decimal(str(step)):
            found.invalid(path, value, f"{path} in body should be a multiple of {step}")

    return check_number


def _arrays(schema: Mapping[str, Any]) -> ValueCheck | None:
    if schema.get("type") != "array" and "items" not in schema and "minItems" not in schema and "maxItems" not in schema:
        return None
    low, high = schema.get("minItems"), schema.get("maxItems")
    item = compile_check(schema["items"]) if isinstance(schema.get("items"), dict) else None
    list_type, keys = schema.get("x-kubernetes-list-type"), tuple(schema.get("x-kubernetes-list-map-keys") or ())

    def check_array(value: Any, path: str, found: Causes) -> None:
        if not isinstance(value, list):
            return
        if high is not None and len(value) > high:
            found.too_many(path, len(value), high)
            return  # a list over its limit may be huge: its items are not looked at
        if low is not None and len(value) < low:
            found.invalid(path, len(value), f"{path} in body should have at least {low} items")
        if item is not None:
            for index, member in enumerate(value):
                item(member, f"{path}[{index}]", found)
        if list_type in ("set", "map"):
            _check_unique(value, keys if list_type == "map" else None, path, found)

    return check_array


def _check_unique(value: list[Any], keys: tuple[str, ...] | None, path: str, found: Causes) -> None:
    seen: set[str] = set()
    for index, member in enumerate(value):
        if keys is not None and not isinstance(member, dict):
            continue
        identity = member if keys is None else {key: member.get(key) for key in keys}
        text = shown(identity)
        if text in seen:
            found.duplicate(f"{path}[{index}]", identity)
        seen.add(text)


def _objects(schema: Mapping[str, Any]) -> ValueCheck | None:
    required = tuple(schema.get("required") or ())
    properties = {name: compile_check(inner) for name, inner in (schema.get("properties") or {}).items()}
    extra = schema.get("additionalProperties")
    others = compile_check(extra) if isinstance(extra, dict) else None
    low, high = schema.get("minProperties"), schema.get("maxProperties")
    if not required and not properties and others is None and low is None and high is None:
        return None

    def check_object(value: Any, path: str, found: Causes) -> None:
        if not isinstance(value, dict):
            return
        if high is not None and len(value) > high:
            found.too_many(path, len(value), high)
        if low is not None and len(value) < low:
            found.invalid(path, len(value), f"{path} in body should have at least {low} properties")
        for name in required:
            if name not in value:
                found.required(f"{path}.{name}" if path else name)
        for name, member in value.items():
            check = properties.get(name, others)
            if check is not None:
                check(member, f"{path}.{name}" if path else name, found)

    return check_object


def _junctors(schema: Mapping[str, Any]) -> list[ValueCheck]:
    checks: list[ValueCheck] = [compile_check(inner) for inner in schema.get("allOf") or ()]
    if schema.get("anyOf"):
        checks.append(_any_of([compile_check(inner) for inner in schema["anyOf"]]))
    if schema.get("oneOf"):
        checks.append(_one_of([compile_check(inner) for inner in schema["oneOf"]]))
    if isinstance(schema.get("not"), dict):
        checks.append(_not(compile_check(schema["not"])))
    return checks


def _passes(check: ValueCheck, value: Any, path: str) -> bool:
    inner = Causes()
    check(value, path, inner)
    return not inner


def _any_of(checks: list[ValueCheck]) -> ValueCheck:
    def check_any(value: Any, path: str, found: Causes) -> None:
        best: list[Cause] | None = None
        for check in checks:
            inner = Causes()
            check(value, path, inner)
            if not inner:
                return
            best = inner if best is None or len(inner) < len(best) else best
        found.invalid(path, value, f"{_place(path)} in body must validate at least one schema (anyOf)")
        found.extend(best or ())

    return check_any


def _one_of(checks: list[ValueCheck]) -> ValueCheck:
    def check_one(value: Any, path: str, found: Causes) -> None:
        matched = sum(1 for check in checks if _passes(check, value, path))
        if matched != 1:
            seen = "Found none valid" if not matched else f"Found {matched} valid alternatives"
            text = f"{_place(path)} in body must validate one and only one schema (oneOf). {seen}"
            found.invalid(path, value, text)

    return check_one


def _not(check: ValueCheck) -> ValueCheck:
    def check_not(value: Any, path: str, found: Causes) -> None:
        if _passes(check, value, path):
            found.invalid(path, value, f"{_place(path)} in body must not validate the schema (not)")

    return check_not


def _place(path: str) -> str:
    return f'"{path}"' if path else '"<nil>"'


def _embedded(schema: Mapping[str, Any]) -> ValueCheck | None:
    return _check_embedded if schema.get("x-kubernetes-embedded-resource") else None


def _check_embedded(value: Object, path: str, found: Causes) -> None:
    """An object inside an object says what it is."""
    for key in ("apiVersion", "kind"):
        if not value.get(key):
            found.required(f"{path}.{key}", "must not be empty")
    meta = value.get("metadata")
    if isinstance(meta, dict):
        for key, check in (("labels", metadata.check_labels), ("annotations", metadata.check_annotations)):
            if isinstance(meta.get(key), dict):
                check(meta[key], f"{path}.metadata.{key}", found)


def _quiet(reader: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_form(text: str) -> bool:
        try:
            reader(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return is_form


def _has_scheme(text: str) -> None:
    if not urlsplit(text).scheme and not text.startswith("/"):
        raise ValueError(text)


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _quiet(parse_rfc3339),
    "datetime": _quiet(parse_rfc3339),
    "date": _quiet(date.fromisoformat),
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "byte": _quiet(lambda text: base64.b64decode(text, validate=True)),
    "uri": _quiet(_has_scheme),
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": lambda text: _HOST.fullmatch(text) is not None and len(text) <= 255,
    "ipv4": lambda text: (address := names.address_of(text)) is not None and address.version == 4,
    "ipv6": lambda text: (address := names.address_of(text)) is not None and address.version == 6,
    "cidr": is_cidr,
    "mac": lambda text: _MAC.fullmatch(text) is not None,
    "uuid": _quiet(UUID),
    "uuid3": _quiet(UUID),
    "uuid4": _quiet(UUID),
    "uuid5": _quiet(UUID),
}

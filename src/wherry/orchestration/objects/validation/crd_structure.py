"""Whether the schema of a custom resource is structural: every value typed, nothing the API server could not keep up.

Spec: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
Never: validates objects (`custom/schema.py`), or evaluates x-kubernetes-validations.
"""

import re
from collections.abc import Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.patterns import compile_pattern

TYPES = ("array", "boolean", "integer", "number", "object", "string")
DEPTH_MAX = 100
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INNER_FORBIDDEN = (
    "type", "default", "title", "description", "nullable", "additionalProperties", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
)


# What JSON each keyword takes. Needed because `items` and `additionalProperties` come undecoded: they may be a bool or a list.
_KEYWORDS: Mapping[tuple[type, ...], tuple[str, ...]] = {
    (dict,): ("properties", "not", "patternProperties", "definitions", "dependencies", "externalDocs"),
    (list,): ("required", "enum", *_JUNCTORS, "x-kubernetes-list-map-keys", "x-kubernetes-validations"),
    (str,): ("type", "format", "pattern", "title", "description", "$ref", "x-kubernetes-list-type", "x-kubernetes-map-type"),
    (bool,): (
        "nullable", "uniqueItems", "exclusiveMinimum", "exclusiveMaximum", "x-kubernetes-int-or-string",
        "x-kubernetes-embedded-resource", "x-kubernetes-preserve-unknown-fields",
    ),
    (int,): ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    (int, float): ("minimum", "maximum", "multipleOf"),
}
_KEYWORD_TYPES = {keyword: classes for classes, keywords in _KEYWORDS.items() for keyword in keywords}


def _has_wrong_keyword(schema: Object, path: str, found: Causes) -> bool:
    wrong = False
    for keyword, value in schema.items():
        classes = _KEYWORD_TYPES.get(keyword)
        if value is None or classes is None:
            continue
        if not isinstance(value, classes) or (value.__class__ is bool and bool not in classes):
            found.wrong_type(f"{path}.{keyword}", value, f"must be {' or '.join(c.__name__ for c in classes)}")
            wrong = True
    names = [*(schema.get("required") or ()), *(schema.get("x-kubernetes-list-map-keys") or ())] if not wrong else []
    if any(not isinstance(name, str) for name in names):
        found.wrong_type(path, names, "must be a list of names")
        wrong = True
    return wrong


def check_schema(schema: Any, path: str, found: Causes) -> None:
    """The whole `openAPIV3Schema`."""
    if not isinstance(schema, dict):
        found.required(path, "schemas are required")
        return
    if _has_wrong_keyword(schema, path, found):
        return
    if not schema.get("type"):
        found.required(f"{path}.type", "must not be empty at the root")
    elif schema["type"] != "object":
        found.invalid(f"{path}.type", schema["type"], "must be object at the root")
    metadata = (schema.get("properties") or {}).get("metadata")
    if isinstance(metadata, dict) and set(metadata.get("properties") or ()) - {"name", "generateName"}:
        text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        found.forbidden(f"{path}.properties[metadata]", text)
    _check_node(schema, path, "", found, 0)


def _check_node(schema: Any, path: str, role: str, found: Causes, depth: int) -> None:
    if not isinstance(schema, dict):
        found.wrong_type(path, schema, "must be an object")
        return
    if depth > DEPTH_MAX:
        found.invalid(path, "", f"nested deeper than {DEPTH_MAX} levels")
        return
    if role and _has_wrong_keyword(schema, path, found):
        return
    _check_type(schema, path, role, found)
    _check_forbidden(schema, path, found)
    _check_lists(schema, path, found)
    _check_pattern(schema, path, found)
    for name, inner in (schema.get("properties") or {}).items():
        _check_node(inner, f"{path}.properties[{name}]", "specified object fields", found, depth + 1)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        _check_node(extra, f"{path}.additionalProperties", "specified object fields", found, depth + 1)
    items = schema.get("items")
    if isinstance(items, list):
        found.forbidden(f"{path}.items", "items must be a schema object and not an array")
    elif items is not None:
        _check_node(items, f"{path}.items", "specified array items", found, depth + 1)
    for key in _JUNCTORS:
        for index, inner in enumerate(schema.get(key) or ()):
            _check_inner(inner, schema, f"{path}.{key}[{index}]", found, depth + 1)
    if schema.get("not") is not None:
        _check_inner(schema["not"], schema, f"{path}.not", found, depth + 1)


def _check_type(schema: Object, path: str, role: str, found: Causes) -> None:
    kind = schema.get("type")
    is_free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if kind and kind not in TYPES:
        found.not_supported(f"{path}.type", kind, TYPES)
    elif not kind and role and not is_free:
        found.required(f"{path}.type", f"must not be empty for {role}")
    if schema.get("x-kubernetes-int-or-string") and kind:
        text = "must be empty if x-kubernetes-int-or-string is true"
        found.forbidden(f"{path}.type", text)
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        found.invalid(f"{path}.type", kind or "", "must be object if x-kubernetes-embedded-resource is true")
    if kind == "array" and schema.get("items") is None:
        found.required(f"{path}.items", "must be specified")


def _check_forbidden(schema: Object, path: str, found: Causes) -> None:
    if schema.get("$ref"):
        found.forbidden(f"{path}.$ref", "$ref is not supported")
    for key in ("definitions", "dependencies", "patternProperties", "id", "additionalItems"):
        if schema.get(key):
            found.forbidden(f"{path}.{key}", f"{key} is not supported")
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.forbidden(f"{path}.uniqueItems", text)
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        text = "additionalProperties and properties are mutual exclusive"
        found.forbidden(f"{path}.additionalProperties", text)
    if schema.get("additionalProperties") is False:
        found.forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")


def _check_lists(schema: Object, path: str, found: Causes) -> None:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
    found.one_of(f"{path}.x-kubernetes-list-type", kind, ("atomic", "map", "set"), is_required=False)
    if kind and schema.get("type") != "array":
        found.invalid(f"{path}.type", schema.get("type") or "", "must be array if x-kubernetes-list-type is specified")
    if kind == "map" and not keys:
        found.required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    elif keys and kind != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        found.invalid(f"{path}.x-kubernetes-list-type", kind, text)
    item = schema.get("items")
    fields = item.get("properties") if isinstance(item, dict) else None
    known = fields if isinstance(fields, dict) else {}
    for key in keys:
        if key not in known:
            text = "entries must all be names of item properties"
            found.invalid(f"{path}.x-kubernetes-list-map-keys", list(keys), text)
    found.one_of(f"{path}.x-kubernetes-map-type", schema.get("x-kubernetes-map-type"), ("atomic", "granular"),
                 is_required=False)


def _check_pattern(schema: Object, path: str, found: Causes) -> None:
    pattern = schema.get("pattern")
    if not pattern:
        return
    try:
        compile_pattern(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        found.invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}")


def _check_inner(schema: Any, outer: Mapping[str, Any], path: str, found: Causes, depth: int) -> None:
    """Inside allOf, anyOf, oneOf and not: conditions only, over fields that the outer schema names."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        found.wrong_type(path, "", "must be an object")
        return
    if _has_wrong_keyword(schema, path, found):
        return
    allowed_int_or_string = outer.get("x-kubernetes-int-or-string") and schema.get("type") in ("integer", "string")
    for key in _INNER_FORBIDDEN:
        if schema.get(key) is not None and not (key == "type" and allowed_int_or_string):
            found.forbidden(f"{path}.{key}", "must be empty to be structural")
    _check_pattern(schema, path, found)
    known = outer.get("properties") or {}
    known = known if isinstance(known, dict) else {}
    for name, inner in (schema.get("properties") or {}).items():
        if name not in known and not isinstance(outer.get("additionalProperties"), dict):
            place = f"{path.rpartition('.')[0]}.properties[{name}]"
            found.required(place, f"because it is defined in {path}.properties[{name}]")
        outside = known.get(name) or outer.get("additionalProperties")
        _check_inner(inner, outside if isinstance(outside, dict) else {}, f"{path}.properties[{name}]", found, depth + 1)
    if isinstance(schema.get("items"), dict):
        outer_items = outer.get("items")
        _check_inner(schema["items"], outer_items if isinstance(outer_items, dict) else {}, f"{path}.items", found, depth + 1)
    for key in _JUNCTORS:
        for index, inner in enumerate(schema.get(key) or ()):
            _check_inner(inner, outer, f"{path}.{key}[{index}]", found, depth + 1)
    if schema.get("not") is not None:
        _check_inner(schema["not"], outer, f"{path}.not", found, depth + 1)

"""The built-in kinds as OpenAPI v3 component schemas.

In:    the compact schema data (`objects/schema_data.py`) and our own short descriptions.
Out:   `built_in(name)`: one definition; `with_references(names)`: definitions and all they refer to.
Spec:  OpenAPI 3.0.3 with the x-kubernetes extensions; references stand in `allOf`, as the API server writes them, so that
       descriptions can stand beside them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from wherry.orchestration.apiserver.openapi.descriptions import describe_field, describe_kind
from wherry.orchestration.objects.schema_data import data

Schema = dict[str, Any]

REF = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PATCH = f"{META}Patch"
_SPECIAL: Mapping[str, Schema] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "oneOf": [{"type": "string"}, {"type": "number"}],
        "description": "An amount such as 500m, 1.5 or 2Gi: a number with an optional decimal or binary suffix.",
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}],
        "description": "A number, or a text such as a percentage or a name.",
    },
    f"{META}Time": {"type": "string", "format": "date-time", "description": "A moment as RFC 3339 text, to the second."},
    f"{META}MicroTime": {"type": "string", "format": "date-time", "description": "A moment, to the microsecond."},
    PATCH: {"type": "object", "description": "A patch; the Content-Type says of which kind."},
}
_SHAPE_REFS = {
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "int-or-string": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "time": f"{META}Time",
}
_EXTENSIONS = ("list-type", "list-map-keys", "map-type", "patch-strategy", "patch-merge-key")


def reference(name: str) -> Schema:
    """A bare `$ref`."""
    return {"$ref": f"{REF}{name}"}


@cache
def built_in(name: str) -> Schema:
    """One definition by upstream's name; shared, do not change. Raise `KeyError` when there is none."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    raw = data()["definitions"][name]
    short = name.rpartition(".")[2]
    out: Schema = {"type": "object", "description": describe_kind(short)}
    if raw["fields"]:
        out["properties"] = {key: _field(short, key, field) for key, field in raw["fields"].items()}
    if raw.get("required"):
        out["required"] = list(raw["required"])
    if raw.get("map-type"):
        out["x-kubernetes-map-type"] = raw["map-type"]
    if kinds := _kinds_of().get(name):
        out["x-kubernetes-group-version-kind"] = kinds
    return out


def definition_name(api_version: str, kind: str) -> str | None:
    """The definition of a built-in kind."""
    name: str | None = data()["kinds"].get(f"{api_version}/{kind}")
    return name


def with_references(
    names: Iterable[str], custom: Mapping[str, Schema], find: Callable[[str], Schema] = built_in
) -> dict[str, Schema]:
    """Definitions by name, those they refer to included, sorted. `custom` holds the ones that are not built in."""
    kept: dict[str, Schema] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in kept:
            kept[name] = custom[name] if name in custom else find(name)
            todo += references(kept[name])
    return dict(sorted(kept.items()))


def references(value: Any) -> Iterator[str]:
    """Every definition name that `value` refers to."""
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(REF):
            yield target[len(REF):]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@cache
def _kinds_of() -> dict[str, list[dict[str, str]]]:
    kinds: dict[str, list[dict[str, str]]] = {}
    for path, name in data()["kinds"].items():
        api_version, _, kind = path.rpartition("/")
        group, _, version = api_version.rpartition("/")
        kinds.setdefault(name, []).append({"group": group, "kind": kind, "version": version})
    return kinds


def _field(parent: str, key: str, raw: Mapping[str, Any]) -> Schema:
    out = _typed(raw)
    if "$ref" in out:
        out = {"allOf": [out]}
    if text := describe_field(parent, key):
        out["description"] = text
    for extension in _EXTENSIONS:
        if extension in raw:
            out[f"x-kubernetes-{extension}"] = raw[extension]
    return out


def _typed(raw: Mapping[str, Any]) -> Schema:
    if "ref" in raw:
        return reference(raw["ref"])
    shape = raw["shape"]
    match shape:
        case "list":
            return {"type": "array", "items": _item(raw["item"])}
        case "map":
            return {"type": "object", "additionalProperties": _item(raw["item"])}
        case "any":
            return {"description": "Any JSON value."}
        case "time" if raw.get("format") == "micro-time":
            return reference(f"{META}MicroTime")
    if shape in _SHAPE_REFS:
        return reference(_SHAPE_REFS[shape])
    return {"type": shape, "format": raw["format"]} if raw.get("format") else {"type": shape}


def _item(raw: Mapping[str, Any]) -> Schema:
    out = _typed(raw)
    return {"allOf": [out]} if "$ref" in out else out

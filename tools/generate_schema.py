"""Turn the upstream schema of the served kinds into `schema.json.zst` and `types.py`.

In:    `_definitions.json` of PyPI `kubernetes-validate` (a development dependency), `objects/kinds.py` and `go_shape.json.zst`.
Out:   the structure without any upstream prose, and one TypedDict a definition. Both are checked in.
Run:   .venv/bin/python tools/generate_schema.py
"""

import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import zstandard

from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.schema_data import go_zeros

VERSION = "v1.37.0"
SOURCE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"{VERSION}-local" / "_definitions.json"
OBJECTS = Path(__file__).parent.parent / "src" / "wherry" / "orchestration" / "objects"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
SUBRESOURCE_KINDS = {
    ("policy", "v1", "Eviction"), ("autoscaling", "v1", "Scale"), ("authentication.k8s.io", "v1", "TokenRequest"),
}
META_KINDS = (
    "DeleteOptions", "Status", "WatchEvent", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions",
)
SPECIAL = {  # definitions that are one JSON value rather than an object with fields
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    f"{META}Time": "time",
    f"{META}MicroTime": "time",
    f"{META}FieldsV1": "any",
    f"{META}Patch": "any",
} | {
    f"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}": "any"
    for name in ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")
}
PYTHON = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "time": "str", "any": "Any",
    "int-or-string": "int | str", "quantity": "str | int | float", "object": "dict[str, Any]",
}


def type_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else next(k for k in kind if k != "null")


def field_of(schema: dict[str, Any]) -> dict[str, Any]:
    """One field (or item) in the compact form that `schema_data.py` reads."""
    out: dict[str, Any] = {}
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        out = {"shape": SPECIAL[name]} if name in SPECIAL else {"ref": name}
        if name == f"{META}MicroTime":
            out["format"] = "micro-time"
    elif "items" in schema:
        out = {"shape": "list", "item": field_of(schema["items"])}
    elif isinstance(schema.get("additionalProperties"), dict):
        out = {"shape": "map", "item": field_of(schema["additionalProperties"])}
    else:
        out = {"shape": type_of(schema)}
    for key in ("list-type", "list-map-keys", "map-type", "patch-strategy", "patch-merge-key"):
        if value := schema.get(f"x-kubernetes-{key}"):
            out[key] = value
    if schema.get("format") and out.get("shape") != "time":
        out["format"] = schema["format"]
    return out


def definition_of(schema: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"fields": {name: field_of(sub) for name, sub in schema.get("properties", {}).items()}}
    if schema.get("required"):
        out["required"] = schema["required"]
    if schema.get("x-kubernetes-map-type"):
        out["map-type"] = schema["x-kubernetes-map-type"]
    return out


def references(field: dict[str, Any]) -> Iterator[str]:
    if "ref" in field:
        yield field["ref"]
    if "item" in field:
        yield from references(field["item"])


def served_kinds(definitions: dict[str, Any]) -> dict[str, str]:
    """`apiVersion/kind` -> definition name, for every kind and list kind that is served."""
    wanted = {(r.group, r.version, kind) for r in BUILTIN for kind in (r.kind, r.list_kind)} | SUBRESOURCE_KINDS
    kinds = {f"v1/{kind}": META + kind for kind in META_KINDS}
    for name, schema in definitions.items():
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            group, version, kind = gvk["group"], gvk["version"], gvk["kind"]
            if (group, version, kind) in wanted:
                kinds[f"{group}/{version}/{kind}".lstrip("/")] = name
    return kinds


def compact(definitions: dict[str, Any]) -> dict[str, Any]:
    kinds = served_kinds(definitions)
    todo = list(kinds.values())
    kept: dict[str, Any] = {}
    while todo:
        name = todo.pop()
        if name not in kept:
            kept[name] = definition_of(definitions[name])
            todo += [ref for field in kept[name]["fields"].values() for ref in references(field)]
    return {"version": VERSION, "kinds": dict(sorted(kinds.items())), "definitions": dict(sorted(kept.items()))}


def class_names(definitions: dict[str, Any]) -> dict[str, str]:
    """Definition name -> class name: the last word; a second one of the same word gets group and version in front."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(definitions, key=lambda n: (".api.core.v1." not in n, ".v2." not in n, n)):
        *_, group, version, short = name.split(".")
        chosen = short if short not in taken else f"{group.title()}{version.upper()}{short}"
        taken.add(chosen)
        names[name] = chosen
    return names


def python_type(field: dict[str, Any], names: dict[str, str]) -> str:
    if "ref" in field:
        return names[field["ref"]]
    match field["shape"]:
        case "list":
            return f"list[{python_type(field['item'], names)}]"
        case "map":
            return f"dict[str, {python_type(field['item'], names)}]"
    return PYTHON[field["shape"]]


def member_type(definition: str, key: str, field: dict[str, Any], names: dict[str, str]) -> str:
    """The type of a field; null is among its values where Go writes that for the empty one."""
    kind = python_type(field, names)
    is_null = kind != "Any" and go_zeros(definition).get(key, False) is None
    return f"{kind} | None" if is_null else kind


def class_text(name: str, fields: dict[str, str]) -> str:
    if all(re.fullmatch(r"[A-Za-z_]\w*", key) and not keyword.iskeyword(key) for key in fields):
        body = "\n".join(f"    {key}: {kind}" for key, kind in fields.items()) or "    pass"
        return f"class {name}(TypedDict, total=False):\n{body}\n"
    body = "\n".join(f'        "{key}": "{kind}",' for key, kind in fields.items())
    return f'{name} = TypedDict(\n    "{name}",\n    {{\n{body}\n    }},\n    total=False,\n)\n'


def types_text(data: dict[str, Any]) -> str:
    names = class_names(data["definitions"])
    classes = [
        class_text(names[name], {key: member_type(name, key, field, names) for key, field in definition["fields"].items()})
        for name, definition in sorted(data["definitions"].items(), key=lambda item: names[item[0]])
    ]
    return (
        '"""The built-in kinds as TypedDicts, for mypy only: import under TYPE_CHECKING.\n\n'
        f"Written by tools/generate_schema.py from the Kubernetes {VERSION} schema; do not edit.\n"
        '"""\n\nfrom __future__ import annotations\n\nfrom typing import Any, TypedDict\n\n\n' + "\n\n".join(classes)
    )


def main() -> None:
    data = compact(json.loads(SOURCE.read_text(encoding="utf-8"))["$defs"])
    packed = zstandard.ZstdCompressor(level=19).compress(json.dumps(data, separators=(",", ":")).encode())
    (OBJECTS / "schema.json.zst").write_bytes(packed)
    (OBJECTS / "types.py").write_text(types_text(data), encoding="utf-8")


if __name__ == "__main__":
    main()

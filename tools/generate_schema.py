"""Turn the upstream schema of the served kinds into `schema.json.zst`.

In:    `_definitions.json` of PyPI `kubernetes-validate` (a development dependency) and `objects/kinds.py`.
Out:   the structure without any upstream prose. It is checked in.
Run:   .venv/bin/python tools/generate_schema.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import zstandard

from wherry.orchestration.objects.kinds import BUILTIN

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


def main() -> None:
    data = compact(json.loads(SOURCE.read_text(encoding="utf-8"))["$defs"])
    packed = zstandard.ZstdCompressor(level=19).compress(json.dumps(data, separators=(",", ":")).encode())
    (OBJECTS / "schema.json.zst").write_bytes(packed)


if __name__ == "__main__":
    main()

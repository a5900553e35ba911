"""Custom resources as OpenAPI v3 component schemas.

In:    a CRD version's `Resource` and its structural schema.
Out:   definitions of the kind and of its list, named as the API server names them (`com.example.v1.CronTab`).
Spec:  https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#publish-validation-schema-in-openapi
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.apiserver.openapi.schemas import META, Schema, reference
from wherry.orchestration.objects.resources import Resource

API_VERSION = {"type": "string", "description": "Group and version this object is written in."}
KIND = {"type": "string", "description": "What this object is, in CamelCase."}
_METADATA = f"{META}ObjectMeta"
_LIST_METADATA = f"{META}ListMeta"


@dataclass(frozen=True)
class CustomSchema:
    """One served version of a CRD. `schema` is its `openAPIV3Schema`, None when it has none; never changed here."""

    resource: Resource
    schema: Mapping[str, Any] | None


def definition_of(resource: Resource) -> str:
    """`com.example.stable.v1.CronTab` for stable.example.com/v1 CronTab."""
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def definitions(custom: CustomSchema) -> dict[str, Schema]:
    """The kind and its list."""
    resource, name = custom.resource, definition_of(custom.resource)
    gvk = {"group": resource.group, "version": resource.version}
    listing = {
        "type": "object", "description": f"A list of {resource.kind}.", "required": ["items"],
        "properties": {
            "apiVersion": API_VERSION, "kind": KIND,
            "metadata": {"allOf": [reference(_LIST_METADATA)], "description": "Of the list as a whole."},
            "items": {"type": "array", "items": reference(name), "description": f"The {resource.plural}."},
        },
        "x-kubernetes-group-version-kind": [{**gvk, "kind": resource.list_kind}],
    }
    kind = {**_published(custom.schema), "x-kubernetes-group-version-kind": [{**gvk, "kind": resource.kind}]}
    return {name: kind, f"{name}List": listing}


def _published(schema: Mapping[str, Any] | None) -> Schema:
    out: Schema = dict(schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    inside = {
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"allOf": [reference(_METADATA)], "description": "Name, namespace, labels and the like."},
    }
    # A root that keeps unknown fields and names none publishes only its type, so that clients let everything through.
    if out.get("x-kubernetes-preserve-unknown-fields") and not out.get("properties"):
        return out
    out["properties"] = {**(out.get("properties") or {}), **inside}
    return out

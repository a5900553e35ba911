"""OpenAPI v3 parts as OpenAPI v2 (Swagger 2.0), for clients that know only that.

In:    definitions and path items of `schemas.py`, `custom.py` and `paths.py`.
Out:   the same in v2 form. What v2 cannot say (nullable, oneOf, preserved unknown fields) is left open rather than wrong:
       old clients refuse what the document does not allow.
Spec:  OpenAPI 2.0; k8s.io/apiextensions "ToStructuralOpenAPIV2".
"""

from collections.abc import Mapping
from typing import Any

from wherry.orchestration.apiserver.openapi.schemas import REF

DEFINITIONS = "#/definitions/"
_DROPPED = (
    "nullable", "oneOf", "anyOf", "allOf", "not", "default", "x-kubernetes-validations", "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
)


def definition_v2(schema: Mapping[str, Any]) -> dict[str, Any]:
    """One schema, and everything inside it."""
    if isinstance(target := schema.get("$ref"), str):
        return {"$ref": target.replace(REF, DEFINITIONS)}
    out = {key: value for key, value in schema.items() if key not in _DROPPED}
    all_of = schema.get("allOf") or []
    if len(all_of) == 1 and "$ref" in all_of[0]:
        return {**out, "$ref": all_of[0]["$ref"].replace(REF, DEFINITIONS)}
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {**out, "type": "string", "format": "int-or-string"}
    if not schema.get("type") and schema.get("oneOf"):
        return {**out, "type": "string"}  # Quantity
    if schema.get("nullable") or schema.get("x-kubernetes-preserve-unknown-fields"):
        for key in ("type", "items", "properties", "additionalProperties", "required"):
            out.pop(key, None)
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            out["x-kubernetes-preserve-unknown-fields"] = True
            if schema.get("type") == "object":
                out["type"] = "object"
        return out
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = definition_v2(out[key])
    if "properties" in out:
        out["properties"] = {name: definition_v2(inner) for name, inner in out["properties"].items()}
    return out


def path_v2(item: Mapping[str, Any]) -> dict[str, Any]:
    """One path item."""
    out: dict[str, Any] = {}
    for key, value in item.items():
        out[key] = [_parameter(one) for one in value] if key == "parameters" else _operation(value)
    return out


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in parameter.items() if key != "schema"}, **parameter["schema"]}


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in operation.items() if key not in ("requestBody", "responses", "parameters")}
    out["parameters"] = [_parameter(one) for one in operation["parameters"]]
    out["schemes"] = ["https"]
    out["produces"] = ["application/json"]
    if body := operation.get("requestBody"):
        out["consumes"] = list(body["content"])
        schema = definition_v2(next(iter(body["content"].values()))["schema"])
        out["parameters"].append({"name": "body", "in": "body", "required": bool(body["required"]), "schema": schema})
    out["responses"] = {code: _response(response) for code, response in operation["responses"].items()}
    return out


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"description": response["description"]}
    for content in (response.get("content") or {}).values():
        out["schema"] = definition_v2(content["schema"])
    return out

"""Gateway API's CustomResourceDefinitions, made from the compact table `gateway_api.yaml`.

Out:   one CRD per kind: fields, types, limits, defaults, list keys, printer columns. No descriptions, patterns or CEL rules:
       what they would refuse, the dialect says in a status. Upstream's own files may be applied over them and stay.
Spec:  Gateway API v1.6 standard channel; apiextensions.k8s.io/v1 structural schemas.

Notation of a field: its type, then in any order
    string, bool, integer, int32, int64, time, object, a name of `types`; `[]` a list of it, `{}` a map of it
    1..253      length of a string, value of a number      |a|b   the only values
    #..16       number of entries                          map=k, set, atomic   how lists and maps merge
    =JSON       default; `=pending:A+B` conditions A and B that no controller has seen yet
    !           required
"""

from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import yaml

from wherry.application.gateway.model.kinds import GATEWAY_GROUP
from wherry.orchestration.objects.meta import Object

BUNDLE_VERSION = "v1.6.1"
OURS = "wherry.dev/definition"  # an annotation: the definition is from this table
NOT_ENFORCED = "wherry.dev/not-enforced"  # the API server warns with it at create and update
UNSERVED = frozenset({"GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "ListenerSet"})
_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "integer": {"type": "integer"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "time": {"type": "string", "format": "date-time"},
    "object": {"type": "object"},
}


def custom_resource_definitions() -> tuple[Object, ...]:
    """All of them, ready to be applied."""
    return tuple(_definition(kind, row) for kind, row in _table()["kinds"].items())


@cache
def _table() -> dict[str, Any]:
    text = files(__package__).joinpath("gateway_api.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return loaded


def _definition(kind: str, row: dict[str, Any]) -> Object:
    names = {
        "kind": kind, "listKind": f"{kind}List", "plural": row["plural"], "singular": kind.lower(),
        "shortNames": row.get("short", []), "categories": ["gateway-api"],
    }  # fmt: skip
    columns = [*map(_column, row.get("columns", ())), _column(("Age", "date", ".metadata.creationTimestamp"))]
    version = {
        "served": True,
        "schema": {"openAPIV3Schema": _schema(row)},
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}} if "status" in row else {},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{row['plural']}.{GATEWAY_GROUP}",
            "annotations": {
                "api-approved.kubernetes.io": "unapproved, structure only",
                f"{GATEWAY_GROUP}/bundle-version": BUNDLE_VERSION,
                f"{GATEWAY_GROUP}/channel": "standard",
                OURS: "structure-only",
                **({NOT_ENFORCED: f"{kind} is not served by the gateway: nothing happens"} if kind in UNSERVED else {}),
            },
        },
        "spec": {
            "group": GATEWAY_GROUP,
            "names": names,
            "scope": row.get("scope", "Namespaced"),
            "versions": [{"name": name, "storage": name == row["storage"], **version} for name in row["versions"]],
        },
    }


def _column(row: Any) -> Object:
    name, kind, path, *priority = row
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority[0]} if priority else {})


def _schema(row: dict[str, Any]) -> Object:
    properties: Object = dict.fromkeys(("apiVersion", "kind"), _SCALARS["string"])
    properties |= {"metadata": {"type": "object"}, "spec": _object(row["spec"])}
    if "status" in row:
        status = _object(row["status"])
        if pending := status["properties"].get("conditions", {}).get("default"):
            status["default"] = {"conditions": pending}
        properties["status"] = status
    return {"type": "object", "required": ["spec"], "properties": properties}


def _object(name: str) -> Object:
    properties, required = {}, []
    for field, text in _table()["types"][name].items():
        properties[field], is_required = _field(text)
        if is_required:
            required.append(field)
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _field(text: str) -> tuple[Object, bool]:
    kind, *rest = text.split(" ", 1)
    tokens = rest[0].split(" ") if rest else []
    schema = inner = _type(kind.removesuffix("[]").removesuffix("{}"))
    if kind.endswith("[]"):
        schema = {"type": "array", "items": inner}
    elif kind.endswith("{}"):
        schema = {"type": "object", "additionalProperties": inner}
    while tokens and tokens[-1] == "!":
        tokens.pop()
    default = next((place for place, token in enumerate(tokens) if token.startswith("=")), len(tokens))
    if default < len(tokens):  # a default may hold blanks, and ends the text
        schema["default"] = _default(" ".join(tokens[default:])[1:])
    for token in tokens[:default]:
        _limit(schema, inner, token)
    return schema, text.endswith(" !")


def _type(name: str) -> Object:
    return dict(_SCALARS[name]) if name in _SCALARS else _object(name)


def _default(text: str) -> Any:
    if text.startswith("pending:"):
        return [
            {"type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
             "lastTransitionTime": "1970-01-01T00:00:00Z"}
            for kind in text.removeprefix("pending:").split("+")
        ]  # fmt: skip
    return orjson.loads(text)


def _limit(schema: Object, inner: Object, token: str) -> None:
    if token.startswith("|"):
        values = token[1:].split("|")
        inner["enum"] = [int(value) for value in values] if inner["type"] == "integer" else values
    elif token.startswith("map="):
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = token[4:].split(",")
    elif token in ("set", "atomic"):
        schema["x-kubernetes-list-type" if schema["type"] == "array" else "x-kubernetes-map-type"] = token
    elif token.startswith("#"):
        least, most = token[1:].split("..")
        word = "Items" if schema["type"] == "array" else "Properties"
        schema |= {f"{name}{word}": int(value) for name, value in (("min", least), ("max", most)) if value}
    else:
        least, most = token.split("..")
        names = ("minimum", "maximum") if inner["type"] == "integer" else ("minLength", "maxLength")
        inner |= {name: int(value) for name, value in zip(names, (least, most), strict=True) if value}

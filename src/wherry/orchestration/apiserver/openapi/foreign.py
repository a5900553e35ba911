"""The OpenAPI of another API server: v3 as it comes, v2 cut to one group-version and put beside our own. Pure.

In:    its Swagger 2.0 document; ours.
Out:   `url_in`: where the v3 document is. `part_of`: paths below a prefix and the definitions they reach.
       `merged`: both in one document.
Spec:  kube-aggregator's OpenAPI aggregation: a definition of the same name and content is shared, one of another content is
       renamed `<name>_v2`, `_v3` ...
Refuses: what our encoder cannot write (`Broken`): a backend's document must not take away everybody's.
"""

from collections.abc import Mapping
from typing import Any

from wherry.kit.errors import Broken
from wherry.orchestration.apiserver.openapi.gnostic import encode

Document = dict[str, Any]
DEFINITIONS, PARAMETERS = "#/definitions/", "#/parameters/"


def url_in(index: Any, name: str) -> str:
    """Where an /openapi/v3 index has the document of `apis/<group>/<version>`; "" when it has none. Raise `Broken`."""
    try:
        url = ((index.get("paths") or {}).get(name) or {}).get("serverRelativeURL") or ""
    except AttributeError as error:
        raise Broken("its OpenAPI v3 index cannot be used: it is no object of objects") from error
    if not isinstance(url, str) or (url and not url.startswith("/")):
        raise Broken(f"its OpenAPI v3 index has {url!r} for {name}, which is no path")
    return url


def part_of(swagger: Document, prefix: str) -> Document:
    """`paths` and `definitions` of one group-version. Raise `Broken`."""
    try:
        parameters = swagger.get("parameters") or {}
        paths = {
            path: _with_parameters(item, parameters) for path, item in (swagger.get("paths") or {}).items()
            if path == prefix or path.startswith(f"{prefix}/")}
        part: Document = {"paths": paths, "definitions": _reached(paths, swagger.get("definitions") or {})}
        encode({"swagger": "2.0", "info": {"title": "", "version": ""}, **part})
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Broken(f"its OpenAPI v2 document cannot be used: {type(error).__name__}: {error}") from error
    return part


def merged(ours: Document, part: Document) -> Document:
    """Ours and a part of another server. Paths that we have stay ours."""
    definitions = dict(ours["definitions"])
    renamed: dict[str, str] = {}
    for name, schema in part["definitions"].items():
        if name in definitions and definitions[name] != schema:
            renamed[name] = _free_name(name, definitions, schema)
    for name, schema in part["definitions"].items():
        definitions.setdefault(renamed.get(name, name), _with_names(schema, renamed) if renamed else schema)
    paths = {path: _with_names(item, renamed) if renamed else item for path, item in part["paths"].items()}
    return {**ours, "paths": {**paths, **ours["paths"]}, "definitions": definitions}


def _free_name(name: str, known: Mapping[str, Any], schema: Any) -> str:
    number = 2
    while f"{name}_v{number}" in known and known[f"{name}_v{number}"] != schema:
        number += 1
    return f"{name}_v{number}"


def _with_parameters(item: Any, parameters: Mapping[str, Any]) -> Any:
    """The same with shared parameters written out: our document has no place for them."""
    if isinstance(item, dict):
        reference = item.get("$ref")
        if isinstance(reference, str) and reference.startswith(PARAMETERS):
            return parameters[reference.removeprefix(PARAMETERS)]
        return {key: _with_parameters(value, parameters) for key, value in item.items()}
    if isinstance(item, list):
        return [_with_parameters(value, parameters) for value in item]
    return item


def _with_names(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        made = {key: _with_names(inner, renamed) for key, inner in value.items()}
        reference = value.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix(DEFINITIONS)
            made["$ref"] = f"{DEFINITIONS}{renamed.get(name, name)}"
        return made
    if isinstance(value, list):
        return [_with_names(inner, renamed) for inner in value]
    return value


def _reached(paths: Document, definitions: Mapping[str, Any]) -> Document:
    kept: Document = {}
    waiting = _references(paths)
    while waiting:
        name = waiting.pop()
        if name not in kept and name in definitions:
            kept[name] = definitions[name]
            waiting += _references(definitions[name])
    return kept


def _references(value: object) -> list[str]:
    found: list[str] = []
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as one:
                reference = one.get("$ref")
                if isinstance(reference, str):
                    found.append(reference.removeprefix(DEFINITIONS))
                waiting += one.values()
            case list() as several:
                waiting += several
    return found

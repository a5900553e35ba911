"""The OpenAPI documents of everything served, made when first asked for and kept until something changes.

In:    the built-in resources, the custom ones by `set_custom` whenever a CRD changes, those of other servers by `set_foreign`.
Out:   `v3_index()`, `v3_group_version(path)`, `v2_json()`, `v2_protobuf()`: finished bytes.
Spec:  /openapi/v3 and /openapi/v2 of the Kubernetes API server; a group-version's URL carries the hash of its content.
Cost:  nothing until asked; then see README. Building is plain computing: a busy server may hand it to a thread.
Never: I/O. Not there: v3 as protobuf (clients take JSON).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import orjson

from wherry.orchestration.apiserver.discovery.foreign import Foreign
from wherry.orchestration.apiserver.openapi import custom as custom_schemas
from wherry.orchestration.apiserver.openapi.custom import CustomSchema
from wherry.orchestration.apiserver.openapi.foreign import merged
from wherry.orchestration.apiserver.openapi.gnostic import encode
from wherry.orchestration.apiserver.openapi.paths import DELETE_OPTIONS, STATUS, Item, paths_of
from wherry.orchestration.apiserver.openapi.schemas import PATCH, Schema, definition_name, references, with_references
from wherry.orchestration.apiserver.openapi.swagger import definition_v2, path_v2
from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.schema_data import data

TITLE = "Kubernetes"


class Documents:
    """All documents of one server. Not thread-safe; `set_custom` takes the whole list of custom resources every time."""

    def __init__(self, resources: Sequence[Resource] = BUILTIN) -> None:
        self._built_in: dict[str, list[Resource]] = {}
        for resource in resources:
            self._built_in.setdefault(_path_of(resource), []).append(resource)
        self._custom: dict[str, list[CustomSchema]] = {}
        self._foreign: dict[str, Foreign] = {}
        self._custom_hashes: dict[tuple[str, str], tuple[CustomSchema, str]] = {}
        self._made: dict[str, tuple[str, bytes]] = {}

    def set_custom(self, customs: Iterable[CustomSchema]) -> None:
        """Replace the custom resources. Group-versions whose schemas are the same objects keep their documents."""
        self._custom = {}
        for custom in customs:
            self._custom.setdefault(_path_of(custom.resource), []).append(custom)

    def set_foreign(self, rows: Iterable[Foreign]) -> None:
        """Replace what other API servers serve. Theirs comes before ours where both serve a group-version."""
        self._foreign = {f"apis/{row.group}/{row.version}": row for row in rows}

    def v3_index(self) -> bytes:
        """`{"paths": {"apis/apps/v1": {"serverRelativeURL": ...}}}`."""
        paths = sorted({*self._built_in, *self._custom, *(path for path, row in self._foreign.items() if row.openapi_v3)})
        urls = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self.v3_hash(path)}"} for path in paths}
        return orjson.dumps({"paths": urls})

    def v3_hash(self, path: str) -> str:
        """What the URL of `path` (such as `apis/apps/v1`) carries now; "" when it is not served."""
        if path in self._foreign:
            row = self._foreign[path]
            return hashlib.sha256(row.openapi_v3).hexdigest().upper() if row.openapi_v3 else ""
        if path not in self._built_in and path not in self._custom:
            return ""
        parts = [data()["version"], path, *(repr(resource) for resource in self._built_in.get(path, ()))]
        parts += [self._hash_of(custom) for custom in self._custom.get(path, ())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest().upper()

    def v3_group_version(self, path: str) -> bytes | None:
        """The document of `apis/apps/v1` or `api/v1`; None when it is not served."""
        path = path.strip("/")
        if path in self._foreign:
            return self._foreign[path].openapi_v3 or None
        fingerprint = self.v3_hash(path)
        return self._keep(f"v3/{path}", fingerprint, lambda: self._build_v3(path)) if fingerprint else None

    def v2_hash(self) -> str:
        """Changes whenever the v2 documents do: their ETag."""
        parts = [self.v3_hash(path) for path in sorted({*self._built_in, *self._custom})]
        parts += [f"{path} {row.openapi_v2_etag}" for path, row in sorted(self._foreign.items()) if row.openapi_v2]
        return hashlib.sha256("".join(parts).encode()).hexdigest().upper()

    def v2_json(self) -> bytes:
        """Swagger 2.0 of everything."""
        return self._keep("v2/json", self.v2_hash(), lambda: orjson.dumps(self._build_v2()))

    def v2_protobuf(self) -> bytes:
        """The same as gnostic's `openapi.v2.Document`."""
        return self._keep("v2/protobuf", self.v2_hash(), lambda: encode(self._build_v2()))

    def _keep(self, key: str, fingerprint: str, build: Callable[[], bytes]) -> bytes:
        made = self._made.get(key)
        if made is None or made[0] != fingerprint:
            made = self._made[key] = (fingerprint, build())
        return made[1]

    def _hash_of(self, custom: CustomSchema) -> str:
        key = (custom.resource.api_version, custom.resource.kind)
        known = self._custom_hashes.get(key)
        if known is not None and known[0].schema is custom.schema and known[0].resource == custom.resource:
            return known[1]
        text = repr(custom.resource).encode() + orjson.dumps(custom.schema, option=orjson.OPT_SORT_KEYS)
        fingerprint = hashlib.sha256(text).hexdigest()
        self._custom_hashes[key] = (custom, fingerprint)
        return fingerprint

    def _parts(self, path: str) -> tuple[dict[str, Item], set[str], dict[str, Schema]]:
        """(path items, names of definitions they need, custom definitions) of one group-version."""
        paths: dict[str, Item] = {}
        names = {STATUS, DELETE_OPTIONS, PATCH}
        own: dict[str, Schema] = {}
        for resource in self._built_in.get(path, ()):
            name = definition_name(resource.api_version, resource.kind)
            if name is not None:
                paths |= paths_of(resource, name)
                names.add(name)
        for custom in self._custom.get(path, ()):
            own |= custom_schemas.definitions(custom)
            paths |= paths_of(custom.resource, custom_schemas.definition_of(custom.resource))
        names |= {*own, *references(paths)}
        return dict(sorted(paths.items())), names, own

    def _build_v3(self, path: str) -> bytes:
        paths, names, own = self._parts(path)
        schemas = with_references(names, own)
        return orjson.dumps({
            "openapi": "3.0.0",
            "info": {"title": TITLE, "version": data()["version"]},
            "paths": paths,
            "components": {"schemas": schemas},
        })

    def _build_v2(self) -> Schema:
        paths: dict[str, Item] = {}
        names: set[str] = set()
        own: dict[str, Schema] = {}
        for path in sorted({*self._built_in, *self._custom} - {*self._foreign}):
            more_paths, more_names, more_own = self._parts(path)
            paths |= more_paths
            names |= more_names
            own |= more_own
        schemas = with_references(names, own)
        document: Schema = {
            "swagger": "2.0",
            "info": {"title": TITLE, "version": data()["version"]},
            "paths": {path: path_v2(item) for path, item in paths.items()},
            "definitions": {name: definition_v2(schema) for name, schema in schemas.items()},
        }
        for row in self._foreign.values():
            if row.openapi_v2:
                document = merged(document, row.openapi_v2)
        return document


def _path_of(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"

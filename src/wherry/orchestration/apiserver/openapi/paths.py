"""The paths of a resource as OpenAPI v3 path items.

In:    a `Resource` and the names of its definitions.
Out:   path -> item, with operations that name action, kind and every query parameter clients look for: kubectl decides
       about server-side validation by the `fieldValidation` parameter of the PATCH operation.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/ ; x-kubernetes-action, x-kubernetes-group-version-kind.
Not there: the deprecated /watch/ paths.
"""

from typing import Any

from wherry.orchestration.apiserver.discovery.subresources import Subresource, subresources_of
from wherry.orchestration.apiserver.openapi.schemas import META, PATCH, definition_name, reference
from wherry.orchestration.objects.resources import Resource

Item = dict[str, Any]

JSON = "application/json"
BODY_TYPES = (JSON, "application/yaml")
PATCH_TYPES = (
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
STATUS = f"{META}Status"
DELETE_OPTIONS = f"{META}DeleteOptions"
_QUERY: dict[str, tuple[str, str]] = {  # name -> (type, what it does)
    "allowWatchBookmarks": ("boolean", "Send BOOKMARK events now and then."),
    "continue": ("string", "Token of the next page, from the page before."),
    "dryRun": ("string", "All: go through everything but store nothing."),
    "fieldManager": ("string", "Who writes; required for apply patches."),
    "fieldSelector": ("string", "Only objects whose fields match."),
    "fieldValidation": ("string", "Ignore, Warn or Strict: what happens to unknown and duplicate fields."),
    "force": ("boolean", "Take fields over from other managers; apply patches only."),
    "gracePeriodSeconds": ("integer", "Seconds to stop in; 0 is at once."),
    "labelSelector": ("string", "Only objects whose labels match."),
    "limit": ("integer", "At most so many objects a page."),
    "orphanDependents": ("boolean", "Old form of propagationPolicy."),
    "pretty": ("string", "Indented output."),
    "propagationPolicy": ("string", "Orphan, Background or Foreground: what happens to dependents."),
    "resourceVersion": ("string", "The revision to read or to start from."),
    "resourceVersionMatch": ("string", "Exact or NotOlderThan: how to read resourceVersion."),
    "sendInitialEvents": ("boolean", "Begin a watch with what is there."),
    "timeoutSeconds": ("integer", "Seconds until a list or watch is ended."),
    "watch": ("boolean", "Send changes as they happen instead of a list."),
}
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch",
    "sendInitialEvents", "timeoutSeconds", "watch",
)
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_METHODS = {"create": "post", "get": "get", "update": "put", "patch": "patch", "delete": "delete"}
_WORDS = {"create": "create", "get": "read", "update": "replace", "patch": "patch", "delete": "delete"}


def paths_of(resource: Resource, definition: str) -> dict[str, Item]:
    """Every path of `resource`, whose kind is `definition` and whose list is `<definition>List`."""
    made = _Paths(resource, definition)
    return {**made.collections(), **made.items()}


def _parameter(name: str) -> Item:
    kind, text = _QUERY[name]
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}


def _path_parameter(name: str, text: str) -> Item:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string", "uniqueItems": True}}


class _Paths:
    def __init__(self, resource: Resource, definition: str) -> None:
        self._resource = resource
        self._definition = definition
        self._is_custom = not definition.startswith("io.k8s.") or definition_name(resource.api_version, resource.kind) is None
        group = resource.group.split(".")[0].title() if resource.group else "Core"
        self._stem = f"{group}{resource.version.title()}"
        self._tag = f"{group[0].lower()}{group[1:]}_{resource.version}"
        self._gvk = {"group": resource.group, "kind": resource.kind, "version": resource.version}
        self._scope = "Namespaced" if resource.namespaced else ""
        self._shared = [_parameter("pretty")]
        if resource.namespaced:
            self._shared.insert(0, _path_parameter("namespace", "The namespace."))

    def collections(self) -> dict[str, Item]:
        resource, kind = self._resource, self._resource.kind
        item: Item = {}
        if "list" in resource.verbs:
            item["get"] = self._operation("list", f"list{self._stem}{self._scope}{kind}", f"{self._definition}List", _LIST)
        if "create" in resource.verbs:
            item["post"] = self._operation(
                "post", f"create{self._stem}{self._scope}{kind}", self._definition, _WRITE, body=self._definition)
        if "deletecollection" in resource.verbs:
            item["delete"] = self._operation(
                "deletecollection", f"delete{self._stem}Collection{self._scope}{kind}", STATUS, (*_LIST[1:7], *_DELETE),
                body=DELETE_OPTIONS)
        found = {self._path(): {**item, "parameters": self._shared}} if item else {}
        if resource.namespaced and "get" in item:
            everywhere = self._operation("list", f"list{self._stem}{kind}ForAllNamespaces", f"{self._definition}List", _LIST)
            found[resource.path()] = {"get": everywhere, "parameters": [_parameter("pretty")]}
        return found

    def items(self) -> dict[str, Item]:
        verbs = tuple(verb for verb in ("get", "update", "patch", "delete") if verb in self._resource.verbs)
        shared = [_path_parameter("name", f"The name of the {self._resource.kind}."), *self._shared]
        found: dict[str, Item] = {}
        if verbs:
            found[f"{self._path()}/{{name}}"] = {**self._verbs(verbs, None), "parameters": shared}
        for sub in subresources_of(self._resource):
            found[f"{self._path()}/{{name}}/{sub.name}"] = {**self._verbs(sub.verbs, sub), "parameters": shared}
        return found

    def _path(self) -> str:
        return self._resource.path("{namespace}" if self._resource.namespaced else "")

    def _verbs(self, verbs: tuple[str, ...], sub: Subresource | None) -> Item:
        definition, gvk, suffix = self._definition, self._gvk, ""
        if sub is not None:
            suffix = sub.name.title()
            gvk = {"group": sub.group, "kind": sub.kind, "version": sub.version}
            if gvk != self._gvk:
                definition = definition_name(f"{sub.group}/{sub.version}".lstrip("/"), sub.kind) or ""
        item: Item = {}
        for verb in verbs:
            identity = f"{_WORDS[verb]}{self._stem}{self._scope}{self._resource.kind}{suffix}"
            item[_METHODS[verb]] = self._verb(verb, identity, definition, gvk)
        return item

    def _verb(self, verb: str, identity: str, definition: str, gvk: dict[str, str]) -> Item:
        if not definition:  # exec, proxy and the like: streams without a schema
            return self._operation("connect", identity.replace(_WORDS[verb], "connect", 1), "", (), gvk=gvk)
        match verb:
            case "get":
                return self._operation("get", identity, definition, (), gvk=gvk)
            case "delete":
                return self._operation("delete", identity, STATUS, _DELETE, gvk=gvk, body=DELETE_OPTIONS)
            case "patch":
                types = tuple(t for t in PATCH_TYPES if not (self._is_custom and "strategic" in t))
                return self._operation("patch", identity, definition, (*_WRITE, "force"), gvk=gvk, body=PATCH, types=types)
            case "update":
                return self._operation("put", identity, definition, _WRITE, gvk=gvk, body=definition)
        return self._operation("post", identity, definition, _WRITE, gvk=gvk, body=definition)

    def _operation(
        self, action: str, identity: str, answer: str, query: tuple[str, ...], *, gvk: dict[str, str] | None = None,
        body: str = "", types: tuple[str, ...] = BODY_TYPES,
    ) -> Item:
        schema = reference(answer) if answer else {"type": "string"}
        operation: Item = {
            "tags": [self._tag], "operationId": identity,
            "parameters": [_parameter(name) for name in query],
            "responses": {
                "200": {"description": "OK", "content": {JSON: {"schema": schema}}}, "401": {"description": "Unauthorized"},
            },
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk or self._gvk,
        }
        if body:
            content = {media_type: {"schema": reference(body)} for media_type in types}
            operation["requestBody"] = {"content": content, "required": body != DELETE_OPTIONS}
        return operation

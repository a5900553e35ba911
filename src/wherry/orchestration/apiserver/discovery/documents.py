"""Discovery: what is served, as one aggregated document or as the many plain ones.

In:    the served `Resource`s, built in and custom, in order of group priority; what other API servers serve.
Out:   `Discovery`: finished bytes a path and media type; `answer` adds ETag and 304.
Spec:  https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api ; KEP-3352.
Cost:  built once a change of the list (80 resources: 2 ms), each answer is a look-up.
Never: I/O. Not there: protobuf.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.discovery.foreign import Foreign
from wherry.orchestration.apiserver.discovery.priorities import local_priority
from wherry.orchestration.apiserver.discovery.subresources import Subresource, subresources_of
from wherry.orchestration.objects.resources import Resource

Document = dict[str, Any]

JSON = "application/json"
AGGREGATED_VERSIONS = ("v2", "v2beta1")
_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_STABILITY = {None: 2, "beta": 1, "alpha": 0}


class Discovery:
    """All discovery documents of one list of resources. Immutable; make a new one when the list changes."""

    def __init__(self, resources: Sequence[Resource], foreign: Sequence[Foreign] = (), *, server_address: str = "") -> None:
        self._address = server_address
        self._local: dict[tuple[str, str], list[Resource]] = {}
        for resource in resources:
            self._local.setdefault((resource.group, resource.version), []).append(resource)
        self._foreign = {(row.group, row.version): row for row in foreign}
        self._groups = _in_order([*self._local], self._foreign)
        self._built: dict[tuple[str, str], tuple[bytes, str]] = {}

    def answer(self, path: str, accept: str, if_none_match: str = "") -> Response | None:
        """The answer for a discovery path; None when there is no such group or version. Raise `ApiError` 406."""
        path = path.rstrip("/")
        build = self._plain_builder(path)
        if build is None:
            return None
        media_type, version = _choose(accept, is_root=path in ("/api", "/apis"))
        if version:
            body, etag = self._bytes(path, version, lambda: self._aggregated(path, version))
            return _conditional(body, etag, media_type, if_none_match)
        body, _ = self._bytes(path, "", build)
        return Response(200, [("content-type", JSON), ("vary", "Accept")], body)

    @cached_property
    def paths(self) -> list[str]:
        """The API part of the path list that `/` answers with."""
        found = ["/api", "/api/v1", "/apis"]
        for group, versions in self._groups.items():
            if group:
                found += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)]
        return found

    def _plain_builder(self, path: str) -> Callable[[], Document] | None:
        match path.split("/")[1:]:
            case ["api"]:
                return self._api_versions
            case ["apis"]:
                return self._group_list
            case ["api", version] if ("", version) in self._local:
                return lambda: self._resource_list("", version)
            case ["apis", group] if group in self._groups and group:
                return lambda: {"kind": "APIGroup", "apiVersion": "v1"} | self._group(group)
            case ["apis", group, version] if (group, version) in self._local and group:
                return lambda: self._resource_list(group, version)
        return None

    def _bytes(self, path: str, version: str, build: Callable[[], Document]) -> tuple[bytes, str]:
        key = (path, version)
        if key not in self._built:
            body = orjson.dumps(build())
            self._built[key] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
        return self._built[key]

    def _api_versions(self) -> Document:
        return {
            "kind": "APIVersions", "versions": list(self._groups.get("", ())),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}],
        }

    def _group_list(self) -> Document:
        groups = [self._group(group) for group in self._groups if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _group(self, group: str) -> Document:
        versions = [
            {"groupVersion": f"{group}/{version}", "version": version} for version in self._groups[group]
        ]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> Document:
        head: Document = {"kind": "APIResourceList"}
        if group:
            head["apiVersion"] = "v1"
        entries = [entry for resource in self._local[group, version] for entry in _plain_entries(resource)]
        return head | {"groupVersion": f"{group}/{version}" if group else version, "resources": entries}

    def _aggregated(self, path: str, version: str) -> Document:
        wanted = [group for group in self._groups if bool(group) == (path == "/apis")]
        return {
            "kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {},
            "items": [self._aggregated_group(group) for group in wanted],
        }

    def _aggregated_group(self, group: str) -> Document:
        name = {"name": group} if group else {}
        return {"metadata": name, "versions": [self._aggregated_version(group, version) for version in self._groups[group]]}

    def _aggregated_version(self, group: str, version: str) -> Document:
        foreign = self._foreign.get((group, version))
        if foreign is None:
            resources = [_aggregated_entry(resource) for resource in self._local[group, version]]
            return {"version": version, "resources": resources, "freshness": "Current"}
        return {"version": version, "resources": list(foreign.resources),
                "freshness": "Current" if foreign.is_current else "Stale"}


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sorts ascending from the least preferred: other texts, alpha, beta, stable; then by number."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0, "".join(chr(0x10FFFF - ord(letter)) for letter in version + "\0"))
    return (_STABILITY[match[2]], int(match[1]), int(match[3] or 0), "")


def storage_version_hash(resource: Resource) -> str:
    """Tells clients that two versions are stored as the same; opaque."""
    digest = hashlib.sha256(f"{resource.group}/{resource.version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode("ascii")


def _in_order(local: Sequence[tuple[str, str]], foreign: Mapping[tuple[str, str], Foreign]) -> dict[str, list[str]]:
    """Groups and their versions, the preferred first: by the priority of a group's APIServices, then as they came."""
    priority: dict[str, int] = {}
    versions: dict[str, dict[str, int]] = {}
    for group, version in [*local, *foreign]:
        row = foreign.get((group, version))
        of_group, of_version = (row.group_priority, row.version_priority) if row else local_priority(group, version)
        priority[group] = max(priority.get(group, 0), of_group)
        versions.setdefault(group, {})[version] = of_version
    return {
        group: sorted(versions[group], key=lambda version: (versions[group][version], version_priority(version)), reverse=True)
        for group in sorted(versions, key=lambda group: -priority[group])
    }


def _choose(accept: str, *, is_root: bool) -> tuple[str, str]:
    """(content type, aggregated version or "")."""
    if not accept:
        return JSON, ""
    for wish in accept.split(","):
        media_type, *texts = (part.strip() for part in wish.split(";"))
        params = dict(text.partition("=")[::2] for text in texts)
        if media_type not in (JSON, "application/*", "*/*"):
            continue
        if "as" not in params:
            return JSON, ""
        version = params.get("v", "")
        if (is_root and params["as"] == "APIGroupDiscoveryList" and params.get("g") == "apidiscovery.k8s.io"
                and version in AGGREGATED_VERSIONS):
            return f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList", version
    raise errors.not_acceptable([JSON])


def _conditional(body: bytes, etag: str, media_type: str, if_none_match: str) -> Response:
    headers = [("etag", etag), ("vary", "Accept"), ("cache-control", "public")]
    known = {text.strip().removeprefix("W/") for text in if_none_match.split(",")}
    if etag in known or "*" in known:
        return Response(304, headers, b"")
    return Response(200, [("content-type", media_type), *headers], body)


def _plain_entries(resource: Resource) -> list[Document]:
    entry: Document = {
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "list" in resource.verbs:
        entry["storageVersionHash"] = storage_version_hash(resource)
    return [entry, *(_plain_subresource(resource, sub) for sub in subresources_of(resource))]


def _plain_subresource(resource: Resource, sub: Subresource) -> Document:
    entry: Document = {"name": f"{resource.plural}/{sub.name}", "singularName": "", "namespaced": resource.namespaced}
    if (sub.group, sub.version) != (resource.group, resource.version):
        entry |= {"group": sub.group, "version": sub.version}
    return entry | {"kind": sub.kind, "verbs": list(sub.verbs)}


def _aggregated_entry(resource: Resource) -> Document:
    entry: Document = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": list(sub.verbs),
            }
            for sub in subresources_of(resource)
        ]
    return entry

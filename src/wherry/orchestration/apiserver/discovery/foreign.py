"""What another API server serves under one group-version, as our own documents show it. Pure.

In:    a backend's discovery: aggregated, or the plain list of one group-version.
Out:   `Foreign`: entries for the aggregated document; its OpenAPI documents lie beside them (`openapi/foreign.py`).
Spec:  apidiscovery.k8s.io/v2; kube-aggregator's discovery manager.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wherry.kit.errors import Broken

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Foreign:
    """One group-version. `is_current` is False while its server does not answer: `resources` are what was known last."""

    group: str
    version: str
    group_priority: int
    version_priority: int
    resources: Sequence[Document] = ()
    is_current: bool = False
    openapi_hash: str = ""
    openapi_v3: bytes = b""
    openapi_v2: Document = field(default_factory=dict, hash=False, compare=False)
    openapi_v2_etag: str = ""


def resources_in(document: Document, group: str, version: str) -> list[Document] | None:
    """The entries of an APIGroupDiscoveryList for one group-version; None when it is not there. Raise `Broken`."""
    for item in _list(document, "items"):
        if (_dict(item, "metadata").get("name") or "") != group:
            continue
        for found in _list(item, "versions"):
            if found.get("version") == version:
                return [_with_kinds(entry) for entry in _list(found, "resources")]
    return None


def resources_of_plain(document: Document, group: str, version: str) -> list[Document]:
    """The entries of an APIResourceList, in the aggregated form. Raise `Broken`."""
    found: dict[str, Document] = {}
    for entry in _list(document, "resources"):
        name, _, part = str(entry.get("name") or "").partition("/")
        kind = {"group": entry.get("group") or group, "version": entry.get("version") or version, "kind": entry.get("kind") or ""}
        if not part:
            made: Document = {
                "resource": name, "responseKind": kind, "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
                "singularResource": entry.get("singularName") or "", "verbs": list(entry.get("verbs") or ())}
            for key in ("shortNames", "categories"):
                if entry.get(key):
                    made[key] = list(entry[key])
            found[name] = made | {key: value for key, value in found.get(name, {}).items() if key == "subresources"}
        else:
            found.setdefault(name, {"resource": name, "verbs": []}).setdefault("subresources", []).append(
                {"subresource": part, "responseKind": kind, "verbs": list(entry.get("verbs") or ())})
    return list(found.values())


def _with_kinds(entry: Document) -> Document:
    """Older clients fall over an entry without a kind."""
    made = {**entry, "responseKind": entry.get("responseKind") or {"group": "", "version": "", "kind": ""}}
    if entry.get("subresources"):
        made["subresources"] = [_with_kinds(sub) for sub in _list(entry, "subresources")]
    return made


def _list(document: Document, key: str) -> list[Document]:
    found = document.get(key) or [] if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Broken(f"the backend's document has no list of objects under {key}")
    return found


def _dict(document: Document, key: str) -> Document:
    found = document.get(key) or {} if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise Broken(f"the backend's document has no object under {key}")
    return found

"""What another API server serves under one group-version, as our own documents show it. Pure.

In:    a backend's discovery: aggregated, or the plain list of one group-version.
Out:   `Foreign`: entries for the aggregated document; its OpenAPI documents lie beside them (`openapi/foreign.py`).
Spec:  apidiscovery.k8s.io/v2; kube-aggregator's discovery manager.
Refuses: a document that clients of ours, the controllers among them, would fall over (`Broken`): nothing of it is shown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wherry.kit.errors import Broken

Document = dict[str, Any]

SCOPES = ("Namespaced", "Cluster")
_PART = r"(?!\.{1,2}(?:/|$))[\w.:~-]+"
NAMES = {"resource": re.compile(_PART, re.ASCII), "subresource": re.compile(f"{_PART}(?:/{_PART})*", re.ASCII)}  # as in a path
_COPIED = {"singularName": "singularResource", "shortNames": "shortNames", "categories": "categories"}


@dataclass(frozen=True, slots=True)
class Foreign:
    """One group-version. `is_current` is False while its server does not answer: `resources` are what was known last."""

    group: str
    version: str
    group_priority: int
    version_priority: int
    resources: Sequence[Document] = ()
    is_current: bool = False
    openapi_url: str = ""  # where the next line is from; most carry a hash of it
    openapi_v3: bytes = b""
    openapi_v2: Document = field(default_factory=dict, hash=False, compare=False)
    openapi_v2_etag: str = ""


def resources_in(document: Any, group: str, version: str) -> list[Document] | None:
    """The entries of an APIGroupDiscoveryList for one group-version; None when it is not there. Raise `Broken`."""
    for item in _list(document, "items"):
        if (_dict(item, "metadata").get("name") or "") != group:
            continue
        for found in _list(item, "versions"):
            if found.get("version") == version:
                return [_entry(entry) for entry in _list(found, "resources")]
    return None


def resources_of_plain(document: Any, group: str, version: str) -> list[Document]:
    """The entries of an APIResourceList, in the aggregated form. Raise `Broken`."""
    found: dict[str, Document] = {}
    for entry in _list(document, "resources"):
        name, _, part = _text(entry, "name").partition("/")
        kind = {"group": entry.get("group") or group, "version": entry.get("version") or version, "kind": entry.get("kind") or ""}
        scope = "Namespaced" if entry.get("namespaced") else "Cluster"
        own = found.setdefault(name, {"resource": name, "scope": scope, "verbs": []})
        answers = {"responseKind": kind, "verbs": entry.get("verbs") or []}
        if part:
            own.setdefault("subresources", []).append({"subresource": part} | answers)
            continue
        own |= answers | {"scope": scope}
        own |= {to: entry[key] for key, to in _COPIED.items() if entry.get(key)}
    return [_entry(entry) for entry in found.values()]


def _entry(entry: Document) -> Document:
    """The entry with what clients count on: names that are parts of a path, verbs, a kind (older ones fall over without)."""
    if entry.get("scope") not in SCOPES:
        raise Broken(f"{_text(entry, 'resource')!r} has the scope {entry.get('scope')!r}, not one of {', '.join(SCOPES)}")
    made = _part(entry, "resource") | {"scope": entry["scope"]}
    if not isinstance(entry.get("singularResource") or "", str):
        raise Broken(f"{made['resource']!r} has a singularResource that is no text")
    made["singularResource"] = entry.get("singularResource") or ""
    made |= {key: _texts(entry, key) for key in ("shortNames", "categories") if entry.get(key)}
    if entry.get("subresources"):
        made["subresources"] = [_part(sub, "subresource") for sub in _list(entry, "subresources")]
    return made


def _part(entry: Document, key: str) -> Document:
    name = _text(entry, key)
    if not NAMES[key].fullmatch(name):
        raise Broken(f"{name[:80]!r} is not the name of a {key}")
    kind = {part: _dict(entry, "responseKind").get(part) or "" for part in ("group", "version", "kind")}
    if not all(isinstance(part, str) for part in kind.values()):
        raise Broken(f"{name!r} has a responseKind that is no text")
    return {key: name, "responseKind": kind, "verbs": _texts(entry, "verbs")}


def _text(document: Document, key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str):
        raise Broken(f"the backend's document has no text under {key}")
    return found


def _texts(document: Document, key: str) -> list[str]:
    found = document.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Broken(f"the backend's document has no list of texts under {key}")
    return found


def _list(document: Any, key: str) -> list[Document]:
    found = document.get(key) or [] if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Broken(f"the backend's document has no list of objects under {key}")
    return found


def _dict(document: Document, key: str) -> Document:
    found = document.get(key) or {}
    if not isinstance(found, dict):
        raise Broken(f"the backend's document has no object under {key}")
    return found

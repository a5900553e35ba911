"""Small readers and builders for the metadata every object has. Objects are plain JSON dicts (DESIGN decision 1)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.kit.clock import rfc3339

Object = dict[str, Any]

META_API_VERSION = "meta.k8s.io/v1"  # of Table, PartialObjectMetadata and the options of requests
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"  # annotation of a DaemonSet; the API server counts


def name_of(obj: Mapping[str, Any]) -> str:
    """metadata.name, "" when absent."""
    return str(obj.get("metadata", {}).get("name", ""))


def namespace_of(obj: Mapping[str, Any]) -> str:
    """metadata.namespace, "" for cluster-scoped objects."""
    return str(obj.get("metadata", {}).get("namespace", ""))


def uid_of(obj: Mapping[str, Any]) -> str:
    """metadata.uid."""
    return str(obj.get("metadata", {}).get("uid", ""))


def revision_of(obj: Mapping[str, Any]) -> str:
    """metadata.resourceVersion, opaque."""
    return str(obj.get("metadata", {}).get("resourceVersion", ""))


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """metadata.labels; do not change it."""
    return obj.get("metadata", {}).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """metadata.annotations; do not change it."""
    return obj.get("metadata", {}).get("annotations") or {}


def key_of(obj: Mapping[str, Any]) -> str:
    """`namespace/name`, or `name` for cluster-scoped objects: the key of caches and queues."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name) of a key; namespace is "" for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def is_deleting(obj: Mapping[str, Any]) -> bool:
    """True once metadata.deletionTimestamp is set."""
    return bool(obj.get("metadata", {}).get("deletionTimestamp"))


def controller_of(obj: Mapping[str, Any]) -> Object | None:
    """The owner reference with `controller: true`, or None."""
    for owner in obj.get("metadata", {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def owner_reference(owner: Mapping[str, Any], *, api_version: str, kind: str) -> Object:
    """A controller reference to `owner` that blocks its foreground deletion."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_of(conditions: Sequence[Mapping[str, Any]] | None, kind: str) -> Mapping[str, Any] | None:
    """The condition of that type, or None."""
    return next((c for c in conditions or () if c.get("type") == kind), None)


def with_condition(
    conditions: Sequence[Mapping[str, Any]] | None, new: Mapping[str, Any], now: datetime
) -> list[Object]:
    """A copy with `new` (type, status, reason, message, ...) set; lastTransitionTime moves only when status changes.

    What the API wrote as null stays: the same condition set again is equal to what is there.
    """
    old = condition_of(conditions, new["type"])
    stamped = {**{key: None for key, value in (old or {}).items() if value is None}, **new}
    if old is not None and old.get("status") == new.get("status"):
        stamped["lastTransitionTime"] = old.get("lastTransitionTime") or rfc3339(now)
    else:
        stamped["lastTransitionTime"] = rfc3339(now)
    if old is None:
        return [*map(dict, conditions or ()), stamped]
    return [stamped if c.get("type") == new["type"] else dict(c) for c in conditions or ()]

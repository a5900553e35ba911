"""Pods from templates, and a stable short hash of a template: pure.

Spec:  Kubernetes pkg/controller/controller_utils.go (GetPodFromTemplate, ComputeHash, SafeEncodeString). The hash is
       not upstream's FNV over Go structs; only its stability and its alphabet matter to users.
"""

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from wherry.orchestration.objects.meta import Object, name_of, owner_reference
from wherry.orchestration.objects.resources import Resource

HASH_LABEL = "pod-template-hash"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: upstream's safe encoding
_HASH_LENGTH = 10


def pod_from(template: Mapping[str, Any], owner: Object, owners: Resource) -> Object:
    """A pod of `owner`; named by the server from `<owner>-`. The caller owns it."""
    metadata = template.get("metadata") or {}
    kept = {field: copy.deepcopy(metadata[field]) for field in ("labels", "annotations", "finalizers") if metadata.get(field)}
    kept["generateName"] = f"{name_of(owner)}-"
    kept["ownerReferences"] = [owner_reference(owner, api_version=owners.api_version, kind=owners.kind)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": copy.deepcopy(template.get("spec") or {})}


def without_hash(template: Mapping[str, Any]) -> Object:
    """The template without `pod-template-hash`, and without empty fields that mean the same as absent ones."""
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    metadata["labels"] = labels
    metadata = {key: value for key, value in metadata.items() if value not in (None, {}, [])}
    return {"metadata": metadata, "spec": template.get("spec") or {}}


def same_template(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """True when both make the same pods."""
    return without_hash(a) == without_hash(b)


def short_hash(value: Any, collisions: int | None) -> str:
    """Ten safe characters; `collisions` other than None gives another hash for the same value."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if collisions is not None:
        text += str(collisions).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    characters = []
    for _ in range(_HASH_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "".join(characters)

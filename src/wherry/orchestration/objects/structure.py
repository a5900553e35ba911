"""The structure of a kind as a tree: what patches, apply, validation, defaulting and OpenAPI all read.

In:    the compact schema data of the built-in kinds (`schema_data.py`) or a CRD's structural schema (`custom/schema.py`).
Out:   `Node`s, immutable, shared; recursion (JSONSchemaProps) goes through `Node.fields` lazily.
Spec:  Kubernetes OpenAPI extensions x-kubernetes-{list-type,list-map-keys,map-type,patch-strategy,patch-merge-key,
       int-or-string,preserve-unknown-fields,embedded-resource}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Shape(StrEnum):
    """What JSON a node takes."""

    OBJECT = "object"  # named fields
    MAP = "map"  # any key, values are `item`
    LIST = "list"
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INT_OR_STRING = "int-or-string"
    QUANTITY = "quantity"  # string or number on the wire
    TIME = "time"  # RFC 3339 string or null
    ANY = "any"  # RawExtension, JSON, preserve-unknown-fields without properties


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a kind's tree.

    `fields` maps names to nodes for OBJECT; a MAP or LIST has `item`. `list_type` is atomic (default), set or map;
    `map_type` is granular (default) or atomic, also for OBJECT. `patch_strategy` holds merge, replace and retainKeys.
    `type_name` is upstream's definition name (such as `io.k8s.api.core.v1.Container`), "" when inline.
    `omits` are the fields that no empty value is kept of, `zeros` what those hold that are always written (Go's encoding).
    `format` is int32, int64, double, byte (base64 text) or "". Never compare or print whole trees: some are cyclic.
    """

    shape: Shape
    fields: Mapping[str, "Node"] = field(default_factory=dict)
    item: "Node | None" = None
    required: tuple[str, ...] = ()
    list_type: str = "atomic"
    list_map_keys: tuple[str, ...] = ()
    map_type: str = "granular"
    patch_strategy: tuple[str, ...] = ()
    patch_merge_key: str = ""
    preserve_unknown: bool = False
    embedded_resource: bool = False
    type_name: str = ""
    omits: frozenset[str] = frozenset()
    zeros: Mapping[str, Any] = field(default_factory=dict)
    format: str = ""


ANY = Node(Shape.ANY, preserve_unknown=True)

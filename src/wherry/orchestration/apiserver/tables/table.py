"""Render objects as a `Table`: what `kubectl get` prints.

In:    a printer, objects, the moment.
Out:   a meta.k8s.io/v1 Table.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
Cost:  1,000 pods: see README.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.orchestration.apiserver.tables.columns import Printer
from wherry.orchestration.apiserver.tables.rows import fill
from wherry.orchestration.objects.meta import META_API_VERSION, Object


def render(
    chosen: Printer,
    objs: Sequence[Object],
    *,
    include_object: str = "Metadata",
    now: datetime,
    list_meta: Mapping[str, Any] | None = None,
) -> Object:
    """The Table of `objs` by their printer.

    `include_object` is None, Metadata or Object, as the query parameter has it. A row that cannot be filled because
    the object breaks its schema has its name and empty cells.
    """
    rows: list[Object] = []
    for obj in objs:
        row: Object = {"cells": fill(chosen, obj, now)}
        if chosen.conditions is not None and (found := chosen.conditions(obj)):
            row["conditions"] = found
        shown = _shown(obj, include_object)
        rows.append(row if shown is None else row | {"object": shown})
    return {
        "kind": "Table", "apiVersion": META_API_VERSION, "metadata": dict(list_meta or {}),
        "columnDefinitions": list(chosen.columns), "rows": rows,
    }


def _shown(obj: Object, include_object: str) -> Object | None:
    if include_object == "None":
        return None
    if include_object == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": META_API_VERSION, "metadata": obj["metadata"]}

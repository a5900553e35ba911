"""Render objects as a `Table`: what `kubectl get` prints.

In:    a resource, its objects, the moment.
Out:   a meta.k8s.io/v1 Table.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
Cost:  1,000 pods: see README.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.orchestration.apiserver.tables import pods
from wherry.orchestration.apiserver.tables.access import ACCESS
from wherry.orchestration.apiserver.tables.cluster import CLUSTER
from wherry.orchestration.apiserver.tables.columns import Cells, Printer, printer
from wherry.orchestration.apiserver.tables.custom import custom_printer
from wherry.orchestration.apiserver.tables.network import NETWORK
from wherry.orchestration.apiserver.tables.rows import Row, fill, row_of
from wherry.orchestration.apiserver.tables.storage import STORAGE
from wherry.orchestration.apiserver.tables.workloads import WORKLOADS
from wherry.orchestration.objects.meta import META_API_VERSION, Object, name_of
from wherry.orchestration.objects.resources import Resource

_POD = ("", "Pod")


def _name_and_creation(obj: Object, now: datetime) -> Cells:
    del now
    return [name_of(obj), obj["metadata"].get("creationTimestamp")]


_DEFAULT = printer("Name|Created At@", _name_and_creation)
_PRINTERS: dict[tuple[str, str], Printer] = {
    _POD: pods.PODS, **WORKLOADS, **NETWORK, **CLUSTER, **STORAGE, **ACCESS,
}


def render(
    resource: Resource,
    objs: Sequence[Object],
    *,
    include_object: str = "Metadata",
    now: datetime,
    columns: Sequence[Mapping[str, Any]] | None = None,
    list_meta: Mapping[str, Any] | None = None,
) -> Object:
    """The Table of `objs`. `columns` are a CRD's printer columns (an empty list: Name and Age), None for built-ins.

    `include_object` is None, Metadata or Object, as the query parameter has it. A row that cannot be filled because
    the object breaks its schema has its name and empty cells.
    """
    chosen = _printer_for(resource, columns)
    conditions = pods.row_conditions if (resource.group, resource.kind) == _POD else None
    rows: list[Object] = []
    for obj in objs:
        row: Object = {"cells": fill(chosen, obj, now)}
        if conditions is not None and (found := conditions(obj)):
            row["conditions"] = found
        shown = _shown(obj, include_object)
        rows.append(row if shown is None else row | {"object": shown})
    return {
        "kind": "Table", "apiVersion": META_API_VERSION, "metadata": dict(list_meta or {}),
        "columnDefinitions": list(chosen.columns), "rows": rows,
    }


def row(resource: Resource, obj: Object, data: bytes, columns: Sequence[Mapping[str, Any]] | None = None) -> Row | None:
    """The row of `obj`, whose served bytes are `data`, to be kept with it; None when it depends on the moment."""
    conditions = pods.row_conditions if (resource.group, resource.kind) == _POD else None
    return row_of(_printer_for(resource, columns), conditions, obj, data)


def column_definitions(resource: Resource, columns: Sequence[Mapping[str, Any]] | None = None) -> list[Object]:
    """The TableColumnDefinitions `render` uses."""
    return list(_printer_for(resource, columns).columns)


def _printer_for(resource: Resource, columns: Sequence[Mapping[str, Any]] | None) -> Printer:
    if columns is not None:
        return custom_printer(columns)
    return _PRINTERS.get((resource.group, resource.kind), _DEFAULT)


def _shown(obj: Object, include_object: str) -> Object | None:
    if include_object == "None":
        return None
    if include_object == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": META_API_VERSION, "metadata": obj["metadata"]}

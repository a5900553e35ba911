"""Printers of custom resources, from a CRD's `additionalPrinterColumns`.

Spec:  https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver.tables.ages import since
from wherry.orchestration.apiserver.tables.columns import Cells, Printer, column
from wherry.orchestration.apiserver.tables.jsonpath import JsonPath
from wherry.orchestration.objects.meta import Object, name_of

AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
       "description": "CreationTimestamp is a timestamp representing the server time when this object was created."}
_PRINTERS_MAX = 512

Cell = Callable[[Object, datetime], Any]


def custom_printer(columns: Sequence[Mapping[str, Any]]) -> Printer:
    """Name, then `columns`; with no columns, Name and Age. A path that cannot be read gives empty cells."""
    return _printer(orjson.dumps(list(columns) or [AGE]))


@lru_cache(_PRINTERS_MAX)
def _printer(columns_json: bytes) -> Printer:
    columns: list[Mapping[str, Any]] = orjson.loads(columns_json)
    definitions = [column("Name", "string")] + [
        column(entry["name"], entry["type"], priority=entry.get("priority", 0), form=entry.get("format", ""),
               description=entry.get("description") or (
                   f"Custom resource definition column (in JSONPath format): {entry['jsonPath']}"))
        for entry in columns
    ]
    cells = [_cell(entry) for entry in columns]

    def fill(obj: Object, now: datetime) -> Cells:
        return [name_of(obj), *(cell(obj, now) for cell in cells)]

    return Printer(tuple(definitions), fill)


def _cell(entry: Mapping[str, Any]) -> Cell:
    try:
        path = JsonPath(entry["jsonPath"])
    except Invalid:
        return lambda obj, now: None
    kind = entry["type"]

    def cell(obj: Object, now: datetime) -> Any:
        found = path.find(obj)
        return _value(kind, found[0], now) if found else None

    return cell


def _value(kind: str, value: Any, now: datetime) -> Any:
    match kind:
        case "string":
            return value if isinstance(value, str) else orjson.dumps(value).decode()
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return since(value, now) if isinstance(value, str) else None
    return None

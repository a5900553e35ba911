"""What a printer is: the columns of a kind and the function that fills a row.

Columns are written as one text, `Name|Ready|Restarts|Active#|Suspend!|Age|Node*`: `#` integer, `!` boolean, `@` date,
`*` shown with `-o wide` only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver.tables.ages import since
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.selectors import from_label_selector

NONE = "<none>"
UNSET = "<unset>"

Cells = list[Any]
Fill = Callable[[Object, datetime], Cells]

_TYPES = {"#": "integer", "!": "boolean", "@": "date"}


@dataclass(frozen=True, slots=True)
class Printer:
    """`fill` returns one cell a column, `conditions` those of a row: that a pod has completed."""

    columns: tuple[Object, ...]
    fill: Fill
    conditions: Callable[[Object], list[Object]] | None = None


def printer(columns: str, fill: Fill, conditions: Callable[[Object], list[Object]] | None = None) -> Printer:
    """See the notation above."""
    return Printer(tuple(_column(text) for text in columns.split("|")), fill, conditions)


def column(name: str, kind: str, *, priority: int = 0, description: str = "", form: str = "") -> Object:
    """One TableColumnDefinition."""
    return {"name": name, "type": kind, "format": form or ("name" if name == "Name" else ""),
            "description": description or name, "priority": priority}


def age(obj: Object, now: datetime) -> str:
    """The age of an object."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def spec_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """`spec`, {} when absent."""
    return obj.get("spec") or {}


def status_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """`status`, {} when absent."""
    return obj.get("status") or {}


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, `<none>` when there are none."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as text, `<none>` when it is empty."""
    if not selector:
        return NONE
    try:
        return str(from_label_selector(selector)) or NONE
    except Invalid:
        return "<error>"


def containers_cells(template: Mapping[str, Any]) -> Cells:
    """Names and images of a pod template's containers."""
    containers = spec_of(template).get("containers") or ()
    return [",".join(c.get("name", "") for c in containers), ",".join(c.get("image", "") for c in containers)]


def first_few(texts: Sequence[str], most: int, empty: str) -> str:
    """The first `most` joined by commas, then how many more there are."""
    if not texts:
        return empty
    shown = ",".join(texts[:most])
    return f"{shown} + {len(texts) - most} more..." if len(texts) > most else shown


def _column(text: str) -> Object:
    is_wide = text.endswith("*")
    text = text.rstrip("*")
    kind = _TYPES.get(text[-1], "string")
    name = text if kind == "string" else text[:-1]
    return column(name, kind, priority=1 if is_wide else 0)


def _name_and_creation(obj: Object, now: datetime) -> Cells:
    del now
    return [name_of(obj), obj["metadata"].get("creationTimestamp")]


DEFAULT = printer("Name|Created At@", _name_and_creation)

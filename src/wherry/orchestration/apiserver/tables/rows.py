"""Table rows made once for each state of an object; only ages are filled in when the row is shown.

In:    an object, its printer, the served bytes of the object.
Out:   a `Row`, and from it the JSON of one TableRow at a moment.
Cost:  about 1 us a row, beside 60 us for parsing a Pod and filling its cells (bench/apiserver_access.py).
"""

from dataclasses import dataclass
from datetime import datetime

import orjson

from wherry.orchestration.apiserver.tables.ages import NOT_YET, Ago, DependsOnNow, human
from wherry.orchestration.apiserver.tables.columns import Cells, Printer
from wherry.orchestration.objects.meta import Object, name_of

METADATA = b'"metadata":'
PARTIAL = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%b}'


@dataclass(frozen=True, slots=True)
class Row:
    """JSON text of the cells, with Unix seconds where an age belongs; where the metadata stands in the served bytes."""

    cells: tuple[bytes | float, ...]
    conditions: bytes
    metadata: tuple[int, int] | bytes

    def at(self, now_s: float) -> bytes:
        """The cells at a moment."""
        return b"".join([human(now_s - part).encode() if isinstance(part, float) else part for part in self.cells])

    def shown(self, now_s: float, data: bytes, include_object: str) -> bytes:
        """One TableRow; `data` are the served bytes."""
        conditions = b',"conditions":%b' % self.conditions if self.conditions else b""
        if include_object == "None":
            return b'{"cells":%b%b}' % (self.at(now_s), conditions)
        if include_object == "Metadata":
            place = self.metadata
            data = PARTIAL % (place if isinstance(place, bytes) else data[place[0]:place[1]])
        return b'{"cells":%b%b,"object":%b}' % (self.at(now_s), conditions, data)


def row_of(chosen: Printer, obj: Object, data: bytes) -> Row | None:
    """The row of `obj`, whose served bytes are `data`, to be kept with it;
    None when it cannot be made without knowing when it is shown."""
    try:
        cells = fill(chosen, obj, NOT_YET)
        text = _text(cells)
    except DependsOnNow:
        return None
    found = chosen.conditions(obj) if chosen.conditions is not None else []
    return Row(text, orjson.dumps(found) if found else b"", _place(obj, data))


def fill(chosen: Printer, obj: Object, now: datetime) -> Cells:
    """The cells; name and empty cells when the object breaks its schema."""
    try:
        return chosen.fill(obj, now)
    except (AttributeError, KeyError, TypeError, ValueError):
        return [name_of(obj), *[None] * (len(chosen.columns) - 1)]


def _text(cells: Cells) -> tuple[bytes | float, ...]:
    parts: list[bytes | float] = []
    text = b"["
    for number, cell in enumerate(cells):
        text += b"," if number else b""
        if isinstance(cell, Ago):
            parts += [text + b'"', cell.at]
            text = b'"'
        else:
            text += orjson.dumps(cell)
    return (*parts, text + b"]")


def _place(obj: Object, data: bytes) -> tuple[int, int] | bytes:
    """Where the metadata stands in `data`, or the metadata itself when it is not found there."""
    metadata = orjson.dumps(obj["metadata"])
    start = data.find(METADATA) + len(METADATA)
    end = start + len(metadata)
    return (start, end) if data[start:end] == metadata else metadata

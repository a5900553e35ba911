"""How a default is set: an absent field and an empty string are "not said", `false` and `0` are said.

The values passed in are owned by the object afterwards: give each call its own list or dict.
"""

from collections.abc import Iterator
from typing import Any

from wherry.orchestration.objects.meta import Object


def fill(obj: Object, **values: Any) -> None:
    """Set every key that is absent, null or ""."""
    for key, value in values.items():
        if obj.get(key) in (None, ""):
            obj[key] = value


def fill_zero(obj: Object, **values: Any) -> None:
    """As `fill`, and 0 is "not said" too: fields that are plain integers in Go."""
    for key, value in values.items():
        if not obj.get(key):
            obj[key] = value


def section(obj: Object, key: str) -> Object:
    """`obj[key]` as a dict, made when absent."""
    inner = obj.get(key)
    if not isinstance(inner, dict):
        inner = obj[key] = {}
    return inner


def each(obj: Object, key: str) -> Iterator[Object]:
    """The dicts of the list `obj[key]`."""
    for item in obj.get(key) or ():
        if isinstance(item, dict):
            yield item

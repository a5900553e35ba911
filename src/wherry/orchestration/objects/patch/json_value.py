"""JSON values: equality, copies and a limit on depth. What every kind of patch needs."""

from collections.abc import Iterable
from typing import Any

from wherry.kit.errors import Invalid

DEPTH_MAX = 200  # orjson writes at most 254 levels, and Python's own stack has to hold the walk


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: unlike Python, `true` is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def copied(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def check_depth(value: Any) -> None:
    """Raise `Invalid` when `value` is nested deeper than any object we would store."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_MAX):
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise Invalid(f"exceeded max depth: nested deeper than {DEPTH_MAX} levels")


def _members(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container

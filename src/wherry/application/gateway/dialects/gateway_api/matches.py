"""HTTPRoute matches as matches of the model.

In:    one entry of `rules[].matches`.
Out:   `RouteMatch`. Raise `Unsupported` or `Invalid` for what cannot be compared.
Spec:  Gateway API v1 HTTPRouteMatch.
"""

from collections.abc import Mapping
from typing import Any

from wherry.application.gateway import regex
from wherry.application.gateway.model import PathKind, PathMatch, RouteMatch, ValueMatch
from wherry.kit.errors import Invalid, Unsupported

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
VALUE_LENGTH_MAX = 4096


def match_of(given: Mapping[str, Any]) -> RouteMatch:
    """Path, method, headers and query parameters. Of several entries with one name the first counts."""
    method = str(given.get("method") or "")
    if method and method not in METHODS:
        raise Unsupported(f"method {method!r} is not supported")
    return RouteMatch(
        _path(given.get("path") or {}), method,
        _values(given.get("headers") or (), "header", ignores_case=True),
        _values(given.get("queryParams") or (), "query parameter", ignores_case=False),
    )  # fmt: skip


def _path(given: Mapping[str, Any]) -> PathMatch:
    value = str(given.get("value") or "/")
    match given.get("type") or "PathPrefix":
        case "Exact":
            return PathMatch(PathKind.EXACT, plain_path(value))
        case "PathPrefix":
            return PathMatch(PathKind.PREFIX, plain_path(value).rstrip("/") or "/")
        case "RegularExpression":
            if problem := regex.problem_of(value):
                raise Invalid(f"path {value[:64]!r}: {problem}")
            return PathMatch(PathKind.REGEX, value)
        case other:
            raise Unsupported(f"path match {other} is not supported")


def plain_path(value: str) -> str:
    """The value, if a request's path can be equal to it."""
    if not value.startswith("/") or len(value) > 1024:
        raise Invalid(f"path {value[:64]!r} does not begin with / or is longer than 1024 characters")
    if any(ord(char) <= 0x20 or ord(char) == 0x7F or char in "?#" for char in value):
        raise Invalid(f"path {value[:64]!r} holds characters that are not part of a path")
    return value


def _values(entries: Any, what: str, *, ignores_case: bool) -> tuple[ValueMatch, ...]:
    found: dict[str, ValueMatch] = {}
    for entry in entries:
        name, value = str(entry.get("name") or ""), str(entry.get("value") or "")
        is_regex = entry.get("type") == "RegularExpression"
        if not name or len(value) > VALUE_LENGTH_MAX or any(ord(char) < 0x20 for char in name + value):
            raise Invalid(f"{what} {name[:64]!r} cannot be matched")
        if is_regex and (problem := regex.problem_of(value)):
            raise Invalid(f"{what} {name[:64]!r}: {problem}")
        found.setdefault(name.lower() if ignores_case else name, ValueMatch(name, value, is_regex))
    return tuple(found.values())

"""HTTPRoute matches as matches of the model.

In:    one entry of `rules[].matches`.
Out:   `RouteMatch`. Raise `Unsupported` or `Invalid` for what cannot be compared.
Spec:  Gateway API v1 HTTPRouteMatch.
"""

from collections.abc import Mapping
from typing import Any

from wherry.application.gateway.model import regex
from wherry.application.gateway.model.headers import is_header_name
from wherry.application.gateway.model.paths import checked_path
from wherry.application.gateway.model.values import PathKind, PathMatch, RouteMatch, ValueMatch
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
            return PathMatch(PathKind.EXACT, checked_path(value))
        case "PathPrefix":
            return PathMatch(PathKind.PREFIX, checked_path(value).rstrip("/") or "/")
        case "RegularExpression":
            if problem := regex.problem_of(value):
                raise Invalid(f"path {value[:64]!r}: {problem}")
            return PathMatch(PathKind.REGEX, value)
        case other:
            raise Unsupported(f"path match {other} is not supported")


def _values(entries: Any, what: str, *, ignores_case: bool) -> tuple[ValueMatch, ...]:
    found: dict[str, ValueMatch] = {}
    for entry in entries:
        name, value = str(entry.get("name") or ""), str(entry.get("value") or "")
        is_regex = entry.get("type") == "RegularExpression"
        is_bad_name = ignores_case and not is_header_name(name)
        if not name or is_bad_name or len(value) > VALUE_LENGTH_MAX or any(ord(char) < 0x20 for char in name + value):
            raise Invalid(f"{what} {name[:64]!r} cannot be matched")
        if is_regex and (problem := regex.problem_of(value)):
            raise Invalid(f"{what} {name[:64]!r}: {problem}")
        found.setdefault(name.lower() if ignores_case else name, ValueMatch(name, value, is_regex))
    return tuple(found.values())

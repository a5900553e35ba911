"""Find a route by its path in a tree instead of one by one.

In:    routes of one host, in order.
Out:   leaves: for each key the routes, still in order, that a path can match whose longest key it is.
Why:   Envoy compares a list of routes one after the other; at thousands of routes that costs most of a request.

Every route has a key that each path it matches begins with: its path, its prefix, or what its expression begins with.
A path is looked up by its longest key; every route that can match it has a key that is a beginning of that key, so a
leaf holds the routes of its key and of all shorter keys that begin it. The routes of a leaf still check their whole match.
"""

from collections.abc import Sequence

from wherry.application.gateway.model.regex import literal_prefix
from wherry.application.gateway.model.values import PathKind, Route

LINEAR_MAX = 8  # so few routes are compared faster than looked up


def leaves_of(routes: Sequence[Route]) -> dict[str, tuple[int, ...]]:
    """Key to positions in `routes`, ascending. Keys begin with "/" and "/" is one of them when any route matches all."""
    own: dict[str, list[int]] = {}
    for place, route in enumerate(routes):
        own.setdefault(key_of(route), []).append(place)
    found: dict[str, tuple[int, ...]] = {}
    above: list[str] = []  # keys that begin the one at hand, shortest first
    for key in sorted(own):
        while above and not key.startswith(above[-1]):
            above.pop()
        if above:
            found[key] = tuple(sorted((*found[above[-1]], *own[key])))
        else:
            found[key] = tuple(own[key])
        above.append(key)
    return found


def key_of(route: Route) -> str:
    """What every path this route matches begins with."""
    path = route.match.path
    if path.kind is not PathKind.REGEX:
        return path.value
    prefix = literal_prefix(path.value)
    return prefix if prefix.startswith("/") else "/"

"""The tree finds what a walk through all routes in order would find, for any routes and any path."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.application.gateway.model.regex import literal_prefix, problem_of
from wherry.application.gateway.model.values import Answer, PathKind, PathMatch, Route, RouteMatch
from wherry.application.gateway.xds.match_tree import leaves_of

SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", "abc", "v1", "v2"]), max_size=3)
PATHS = SEGMENTS.map(lambda parts: "/" + "/".join(parts))
REGEXES = st.sampled_from(["/a.*", "/v[0-9]+/.*", "/ab?/x", "/(a|b)/.*", ".*/abc", "/a|/b", "/v1{0,2}", "/ab+"])
MATCHES = st.one_of(
    PATHS.map(lambda value: PathMatch(PathKind.EXACT, value)),
    PATHS.map(lambda value: PathMatch(PathKind.PREFIX, value)),
    REGEXES.map(lambda value: PathMatch(PathKind.REGEX, value)),
)


def matches(match: PathMatch, path: str) -> bool:
    if match.kind is PathKind.EXACT:
        return path == match.value
    if match.kind is PathKind.REGEX:
        return re.fullmatch(match.value, path) is not None
    return match.value == "/" or path == match.value or path.startswith(match.value + "/")


def by_walk(routes: list[Route], path: str) -> int | None:
    return next((place for place, route in enumerate(routes) if matches(route.match.path, path)), None)


def by_tree(routes: list[Route], path: str) -> int | None:
    """As Envoy does it: the longest key that begins the path, then its list in order."""
    leaves = leaves_of(routes)
    key = max((key for key in leaves if path.startswith(key)), key=len, default=None)
    return None if key is None else next((place for place in leaves[key] if matches(routes[place].match.path, path)), None)


@given(st.lists(MATCHES, max_size=20), st.one_of(PATHS, PATHS.map(lambda path: path.rstrip("/") + "/x")))
@pytest.mark.slow
def test_tree_and_walk_choose_the_same_route(found: list[PathMatch], path: str) -> None:
    routes = [Route(str(place), (place,), RouteMatch(match), Answer(200)) for place, match in enumerate(found)]
    assert by_tree(routes, path) == by_walk(routes, path)


@given(REGEXES, PATHS)
def test_every_match_of_an_expression_begins_with_its_literal_prefix(pattern: str, path: str) -> None:
    if re.fullmatch(pattern, path):
        assert path.startswith(literal_prefix(pattern))


def test_a_leaf_does_not_hold_routes_of_other_branches() -> None:
    routes = [Route(str(n), (n,), RouteMatch(PathMatch(PathKind.PREFIX, f"/route/{n:04d}")), Answer(200)) for n in range(1000)]
    assert {len(places) for places in leaves_of(routes).values()} == {1}


@pytest.mark.parametrize(("pattern", "is_fine"), [
    pytest.param(r"/items/[0-9]+(/.*)?", True, id="plain"),
    pytest.param(r"/a(?=b)", False, id="look-ahead"),
    pytest.param(r"/a(?<!b)", False, id="look-behind"),
    pytest.param(r"/(a)\1", False, id="back-reference"),
    pytest.param(r"/(?P<n>a)(?P=n)", False, id="named back-reference"),
    pytest.param(r"/a++", False, id="possessive repeat"),
    pytest.param(r"/(", False, id="not closed"),
    pytest.param(r"/a\\1", True, id="a backslash and a digit"),
    pytest.param("/" + "a" * 2000, False, id="huge"),
])
def test_only_what_re2_knows_is_accepted(pattern: str, is_fine: bool) -> None:
    assert (problem_of(pattern) == "") is is_fine

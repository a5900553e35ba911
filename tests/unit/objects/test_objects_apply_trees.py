"""Trees of fields are the sets of paths they stand for."""

from copy import deepcopy

import pytest
from apply_rig import write_fields
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.paths import Fields, Path, read_fields
from wherry.orchestration.objects.apply.trees import checked, common, minus, single, union, without

PATHS = st.frozensets(
    st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"1"', "i:0"]), min_size=1, max_size=4).map(tuple), max_size=8)


@given(PATHS, PATHS)
@pytest.mark.slow
def test_operations_on_trees_are_those_on_sets_and_change_no_argument(left: frozenset[Path], right: frozenset[Path]) -> None:
    one, other = write_fields(left), write_fields(right)
    before = deepcopy((one, other))
    assert written(union(one, other)) == written(write_fields(left | right))
    assert written(minus(one, other)) == written(write_fields(left - right))
    assert written(common(one, other)) == written(write_fields(left & right))
    assert written(without(one, [("f:a",)])) == written(write_fields(p for p in left if p[0] != "f:a"))
    assert (one, other) == before


def written(tree: Fields) -> str:
    """With the order of its elements."""
    return repr(tree)


@given(PATHS, PATHS)
@pytest.mark.slow
def test_what_loses_nothing_is_the_same_tree(left: frozenset[Path], right: frozenset[Path]) -> None:
    tree = write_fields(left)
    assert (minus(tree, write_fields(right)) is tree) == left.isdisjoint(right)


@given(PATHS.filter(bool))
def test_one_path_is_a_set(paths: frozenset[Path]) -> None:
    for path in paths:
        assert read_fields(single(path)) == {path}


@given(PATHS, st.randoms())
@pytest.mark.slow
def test_what_a_client_sends_is_put_in_order(paths: frozenset[Path], randoms: object) -> None:
    def shuffled(tree: Fields) -> Fields:
        pairs = [(element, shuffled(below)) for element, below in tree.items()]
        randoms.shuffle(pairs)  # type: ignore[attr-defined]
        return dict(pairs)

    tree = write_fields(paths)
    assert written(checked(shuffled(tree))) == written(tree)


@pytest.mark.parametrize("tree", [
    pytest.param([], id="a list"),
    pytest.param({"f:a": None}, id="null"),
    pytest.param({"f:a": {"spec": {}}}, id="an element without its kind"),
    pytest.param({"f:a": {"x:b": {}}}, id="an unknown kind of element"),
])
def test_what_is_no_tree_of_fields_is_refused(tree: object) -> None:
    with pytest.raises(Invalid):
        checked(tree)


def test_a_tree_deeper_than_any_object_is_refused() -> None:
    with pytest.raises(Invalid):
        checked(single(("f:a",) * 300))


def test_a_member_that_says_so_with_nothing_below_is_written_shortly() -> None:
    assert checked({"f:a": {".": {}}, ".": {}}) == {"f:a": {}}

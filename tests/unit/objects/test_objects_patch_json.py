"""JSON patch (RFC 6902) and merge patch (RFC 7386): the RFCs' own examples, upstream's texts, properties."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.patch import json_patch, json_value, merge_patch

values = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def op(verb: str, path: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"op": verb, "path": path, "value": value, **more}


@pytest.mark.parametrize(
    ("doc", "operations", "expected"),
    [
        pytest.param({"foo": "bar"}, [op("add", "/baz", "qux")], {"foo": "bar", "baz": "qux"}, id="A.1 member"),
        pytest.param({"a": [1, 3]}, [op("add", "/a/1", 2)], {"a": [1, 2, 3]}, id="A.2 element"),
        pytest.param({"a": 1, "b": 2}, [op("remove", "/a")], {"b": 2}, id="A.3 remove member"),
        pytest.param({"a": [1, 2, 3]}, [op("remove", "/a/1")], {"a": [1, 3]}, id="A.4 remove element"),
        pytest.param({"a": 1}, [op("replace", "/a", 2)], {"a": 2}, id="A.5 replace"),
        pytest.param(
            {"a": {"x": 1}, "b": {}}, [op("move", "/b/y", **{"from": "/a/x"})], {"a": {}, "b": {"y": 1}}, id="A.6 move"
        ),
        pytest.param({"a": [1, 2, 3]}, [op("move", "/a/2", **{"from": "/a/0"})], {"a": [2, 3, 1]}, id="A.7 move element"),
        pytest.param({"a": "b"}, [op("test", "/a", "b")], {"a": "b"}, id="A.8 test"),
        pytest.param({"a": 1}, [op("add", "/b", {"c": 1})], {"a": 1, "b": {"c": 1}}, id="A.10 nested"),
        pytest.param({"/": 9, "~1": 10}, [op("test", "/~01", 10)], {"/": 9, "~1": 10}, id="A.14 escapes"),
        pytest.param({"a": [1]}, [op("add", "/a/-", [2])], {"a": [1, [2]]}, id="A.16 append"),
        pytest.param({"a": [1, 2]}, [op("remove", "/a/-1")], {"a": [1]}, id="negative index counts from the end"),
        pytest.param({"a": [1]}, [op("add", "/a/-1", 2)], {"a": [1, 2]}, id="add at -1 appends"),
        pytest.param({"a": 1}, [op("add", "", [])], [], id="the whole document"),
        pytest.param({"a": 1}, [op("test", "/b", None)], {"a": 1}, id="test null of an absent member"),
        pytest.param({"a": 1}, [op("test", "/a", 1.0)], {"a": 1}, id="numbers are equal as numbers"),
        pytest.param({"a": {"b": 1}}, [op("copy", "/c", **{"from": "/a"}), op("add", "/c/b", 2)],
                     {"a": {"b": 1}, "c": {"b": 2}}, id="a copy is its own"),
    ],
)  # fmt: skip
def test_json_patch(doc: Any, operations: list[dict[str, Any]], expected: Any) -> None:
    before = json_value.copied(doc)
    assert json_patch.apply(doc, operations) == expected
    assert doc == before


@pytest.mark.parametrize(
    ("doc", "operation", "message"),
    [
        pytest.param({"a": 1}, op("test", "/a", 2), "testing value /a failed: test failed", id="test"),
        pytest.param({"a": True}, op("test", "/a", 1), "testing value /a failed: test failed", id="true is not 1"),
        pytest.param({}, op("add", "/a/b", 1),
                     'add operation does not apply: doc is missing path: "/a/b": missing value', id="add"),
        pytest.param({}, op("remove", "/a"), "Unable to remove nonexistent key: a: missing value", id="remove"),
        pytest.param({}, op("replace", "/a", 1),
                     "replace operation does not apply: doc is missing key: /a: missing value", id="replace"),
        pytest.param({"a": []}, op("add", "/a/1", 1), "Unable to access invalid index: 1", id="beyond the end"),
        pytest.param({"a": []}, op("add", "/a/x", 1), "invalid syntax", id="not an index"),
        pytest.param({"a": [1]}, op("remove", "/a/1"), "Unable to access invalid index: 1", id="remove beyond"),
        pytest.param({"a": {}}, op("move", "/a/b", **{"from": "/a"}), "is inside from path", id="into itself"),
        pytest.param({}, op("frobnicate", "/a"), "Unexpected kind: frobnicate", id="unknown operation"),
        pytest.param({}, {"op": "add", "value": 1}, "must be a JSON pointer", id="no path"),
        pytest.param({}, {"op": "move", "path": "/a"}, "must be a JSON pointer", id="no from"),
        pytest.param({"a": 1}, op("add", "/a/b", 1), "doc is missing path", id="into a scalar"),
    ],
)  # fmt: skip
def test_json_patch_refuses_with_upstreams_text(doc: Any, operation: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        json_patch.apply(doc, [operation])
    assert message in str(caught.value)


@pytest.mark.parametrize("operations", [{}, "x", [1], None], ids=["map", "text", "numbers", "null"])
def test_what_is_no_list_of_operations_is_refused(operations: Any) -> None:
    with pytest.raises(Invalid):
        json_patch.apply({}, operations)


def test_a_failed_operation_leaves_the_document_alone() -> None:
    doc = {"a": [1]}
    with pytest.raises(Invalid):
        json_patch.apply(doc, [op("add", "/a/-", 2), op("test", "/a", 0)])
    assert doc == {"a": [1]}


def test_hostile_patches_are_bounded() -> None:
    with pytest.raises(json_patch.TooManyOperations, match="10000, got 10001"):
        json_patch.apply({}, [op("add", "/a", 1)] * 10_001)
    with pytest.raises(Invalid, match="accumulated size"):
        json_patch.apply({"a": ["x" * 1000]}, [op("copy", "/a/-", **{"from": "/a"})] * 40)
    with pytest.raises(Invalid, match="max depth"):
        json_patch.apply({"a": {}}, [op("copy", "/a" * (2**n + 1), **{"from": "/a"}) for n in range(9)])
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for apply in (lambda: json_patch.apply({}, [op("add", "/a", deep)]), lambda: merge_patch.apply({}, {"a": deep})):
        with pytest.raises(Invalid, match="max depth"):
            apply()


@given(values, values)
@pytest.mark.slow
def test_replacing_the_root_gives_the_new_value(doc: Any, value: Any) -> None:
    assert json_value.same(json_patch.apply(doc, [op("replace", "", value), op("test", "", value)]), value)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.text(max_size=5), values)
@pytest.mark.slow
def test_add_then_remove_of_a_new_member_changes_nothing(doc: dict[str, Any], key: str, value: Any) -> None:
    doc.pop(key, None)
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    assert json_patch.apply(doc, [op("add", path, value), op("test", path, value), op("remove", path)]) == doc


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replace"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="add"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="remove"),
        pytest.param({"a": ["b"]}, {"a": "c"}, {"a": "c"}, id="list to scalar"),
        pytest.param({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}, id="nested"),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="lists are replaced"),
        pytest.param(["a", "b"], {"a": "b", "c": None}, {"a": "b"}, id="list document"),
        pytest.param({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}, id="null in what is new"),
        pytest.param({"e": None}, {"a": 1}, {"e": None, "a": 1}, id="nulls of the document stay"),
        pytest.param({"a": "foo"}, None, None, id="null patch"),
    ],
)
def test_merge_patch(doc: Any, patch: Any, expected: Any) -> None:
    assert merge_patch.apply(doc, patch) == expected


@given(values, values)
@pytest.mark.slow
def test_a_merge_patch_applied_twice_is_applied_once(doc: Any, patch: Any) -> None:
    before = json_value.copied(doc)
    once = merge_patch.apply(doc, patch)
    assert json_value.same(merge_patch.apply(once, patch), once)
    assert json_value.same(doc, before)

"""Strategic merge patch: directives, merge keys, order, and upstream's refusals."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.patch import json_value, strategic
from wherry.orchestration.objects.structure import Node, Shape

TEXT = Node(Shape.STRING)
PORT = Node(Shape.OBJECT, {"containerPort": Node(Shape.INTEGER), "protocol": TEXT})
CONTAINER = Node(
    Shape.OBJECT,
    {
        "name": TEXT,
        "image": TEXT,
        "args": Node(Shape.LIST, item=TEXT),
        "ports": Node(Shape.LIST, item=PORT, patch_strategy=("merge",), patch_merge_key="containerPort"),
        "resources": Node(Shape.OBJECT, {"limits": Node(Shape.MAP, item=TEXT)}),
    },
)
SPEC = Node(
    Shape.OBJECT,
    {
        "containers": Node(Shape.LIST, item=CONTAINER, patch_strategy=("merge",), patch_merge_key="name"),
        "finalizers": Node(Shape.LIST, item=TEXT, patch_strategy=("merge",)),
        "tolerations": Node(Shape.LIST, item=Node(Shape.OBJECT)),
        "strategy": Node(Shape.OBJECT, {"type": TEXT}, patch_strategy=("retainKeys",)),
        "labels": Node(Shape.MAP, item=TEXT),
        "whole": Node(Shape.OBJECT, patch_strategy=("replace",)),
    },
)


def names(*of: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in of]


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        pytest.param({"containers": [{"name": "a", "image": "1"}]}, {"containers": [{"name": "a", "image": "2"}]},
                     {"containers": [{"name": "a", "image": "2"}]}, id="merged by key"),
        pytest.param({"containers": names("a", "b")}, {"containers": names("c")},
                     {"containers": names("c", "a", "b")}, id="new elements come first without an order"),
        pytest.param({"containers": names("a", "b")},
                     {"containers": names("c"), "$setElementOrder/containers": names("a", "b", "c")},
                     {"containers": names("a", "b", "c")}, id="setElementOrder"),
        pytest.param({"containers": names("a", "b", "c")}, {"$setElementOrder/containers": names("c", "a")},
                     {"containers": names("b", "c", "a")}, id="order alone; the server's own keeps its place"),
        pytest.param({"containers": names("a", "b")}, {"containers": [{"name": "a", "$patch": "delete"}]},
                     {"containers": names("b")}, id="delete by key"),
        pytest.param({"containers": names("a", "b")}, {"containers": [{"$patch": "replace"}, {"name": "c"}]},
                     {"containers": names("c")}, id="replace a list"),
        pytest.param({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]},
                     {"tolerations": [{"key": "b"}]}, id="atomic lists are replaced"),
        pytest.param({"finalizers": ["a", "b"]}, {"finalizers": ["c", "a"]},
                     {"finalizers": ["c", "a", "b"]}, id="primitive lists are united"),
        pytest.param({"finalizers": ["a", "b", "c"]}, {"$deleteFromPrimitiveList/finalizers": ["b"]},
                     {"finalizers": ["a", "c"]}, id="delete from a primitive list"),
        pytest.param({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
                     {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
                     {"strategy": {"type": "Recreate"}}, id="retainKeys"),
        pytest.param({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": None, "c": "3"}},
                     {"labels": {"b": "2", "c": "3"}}, id="null removes"),
        pytest.param({"labels": {"a": "1"}}, {"labels": {"$patch": "replace", "b": "2"}},
                     {"labels": {"b": "2"}}, id="replace a map"),
        pytest.param({"labels": {"a": "1"}}, {"labels": {"$patch": "delete"}}, {"labels": {}}, id="delete a map"),
        pytest.param({"whole": {"a": 1}}, {"whole": {"b": 2}}, {"whole": {"b": 2}}, id="strategy replace"),
        pytest.param({}, {"containers": [{"name": "a", "image": None}, {"name": "b", "$patch": "delete"}]},
                     {"containers": names("a")}, id="directives do not land in what is new"),
        pytest.param({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
                     {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}]}]},
                     {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}]}]}, id="nested key"),
        pytest.param({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]},
                     {"containers": [{"name": "a", "resources": {"limits": {"memory": "1Gi"}}}]},
                     {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}, id="deep"),
        pytest.param({"unknown": {"a": [1]}}, {"unknown": {"a": [2]}}, {"unknown": {"a": [2]}}, id="unknown fields"),
    ],
)  # fmt: skip
def test_strategic_merge(doc: Any, patch: Any, expected: Any) -> None:
    before = json_value.copied((doc, patch))
    assert strategic.apply(doc, patch, SPEC) == expected
    assert (doc, patch) == before


@pytest.mark.parametrize(
    ("doc", "patch", "message"),
    [
        pytest.param({"containers": names("a")}, {"containers": [{"image": "x"}]},
                     "does not contain declared merge key: name", id="no merge key"),
        pytest.param({"labels": {}}, {"labels": {"$patch": "explode"}}, "unknown patch type 'explode' in map", id="type"),
        pytest.param({"strategy": {"a": 1}}, {"strategy": {"$retainKeys": ["a"], "b": 1}},
                     "invalid patch format of retainKeys", id="retainKeys without a set field"),
        pytest.param({"finalizers": []}, {"$deleteFromPrimitiveList/finalizers": 1},
                     "invalid patch format of primitive list", id="delete list is no list"),
        pytest.param({"containers": names("a")}, {"containers": names("c"), "$setElementOrder/containers": names("a")},
                     "doesn't match $setElementOrder list", id="order without the element"),
        pytest.param({"containers": names("a")}, {"$setElementOrder/containers": 3},
                     "invalid patch format of setElementOrder list", id="order is no list"),
        pytest.param({"finalizers": ["a"]}, {"finalizers": [["b"]]}, "lists of lists are not supported", id="lists"),
        pytest.param({}, [], "cannot unmarshal", id="no map"),
    ],
)  # fmt: skip
def test_a_bad_patch_is_refused_with_upstreams_text(doc: Any, patch: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        strategic.apply(doc, patch, SPEC)
    assert message in str(caught.value)


@given(
    st.lists(st.sampled_from("abcdefg"), unique=True), st.lists(st.sampled_from("abcdefghij"), unique=True), st.randoms()
)
def test_a_merged_list_has_every_element_once_and_keeps_the_patchs_order(
    server: list[str], patch: list[str], random: Any
) -> None:
    merged = strategic.apply({"containers": names(*server)}, {"containers": names(*patch)}, SPEC)["containers"]
    got = [item["name"] for item in merged]
    assert sorted(got) == sorted({*server, *patch})
    assert [name for name in got if name in patch] == patch
    only = [name for name in server if name not in patch]
    assert [name for name in got if name in only] == only


def test_long_lists_cost_linear_time() -> None:
    began = time.perf_counter()
    strategic.apply(
        {"containers": names(*map(str, range(20_000)))}, {"containers": names(*map(str, range(10_000, 30_000)))}, SPEC
    )
    assert time.perf_counter() - began < 5

"""Whatever JSON comes in: apply, tracking and strategic merge answer with an object or a named refusal."""

from typing import Any

import pytest
from apply_rig import DEPLOYMENT, apply, update
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Conflict, Invalid
from wherry.orchestration.objects.patch import strategic

names = st.sampled_from(
    ["spec", "status", "template", "metadata", "labels", "annotations", "finalizers", "ownerReferences", "uid", "containers",
     "name", "ports", "containerPort", "protocol", "resources", "limits", "cpu", "conditions", "type", "selector", "replicas",
     "$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 1) | st.sampled_from(["", "a", "1", "TCP", "delete", "replace"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=20
)
objects = st.builds(
    lambda body, metadata: {**body, "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata},
    st.dictionaries(names, anything, max_size=4),
    st.dictionaries(names, anything, max_size=3),
)


@given(objects, objects, objects)
@pytest.mark.slow
def test_apply_and_tracking_never_break(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    live = update(None, one)
    live = update(live, two, "other")
    for manager, force in (("a", False), ("b", True), ("kubectl", True)):
        try:
            live = apply(live, three, manager, force=force)
            live = apply(live, one, manager, force=force)
        except (Invalid, Conflict):
            pass


@given(objects, objects)
@pytest.mark.slow
def test_strategic_merge_never_breaks(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    try:
        strategic.apply(doc, patch, DEPLOYMENT)
    except Invalid:
        pass

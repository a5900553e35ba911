"""managedFields of ordinary writes, and properties of the FieldsV1 codec and of apply as a whole."""

import copy
from datetime import timedelta
from typing import Any

import pytest
from apply_rig import CONFIG_MAP, DEPLOYMENT, LATER, NOW, apply, config, deployment, entries, fields, update, write_fields
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply import ApplyConflict
from wherry.orchestration.objects.apply.paths import Path, read_fields


def test_creation_by_update_looks_like_upstreams() -> None:
    made = update(
        None,
        deployment(
            replicas=1,
            selector={"matchLabels": {"app": "web"}},
            strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            template={
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "a", "image": "i", "resources": {}}], "securityContext": {}},
            },
        ),
        "kubectl-create",
    )
    assert fields(made, "kubectl-create", "Update") == {
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
                    "f:securityContext": {},
                },
            },
        }
    }


def test_an_update_takes_what_it_changes_and_frees_what_it_removes() -> None:
    one = update(None, config({"a": "1", "b": "1", "c": "1"}), "one", node=CONFIG_MAP)
    changed = copy.deepcopy(one)
    changed["data"] = {"a": "1", "b": "2", "d": "1"}
    two = update(one, changed, "two", node=CONFIG_MAP, now=LATER)
    assert fields(two, "one", "Update") == {"f:data": {".": {}, "f:a": {}}}
    assert fields(two, "two", "Update") == {"f:data": {"f:b": {}, "f:d": {}}}
    assert [e["manager"] for e in two["metadata"]["managedFields"]] == ["one", "two"]


def test_an_update_that_changes_nothing_keeps_every_timestamp() -> None:
    one = update(None, config({"a": "1"}), "one", node=CONFIG_MAP)
    assert update(one, copy.deepcopy(one), "two", node=CONFIG_MAP, now=LATER) == one


def test_server_fields_are_never_owned() -> None:
    one = config({"a": "1"}, uid="u", resourceVersion="5", creationTimestamp="t", generation=1, namespace="n")
    assert fields(update(None, one, "m", node=CONFIG_MAP), "m", "Update") == {"f:data": {".": {}, "f:a": {}}}


def test_a_client_that_drops_managed_fields_does_not_lose_them() -> None:
    one = update(None, config({"a": "1"}), "one", node=CONFIG_MAP)
    two = update(one, config({"a": "1", "b": "2"}), "two", node=CONFIG_MAP)
    assert set(entries(two)) == {("one", "Update"), ("two", "Update")}


def test_an_empty_entry_resets_and_stays_untracked_until_the_first_apply() -> None:
    one = update(None, config({"a": "1"}), "one", node=CONFIG_MAP)
    reset = update(one, config({"a": "1"}, managedFields=[{}]), "two", node=CONFIG_MAP)
    assert "managedFields" not in reset["metadata"]
    assert "managedFields" not in update(reset, config({"a": "2"}), "two", node=CONFIG_MAP)["metadata"]
    assert ("before-first-apply", "Update") in entries(apply(reset, config({"b": "1"}), node=CONFIG_MAP))


def test_entries_in_a_request_are_honoured_when_they_can_be_read() -> None:
    one = update(None, config({"a": "1"}), "one", node=CONFIG_MAP)
    mine = copy.deepcopy(one)
    mine["metadata"]["managedFields"][0]["manager"] = "renamed"
    assert set(entries(update(one, mine, "two", node=CONFIG_MAP))) == {("renamed", "Update")}
    mine["metadata"]["managedFields"][0]["fieldsV1"] = {"nonsense": {}}
    assert set(entries(update(one, mine, "two", node=CONFIG_MAP))) == {("one", "Update")}


def test_status_writes_are_an_entry_of_their_own() -> None:
    one = update(None, deployment(replicas=1), "me")
    status = copy.deepcopy(one) | {"status": {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}}
    two = update(one, status, "me", subresource="status", now=LATER)
    assert [(e["manager"], e.get("subresource")) for e in two["metadata"]["managedFields"]] == [("me", None), ("me", "status")]
    assert two["metadata"]["managedFields"][1]["fieldsV1"] == {
        "f:status": {
            "f:conditions": {".": {}, 'k:{"type":"Available"}': {".": {}, "f:status": {}, "f:type": {}}},
            "f:replicas": {},
        }
    }


def test_an_applier_loses_what_an_update_changes() -> None:
    one = apply(None, deployment(replicas=1, paused=True))
    two = copy.deepcopy(one)
    two["spec"]["replicas"] = 3
    after = update(one, two, "kubectl-scale", now=LATER)
    assert fields(after) == {"f:spec": {"f:paused": {}}}
    with pytest.raises(ApplyConflict, match='conflict with "kubectl-scale" using apps/v1: .spec.replicas'):
        apply(after, deployment(replicas=1, paused=True))


def test_at_most_ten_updaters_are_kept() -> None:
    obj = update(None, config({"k": "0"}), "m00", node=CONFIG_MAP)
    for n in range(1, 20):
        new = copy.deepcopy(obj)
        new["data"][f"k{n}"] = "v"
        obj = update(obj, new, f"m{n:02}", node=CONFIG_MAP, now=NOW + timedelta(seconds=n))
    names = [e["manager"] for e in obj["metadata"]["managedFields"]]
    assert len(names) == 10 and "ancient-changes" in names and "m19" in names and "m00" not in names
    owned = frozenset[Path]().union(*(read_fields(e["fieldsV1"]) for e in obj["metadata"]["managedFields"]))
    assert {("f:data", f"f:k{n}") for n in range(1, 20)} <= owned


def test_duplicates_in_a_stored_list_do_not_stop_updates() -> None:
    old = deployment(template={"spec": {"containers": [{"name": "a"}, {"name": "a"}]}})
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 2
    assert update(update(None, old, "m"), new, "m")["spec"]["replicas"] == 2


elements = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"', "i:0"])
paths = st.lists(elements, min_size=1, max_size=4).map(tuple)


@given(st.frozensets(paths, max_size=8))
def test_fields_read_back_as_written(owned: frozenset[Path]) -> None:
    assert read_fields(write_fields(owned)) == owned


@pytest.mark.parametrize("fields_v1", [{"spec": {}}, {"f:a": 1}, {"f:a": []}, []], ids=["name", "number", "list", "root"])
def test_what_is_no_fields_tree_is_refused(fields_v1: Any) -> None:
    with pytest.raises(Invalid):
        read_fields(fields_v1)


containers = st.lists(
    st.builds(lambda n, i: {"name": n, "image": i} if i else {"name": n}, st.sampled_from("abc"), st.sampled_from(["", "1", "2"])),
    max_size=3,
    unique_by=lambda c: c["name"],
)  # fmt: skip
configurations = st.builds(
    lambda c, r, labels: deployment(**({"replicas": r} if r else {}), template={"metadata": {"labels": labels}, "spec": {"containers": c}}),
    containers, st.integers(0, 3), st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=2),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), configurations), min_size=1, max_size=5))
@pytest.mark.slow
def test_after_a_forced_apply_the_configuration_holds_and_again_is_a_no_op(steps: list[tuple[str, dict[str, Any]]]) -> None:
    live: Any = None
    for manager, wanted in steps:
        live = apply(live, wanted, manager, force=True)
        assert apply(live, wanted, manager, now=LATER) is live
        template = live["spec"]["template"]
        for want in wanted["spec"]["template"]["spec"]["containers"]:
            got = next(c for c in template["spec"]["containers"] if c["name"] == want["name"])
            assert want.items() <= got.items()
        assert wanted["spec"]["template"]["metadata"]["labels"].items() <= template["metadata"].get("labels", {}).items()
        assert len({c["name"] for c in template["spec"]["containers"]}) == len(template["spec"]["containers"])


@given(configurations, configurations)
def test_an_applier_alone_gets_exactly_what_it_applied(first: dict[str, Any], second: dict[str, Any]) -> None:
    live = apply(apply(None, first), second)
    got = {c["name"]: c for c in live["spec"]["template"]["spec"].get("containers", [])}
    assert got == {c["name"]: c for c in second["spec"]["template"]["spec"]["containers"]}
    assert live["spec"].get("replicas") == second["spec"].get("replicas")
    assert DEPLOYMENT.fields

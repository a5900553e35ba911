"""Server-side apply on real kinds: ownership, conflicts, force, removal, list types, subresources, no-ops."""

import copy
from typing import Any

import orjson
import pytest
from apply_rig import (
    CONFIG_MAP,
    DEPLOYMENT,
    LATER,
    NOW,
    SERVICE,
    apply,
    config,
    deployment,
    entries,
    fields,
    update,
    with_containers,
)

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply import ApplyConflict, apply_patch
from wherry.orchestration.objects.structure import ANY


def test_the_first_apply_creates_and_owns_just_what_it_says() -> None:
    made = apply(None, with_containers({"name": "app", "image": "nginx", "ports": [{"containerPort": 80}]}))
    assert made["metadata"]["managedFields"] == [
        {
            "manager": "me",
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "time": "2026-11-23T06:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {
                ".": {},
                "f:image": {},
                "f:name": {},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
            }}}}}},
        }
    ]  # fmt: skip


def test_the_same_apply_again_returns_the_live_object_itself() -> None:
    live = apply(None, deployment(replicas=1))
    live["spec"]["progressDeadlineSeconds"] = 600  # a default, owned by nobody
    assert apply(live, deployment(replicas=1), now=LATER) is live


def test_a_value_somebody_else_owns_is_a_conflict_with_upstreams_text() -> None:
    live = apply(None, deployment(replicas=1), "one")
    with pytest.raises(ApplyConflict) as caught:
        apply(live, deployment(replicas=2), "two")
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
    (cause,) = caught.value.causes
    assert (cause.reason, cause.message, cause.field) == ("FieldManagerConflict", 'conflict with "one"', ".spec.replicas")


def test_conflicts_are_listed_by_manager_and_updaters_show_their_version() -> None:
    live = update(None, with_containers({"name": "a", "image": "1"}), "kubectl-edit")
    live = apply(live, deployment(replicas=1), "one")
    wanted = with_containers({"name": "a", "image": "2"})
    wanted["spec"]["replicas"] = 3
    with pytest.raises(ApplyConflict) as caught:
        apply(live, wanted, "two")
    assert str(caught.value) == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-edit" using apps/v1:\n'
        '- .spec.template.spec.containers[name="a"].image\n'
        'conflicts with "one":\n- .spec.replicas'
    )


def test_a_conflict_with_a_subresource_writer_names_it() -> None:
    live = update(None, deployment(replicas=1), "creator")
    scaled = copy.deepcopy(live)
    scaled["spec"]["replicas"] = 5
    live = update(live, scaled, "hpa", subresource="scale")
    with pytest.raises(ApplyConflict, match='conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas'):
        apply(live, deployment(replicas=2))


def test_force_takes_the_field_over() -> None:
    live = apply(None, deployment(replicas=1, paused=True), "one")
    taken = apply(live, deployment(replicas=2), "two", force=True, now=LATER)
    assert taken["spec"] == {"replicas": 2, "paused": True}
    assert fields(taken, "one") == {"f:spec": {"f:paused": {}}}
    assert fields(taken, "two") == {"f:spec": {"f:replicas": {}}}
    assert entries(taken)["one", "Apply"]["time"] == "2026-11-23T06:00:00Z"
    assert entries(taken)["two", "Apply"]["time"] == "2026-11-23T06:05:00Z"


def test_the_same_value_is_shared_and_removed_only_by_the_last_owner() -> None:
    live = apply(None, deployment(replicas=1), "one")
    live = apply(live, deployment(replicas=1), "two")
    assert {m for m, _ in entries(live)} == {"one", "two"}
    live = apply(live, deployment(paused=True), "one")
    assert live["spec"] == {"replicas": 1, "paused": True}
    live = apply(live, deployment(paused=True), "two")
    assert live["spec"] == {"paused": True}


def test_what_is_no_longer_applied_goes() -> None:
    live = apply(None, with_containers({"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}))
    live = apply(live, with_containers({"name": "a", "image": "1"}))
    assert live["spec"]["template"]["spec"]["containers"] == [{"name": "a", "image": "1"}]


def test_what_others_put_into_the_same_item_stays() -> None:
    live = apply(None, with_containers({"name": "a", "image": "1"}), "one")
    live = apply(live, with_containers({"name": "a", "args": ["x"]}), "two")
    live = apply(live, deployment(paused=True), "one")
    assert live["spec"]["template"]["spec"]["containers"] == [{"name": "a", "args": ["x"]}]


def test_a_struct_goes_with_its_defaults_when_nobody_else_owns_anything_in_it() -> None:
    live = apply(None, deployment(strategy={"type": "RollingUpdate"}))
    live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1}
    live = apply(live, deployment(replicas=1))
    assert live["spec"] == {"replicas": 1}


def test_labels_are_merged_key_by_key() -> None:
    live = apply(None, config(labels={"a": "1"}), "one", node=CONFIG_MAP)
    live = apply(live, config(labels={"b": "2"}), "two", node=CONFIG_MAP)
    assert live["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert fields(live, "two") == {"f:metadata": {"f:labels": {"f:b": {}}}}
    with pytest.raises(ApplyConflict, match=r"\.metadata\.labels\.a$"):
        apply(live, config(labels={"a": "3"}), "two", node=CONFIG_MAP)


def test_a_set_is_united_and_an_atomic_list_replaced() -> None:
    live = apply(None, config(finalizers=["x/a"]), "one", node=CONFIG_MAP)
    live = apply(live, config(finalizers=["x/b"]), "two", node=CONFIG_MAP)
    assert sorted(live["metadata"]["finalizers"]) == ["x/a", "x/b"]
    assert fields(live, "two") == {"f:metadata": {"f:finalizers": {'v:"x/b"': {}}}}
    live = apply(live, config(), "one", node=CONFIG_MAP)
    assert live["metadata"]["finalizers"] == ["x/b"]
    pod = apply(None, with_containers({"name": "a", "args": ["1", "2"]}), "one")
    with pytest.raises(ApplyConflict, match=r"\.args$"):
        apply(pod, with_containers({"name": "a", "args": ["1"]}), "two")


def test_an_atomic_map_is_owned_whole() -> None:
    live = apply(None, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
                        "spec": {"selector": {"a": "1"}}}, "one", node=SERVICE)  # fmt: skip
    assert fields(live, "one") == {"f:spec": {"f:selector": {}}}


def test_a_port_without_protocol_is_the_tcp_one() -> None:
    live = apply(None, with_containers({"name": "a", "ports": [{"containerPort": 80}]}))
    live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"  # defaulting
    again = apply(live, with_containers({"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]}))
    assert again["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"},
        {"containerPort": 80, "protocol": "UDP"},
    ]


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        pytest.param("abc", "cba", "cba", id="applied order wins"),
        pytest.param("abc", "b", "abc", id="others keep their places"),
        pytest.param("ab", "cd", "abcd", id="new ones go last"),
        pytest.param("axb", "ba", "xba", id="moved around a stranger"),
    ],
)
def test_order_of_list_items(live: str, applied: str, merged: str) -> None:
    old = apply(None, with_containers(*({"name": n} for n in live)), "one")
    new = apply(old, with_containers(*({"name": n} for n in applied)), "two")
    assert "".join(c["name"] for c in new["spec"]["template"]["spec"]["containers"]) == merged


def test_null_removes_a_value() -> None:
    live = update(None, config({"a": "1", "b": "2"}), node=CONFIG_MAP)
    live = apply(live, config({"a": None, "c": "3"}), node=CONFIG_MAP)
    assert live["data"] == {"b": "2", "c": "3"}


def test_an_object_never_tracked_belongs_to_before_first_apply() -> None:
    live = deployment(replicas=1) | {"metadata": {"name": "web", "uid": "u"}}
    done = apply(live, deployment(paused=True))
    assert entries(done)["before-first-apply", "Update"]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    with pytest.raises(ApplyConflict, match='"before-first-apply" using apps/v1'):
        apply(live, deployment(replicas=2))


def test_status_is_not_owned_through_the_main_resource_nor_spec_through_status() -> None:
    both = deployment(replicas=1) | {"status": {"replicas": 1}}
    assert fields(apply(None, both)) == {"f:spec": {"f:replicas": {}}}
    live = apply(None, deployment(replicas=1))
    done = apply(live, both, "controller", subresource="status")
    assert entries(done)["controller", "Apply"]["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert entries(done)["controller", "Apply"]["subresource"] == "status"
    assert done["status"] == {"replicas": 1}


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        pytest.param(deployment() | {"metadata": {"name": "web", "managedFields": [{}]}},
                     "metadata.managedFields must be nil", id="managedFields"),
        pytest.param(with_containers({"name": "a"}, {"name": "a"}),
                     '.spec.template.spec.containers: duplicate entries for key [name="a"]', id="duplicates"),
        pytest.param(with_containers({"image": "x"}), 'omits key field "name"', id="no key"),
        pytest.param(deployment(template={"spec": {"containers": ["a"]}}), "must be an object", id="item of wrong type"),
    ],
)  # fmt: skip
def test_an_unclear_configuration_is_refused(applied: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        apply(None, applied)
    assert message in str(caught.value)


def test_another_version_is_refused() -> None:
    with pytest.raises(Invalid, match="Specified patch version: apps/v1beta1, expected: apps/v1"):
        apply_patch(None, {"apiVersion": "apps/v1beta1"}, DEPLOYMENT, manager="m", api_version="apps/v1", force=False,
                    subresource="", now=NOW)  # fmt: skip


def test_a_kind_without_structure_has_granular_maps_and_atomic_lists() -> None:
    def thing(**spec: Any) -> dict[str, Any]:
        return {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "t", "labels": {"l": "1"}}, "spec": spec}

    live = apply(None, thing(a={"b": 1}, items=[{"name": "x"}]), node=ANY)
    assert fields(live) == {
        "f:metadata": {"f:labels": {"f:l": {}}},
        "f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:items": {}},
    }
    live = apply(live, thing(a={"c": 2}), "other", node=ANY)
    assert live["spec"] == {"a": {"b": 1, "c": 2}, "items": [{"name": "x"}]}


def test_neither_argument_is_changed() -> None:
    live = apply(None, with_containers({"name": "a", "image": "1"}), "one")
    applied = with_containers({"name": "a", "image": "2"}, {"name": "b"})
    before = copy.deepcopy((live, applied))
    apply(live, applied, "two", force=True)
    update(live, applied)
    assert (live, applied) == before


def test_equal_quantities_do_not_conflict() -> None:
    live = apply(None, with_containers({"name": "a", "resources": {"limits": {"cpu": "500m"}}}), "one")
    apply(live, with_containers({"name": "a", "resources": {"limits": {"cpu": "0.5"}}}), "two")


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def applied_by_the_client(data: dict[str, str]) -> dict[str, Any]:
    text = orjson.dumps(config(data)).decode()
    return update(None, config(data, annotations={LAST_APPLIED: text}), "kubectl-client-side-apply", node=CONFIG_MAP)  # type: ignore[no-any-return]


def test_kubectl_takes_over_what_its_client_side_apply_wrote() -> None:
    live = applied_by_the_client({"a": "1"})
    done = apply(live, config({"a": "2"}), "kubectl", node=CONFIG_MAP)
    assert done["data"] == {"a": "2"}
    assert orjson.loads(done["metadata"]["annotations"][LAST_APPLIED])["data"] == {"a": "2"}
    with pytest.raises(ApplyConflict):
        apply(live, config({"a": "2"}), "somebody", node=CONFIG_MAP)


def test_kubectl_does_not_take_what_was_changed_since() -> None:
    live = applied_by_the_client({"a": "1"})
    edited = copy.deepcopy(live)
    edited["data"]["a"] = "9"
    with pytest.raises(ApplyConflict, match='conflict with "editor" using v1: .data.a'):
        apply(update(live, edited, node=CONFIG_MAP), config({"a": "2"}), "kubectl", node=CONFIG_MAP)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metadata": 1}'], ids=["empty", "cut", "list", "no metadata"])
def test_an_annotation_that_cannot_be_read_allows_nothing(text: str) -> None:
    live = update(None, config({"a": "1"}, annotations={LAST_APPLIED: text}), node=CONFIG_MAP)
    with pytest.raises(ApplyConflict):
        apply(live, config({"a": "2"}), "kubectl", node=CONFIG_MAP)

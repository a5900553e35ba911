"""Inter-pod affinity, spreading and preemption: the pure half, held against a slow and plain reading of the rules."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.orchestration.objects.meta import Object, key_of, labels_of, name_of
from wherry.orchestration.scheduler.decide import Rotation, schedule
from wherry.orchestration.scheduler.nearby import nearby
from wherry.orchestration.scheduler.pod_terms import wishes_of
from wherry.orchestration.scheduler.preemption import find_victims
from wherry.orchestration.scheduler.snapshot import Snapshot
from wherry.orchestration.scheduler.volumes import Claims

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def node(name: str, zone: str = "z", cpu: str = "4") -> Object:
    return {"metadata": {"name": name, "labels": {HOST: name, ZONE: zone}}, "spec": {},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}}


def pod(name: str, app: str = "web", at: str = "", cpu: str = "100m", priority: int = 0, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}], "priority": priority,
                 **({"nodeName": at} if at else {}), **spec},
    }


def made(nodes: list[Object], pods: list[Object]) -> Snapshot:
    snapshot = Snapshot()
    for each in nodes:
        snapshot.set_node(each)
    for each in pods:
        snapshot.set_pod(each)
    return snapshot


def term(app: str, key: str) -> Object:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}


def decided(asked: Object, snapshot: Snapshot) -> str:
    decision = schedule(asked, snapshot, Claims(), Rotation())
    return decision.node or decision.message


@pytest.mark.parametrize(("affinity", "placed", "expected"), [
    pytest.param({"podAffinity": {REQUIRED: [term("db", ZONE)]}}, [pod("db", "db", "b1")], {"b1", "b2"}, id="same zone"),
    pytest.param({"podAntiAffinity": {REQUIRED: [term("web", ZONE)]}}, [pod("w", "web", "b1")], {"a1"}, id="other zone"),
    pytest.param({"podAffinity": {REQUIRED: [term("web", ZONE)]}}, [], {"a1", "b1", "b2"}, id="first of its kind"),
    pytest.param({"podAffinity": {REQUIRED: [term("db", ZONE)]}}, [], set(), id="nobody to be near"),
    pytest.param(
        {"podAffinity": {REQUIRED: [{**term("db", ZONE), "namespaces": ["other"]}]}}, [pod("db", "db", "b1")], set(),
        id="of another namespace"),
    pytest.param(
        {"podAffinity": {REQUIRED: [{**term("db", ZONE), "namespaceSelector": {}}]}}, [pod("db", "db", "b1")], {"b1", "b2"},
        id="of any namespace"),
])  # fmt: skip
def test_required_affinity(affinity: Object, placed: list[Object], expected: set[str]):
    snapshot = made([node("a1", "a"), node("b1", "b"), node("b2", "b")], placed)
    asked = pod("new", affinity=affinity)
    near = nearby(asked, wishes_of(asked, snapshot.neighbours.namespaces_of), snapshot)
    assert {info.name for info in snapshot.order if not near.refusal(info)} == expected


def test_placed_pods_keep_others_away():
    loner = pod("loner", "db", "a1", affinity={"podAntiAffinity": {REQUIRED: [term("web", ZONE)]}})
    snapshot = made([node("a1", "a"), node("b1", "b")], [loner])
    assert decided(pod("web"), snapshot) == "b1"
    assert decided(pod("other", "other"), snapshot) in ("a1", "b1")
    snapshot.remove_node("b1")
    assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in decided(pod("web"), snapshot)
    snapshot.remove_pod(key_of(loner))
    assert decided(pod("web"), snapshot) == "a1"


def test_preferred_affinity_draws_and_repels():
    weighted = [{"weight": 100, "podAffinityTerm": term("db", ZONE)}]
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    snapshot = made([node("a1", "a"), node("b1", "b")], [pod("db", "db", "b1")])
    assert decided(pod("w", affinity={"podAffinity": {preferred: weighted}}), snapshot) == "b1"
    assert decided(pod("w", affinity={"podAntiAffinity": {preferred: weighted}}), snapshot) == "a1"


def test_replicas_of_one_owner_spread_without_being_asked():
    owned = {"ownerReferences": [{"kind": "ReplicaSet", "uid": "rs", "controller": True}]}
    nodes = [node(f"n{i}", f"z{i % 2}") for i in range(4)]
    snapshot, rotation = made(nodes, []), Rotation()
    homes = Counter()
    for index in range(8):
        asked = pod(f"p{index}")
        asked["metadata"] |= owned
        where = schedule(asked, snapshot, Claims(), rotation).node
        homes[where] += 1
        snapshot.set_pod({**asked, "spec": {**asked["spec"], "nodeName": where}})
    assert set(homes.values()) == {2}


def hard(key: str, skew: int = 1, **more: Any) -> Object:
    return {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}, **more}


def test_hard_spread_never_exceeds_its_skew():
    snapshot, rotation = made([node("a1", "a"), node("a2", "a"), node("b1", "b")], []), Rotation()
    zones = Counter()
    for index in range(9):
        asked = pod(f"p{index}", topologySpreadConstraints=[hard(ZONE)])
        where = schedule(asked, snapshot, Claims(), rotation).node
        zones[where[0]] += 1
        assert abs(zones["a"] - zones["b"]) <= 1
        snapshot.set_pod({**asked, "spec": {**asked["spec"], "nodeName": where}})


def test_too_few_domains_and_missing_labels_are_told():
    bare = {**node("x"), "metadata": {"name": "x", "labels": {}}}
    snapshot = made([node("a1", "a"), bare], [pod("p", at="a1")])
    text = decided(pod("new", topologySpreadConstraints=[hard(ZONE, minDomains=2)]), snapshot)
    assert "1 node(s) didn't match pod topology spread constraints (missing required label)" in text
    assert "1 node(s) didn't match pod topology spread constraints," in text


pods = st.lists(st.tuples(st.sampled_from(["web", "db"]), st.integers(0, 5), st.booleans()), max_size=12)


@settings(max_examples=60)
@given(pods, st.lists(st.integers(0, 11), max_size=6), st.sampled_from([ZONE, HOST]))
def test_counts_kept_up_to_date_equal_counts_made_anew(placed, removed, key):
    nodes = [node(f"n{i}", f"z{i % 3}") for i in range(6)]
    lonely = {"podAntiAffinity": {REQUIRED: [term("db", key)]}}
    asked = pod("new", affinity={"podAffinity": {REQUIRED: [term("web", key)]}, **lonely})
    every = [pod(f"p{i}", app, f"n{at}", **({"affinity": lonely} if alone else {})) for i, (app, at, alone) in enumerate(placed)]
    lived = made(nodes, [])
    nearby(asked, wishes_of(asked, lived.neighbours.namespaces_of), lived)  # the counts are in use from the start
    for each in every:
        lived.set_pod(each)
    for index in removed:
        lived.remove_pod(f"default/p{index}")
    fresh = made(nodes, [each for i, each in enumerate(every) if i not in removed])

    def refusals(snapshot: Snapshot) -> dict[str, str]:
        near = nearby(asked, wishes_of(asked, snapshot.neighbours.namespaces_of), snapshot)
        return {info.name: near.refusal(info) for info in snapshot.order}

    assert refusals(lived) == refusals(fresh) == plainly(asked, nodes, fresh, key)


def plainly(asked: Object, nodes: list[Object], snapshot: Snapshot, key: str) -> dict[str, str]:
    """The rules, read word by word."""
    there = [(p, labels_of(n)[key]) for p, n, _ in snapshot.placed()]
    exists = any(labels_of(p)["app"] == "web" for p, _ in there)
    result = {}
    for each in nodes:
        near = [p for p, value in there if value == labels_of(each)[key]]
        apps = {labels_of(p)["app"] for p in near}
        if "web" not in apps and exists:
            result[name_of(each)] = "node(s) didn't match pod affinity rules"
        elif "db" in apps:
            result[name_of(each)] = "node(s) didn't match pod anti-affinity rules"
        else:
            result[name_of(each)] = ""  # the lonely ones keep only `db` away
    return result


def victims(asked: Object, snapshot: Snapshot, *budgets: Object) -> tuple[str, list[str]] | None:
    decision = schedule(asked, snapshot, Claims(), Rotation())
    assert not decision.node
    before = {info.name: dict(info.pods) for info in snapshot.order}
    found = find_victims(asked, decision.hopeful, snapshot, Claims(), budgets)
    assert {info.name: dict(info.pods) for info in snapshot.order} == before, "trying out leaves no trace"
    return None if found is None else (found.node, sorted(map(name_of, found.pods)))


def budget(allowed: int, app: str) -> Object:
    return {"metadata": {"name": "b", "namespace": "default"}, "status": {"disruptionsAllowed": allowed},
            "spec": {"selector": {"matchLabels": {"app": app}}}}


def test_fewest_and_least_important_pods_make_room():
    snapshot = made([node("a"), node("b")], [
        pod("a-big", at="a", cpu="4", priority=5),
        pod("b-low", at="b", cpu="2", priority=1), pod("b-mid", at="b", cpu="2", priority=3),
    ])  # fmt: skip
    assert victims(pod("new", cpu="2", priority=10), snapshot) == ("b", ["b-low"])
    assert victims(pod("new", cpu="4", priority=10), snapshot) == ("b", ["b-low", "b-mid"])
    assert victims(pod("new", cpu="4", priority=4), snapshot) == ("b", ["b-low", "b-mid"])
    assert victims(pod("new", cpu="4", priority=3), snapshot) is None
    assert victims(pod("new", cpu="5", priority=10), snapshot) is None
    assert victims(pod("new", cpu="2", priority=10, preemptionPolicy="Never"), snapshot) is None


def test_budgets_are_kept_if_they_can_be():
    snapshot = made([node("a"), node("b")], [
        pod("kept", "db", "a", cpu="4", priority=1), pod("free", "web", "b", cpu="4", priority=2)])
    assert victims(pod("new", cpu="1", priority=10), snapshot, budget(0, "db")) == ("b", ["free"])
    assert victims(pod("new", cpu="1", priority=10), snapshot, budget(1, "db")) == ("a", ["kept"])


def test_pod_kept_away_by_anti_affinity_can_be_preempted_for():
    loner = pod("loner", "db", "a", priority=1, affinity={"podAntiAffinity": {REQUIRED: [term("web", HOST)]}})
    snapshot = made([node("a")], [loner])
    assert victims(pod("new", priority=10), snapshot) == ("a", ["loner"])

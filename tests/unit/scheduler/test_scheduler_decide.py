"""The scheduler's pure half: filters, scores, upstream's sentences, and the queue."""

from typing import Any

import pytest

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.volume_match import SELECTED_NODE
from wherry.orchestration.scheduler.decide import Rotation, schedule
from wherry.orchestration.scheduler.queue import SchedulingQueue
from wherry.orchestration.scheduler.snapshot import Snapshot
from wherry.orchestration.scheduler.volumes import Claims, claims_of


def node(name: str, *, cpu: str = "2", memory: str = "4Gi", pods: str = "110", taints: list[Object] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {**({"taints": taints} if taints else {}), **spec},
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(name: str = "p", *, cpu: str = "100m", node_name: str = "", ports: list[Object] | None = None, **spec: Any) -> Object:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}, "ports": ports or []}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [container], **({"nodeName": node_name} if node_name else {}), **spec},
    }


def snapshot(*nodes: Object, pods: tuple[Object, ...] = ()) -> Snapshot:
    made = Snapshot()
    for each in pods:
        made.set_pod(each)
    for each in nodes:
        made.set_node(each)
    return made


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


@pytest.mark.parametrize(("asked", "there", "reason"), [
    pytest.param(pod(cpu="3"), node("a"), "1 Insufficient cpu", id="too little cpu"),
    pytest.param(pod(), node("a", pods="0"), "1 Too many pods", id="no room for another pod"),
    pytest.param(pod(), node("a", taints=[TAINT]), "1 node(s) had untolerated taint {dedicated: db}", id="taint"),
    pytest.param(pod(), node("a", unschedulable=True), "1 node(s) were unschedulable", id="cordoned"),
    pytest.param(pod(nodeSelector={"disk": "ssd"}), node("a"), "1 node(s) didn't match Pod's node affinity/selector", id="selector"),
])
def test_a_pod_that_does_not_fit_gets_upstreams_reason(asked: Object, there: Object, reason: str) -> None:
    decision = schedule(asked, snapshot(there), Claims(), Rotation())
    assert decision.node == "" and decision.message.startswith(f"0/1 nodes are available: {reason}. preemption: ")


def test_a_tolerated_taint_is_no_obstacle() -> None:
    asked = pod(tolerations=[{"key": "dedicated", "operator": "Exists"}])
    assert schedule(asked, snapshot(node("a", taints=[TAINT])), Claims(), Rotation()).node == "a"


def test_a_host_port_is_taken_once_per_address() -> None:
    holder = pod("one", node_name="a", ports=[{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}])
    there = snapshot(node("a"), pods=(holder,))
    same = pod("two", ports=[{"containerPort": 80, "hostPort": 80}])
    other = pod("three", ports=[{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.2"}])
    assert "free ports" in schedule(same, there, Claims(), Rotation()).message
    assert schedule(other, there, Claims(), Rotation()).node == "a"


def test_the_emptier_node_wins_and_room_comes_back() -> None:
    there = snapshot(node("a"), node("b"), pods=(pod("big", cpu="1500m", node_name="a"),))
    assert schedule(pod(), there, Claims(), Rotation()).node == "b"
    assert schedule(pod(cpu="1"), there, Claims(), Rotation()).node == "b"
    there.remove_pod("default/big")
    there.set_pod(pod("big", cpu="1500m", node_name="b"))
    assert schedule(pod(cpu="1"), there, Claims(), Rotation()).node == "a"


def test_a_preferred_affinity_outweighs_a_little_load() -> None:
    preferred = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}}]}}
    there = snapshot(node("a"), node("b"), pods=(pod("small", node_name="b"),))
    assert schedule(pod(affinity=preferred), there, Claims(), Rotation()).node == "b"


def test_what_is_not_supported_is_refused_by_name() -> None:
    needy = pod(resourceClaims=[{"name": "gpu"}])
    assert "resourceClaims are not supported yet" in schedule(needy, snapshot(node("a")), Claims(), Rotation()).message


def test_reasons_of_many_nodes_are_counted() -> None:
    there = snapshot(node("a", cpu="0"), node("b", cpu="0"), node("c", taints=[TAINT]))
    message = schedule(pod(), there, Claims(), Rotation()).message
    assert message.startswith("0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 Insufficient cpu. ")
    assert "2 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling." in message


def claim(name: str, *, phase: str = "Pending", volume: str = "", selected: str = "") -> Object:
    meta: Object = {"name": name, "namespace": "default"}
    if selected:
        meta["annotations"] = {SELECTED_NODE: selected}
    return {"metadata": meta, "spec": {"storageClassName": "local", "volumeName": volume}, "status": {"phase": phase}}


CLASSES = {"local": {"metadata": {"name": "local"}, "provisioner": "wherry.dev/local", "volumeBindingMode": "WaitForFirstConsumer"}}


def with_claim() -> Object:
    return pod(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])


def test_a_missing_claim_holds_the_pod_everywhere() -> None:
    found = claims_of(with_claim(), lambda key: None, lambda key: None, CLASSES.get)
    message = schedule(with_claim(), snapshot(node("a")), found, Rotation()).message
    assert message.startswith('0/1 nodes are available: persistentvolumeclaim "data" not found. ')


def test_a_claim_that_waits_follows_the_node_it_was_promised() -> None:
    held = {"default/data": claim("data", selected="b")}
    found = claims_of(with_claim(), held.get, lambda key: None, CLASSES.get)
    assert schedule(with_claim(), snapshot(node("a"), node("b")), found, Rotation()).node == "b"
    assert "volume node affinity conflict" in schedule(with_claim(), snapshot(node("a")), found, Rotation()).message


def test_the_queue_prefers_priority_then_age_and_backs_off() -> None:
    now = [0.0]
    queue = SchedulingQueue(lambda: now[0])
    queue.add({**pod("low"), "metadata": {"name": "low", "namespace": "d", "creationTimestamp": "2026-01-01T00:00:00Z"}})
    queue.add(pod("high", priority=10))
    first, second = queue.pop(), queue.pop()
    assert first and second and (first["metadata"]["name"], second["metadata"]["name"]) == ("high", "low")
    queue.park("d/low")
    queue.wake()
    assert queue.pop() is None and queue.next_due_s() == pytest.approx(1.0)
    now[0] = 1.0
    assert queue.pop() is not None
    queue.park("d/low")
    now[0] = 10.0
    assert queue.pop() is None, "parked: only an event or five minutes bring it back"
    now[0] = 302.0
    assert queue.pop() is not None

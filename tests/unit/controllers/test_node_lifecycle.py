"""Silent nodes, their taints, and the pods that must leave; ranges, leases and left-over pods of nodes."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from wherry.kit.clock import rfc3339
from wherry.kit.errors import Unavailable
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.controllers.lease_cleanup.loop import is_abandoned
from wherry.orchestration.controllers.node_ipam.decide import free_range
from wherry.orchestration.controllers.node_ipam.loop import Controller as NodeIpam
from wherry.orchestration.controllers.node_lifecycle.decide import silenced, taints_of
from wherry.orchestration.controllers.node_lifecycle.heard import Heard
from wherry.orchestration.controllers.node_lifecycle.loop import Controller as NodeLifecycle
from wherry.orchestration.controllers.pod_gc import decide as gc
from wherry.orchestration.controllers.pod_gc.loop import Controller as PodGarbage
from wherry.orchestration.controllers.taint_eviction.decide import evict_at
from wherry.orchestration.controllers.taint_eviction.loop import Controller as TaintEviction
from wherry.orchestration.objects.kinds import LEASES, NODES, PODS
from wherry.orchestration.objects.meta import Object, condition_of, name_of
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.virtual_time import EPOCH

pytestmark = pytest.mark.virtual_time

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def node(ready: str | None, *taints: Object, **more: str) -> Object:
    rows = {**({"Ready": ready} if ready else {}), **more}
    conditions = [{"type": kind, "status": status} for kind, status in rows.items()]
    return {"metadata": {"name": "n"}, "spec": {"taints": list(taints)}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(("found", "evict", "expected"), [
    pytest.param(node("True", {"key": NOT_READY, "effect": "NoSchedule"}), True, [], id="ready loses the first taint"),
    pytest.param(node("True"), True, None, id="nothing to write"),
    pytest.param(node("Unknown"), True, [(UNREACHABLE, "NoExecute"), (UNREACHABLE, "NoSchedule")], id="silent"),
    pytest.param(node("False"), True, [(NOT_READY, "NoExecute"), (NOT_READY, "NoSchedule")], id="not ready"),
    pytest.param(node("Unknown"), False, [(UNREACHABLE, "NoSchedule")], id="nobody is evicted when all are silent"),
    pytest.param(node("True", DiskPressure="True"), True, [("node.kubernetes.io/disk-pressure", "NoSchedule")], id="pressure"),
    pytest.param(
        node("True", {"key": "mine", "effect": "NoExecute"}, {"key": NOT_READY, "effect": "NoSchedule"}), True,
        [("mine", "NoExecute")], id="taints of others stay"),
    pytest.param(
        node("False", {"key": UNREACHABLE, "effect": "NoExecute"}), True,
        [(NOT_READY, "NoExecute"), (NOT_READY, "NoSchedule")], id="heard of again, not ready yet"),
])  # fmt: skip
def test_taints_follow_conditions(found: Object, evict: bool, expected: list[tuple[str, str]] | None):
    taints = taints_of(found, EPOCH, evict=evict)
    assert (None if taints is None else [(t["key"], t["effect"]) for t in taints]) == expected


def test_cordoned_node_is_tainted_until_it_is_not():
    cordoned = {**node("True"), "spec": {"unschedulable": True}}
    taints = taints_of(cordoned, EPOCH, evict=True)
    assert taints == [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
    assert taints_of({**node("True"), "spec": {"taints": taints}}, EPOCH, evict=True) == []


def test_silence_is_told_once_with_upstreams_words():
    silent = silenced(node("True", MemoryPressure="False", DiskPressure="False", PIDPressure="False"), EPOCH)
    assert silent is not None
    row = condition_of(silent, "Ready")
    assert row is not None and (row["status"], row["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert row["message"] == "Kubelet stopped posting node status."
    assert silenced({**node(None), "status": {"conditions": silent}}, EPOCH) is None


def test_any_sign_of_life_ends_the_silence():
    heard = Heard()
    lease = {"spec": {"renewTime": "1"}}
    assert heard.see(node("True"), lease, 0) == 0
    assert heard.see(node("True"), lease, 30) == 30
    assert heard.see(node("True"), {"spec": {"renewTime": "2"}}, 31) == 0
    beat = {**node("True"), "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "t"}]}}
    assert heard.see(beat, None, 60) == 0


@pytest.mark.parametrize(("tolerations", "seconds"), [
    pytest.param([], 0, id="none"),
    pytest.param([{"operator": "Exists"}], None, id="for ever"),
    pytest.param([{"key": NOT_READY, "operator": "Exists", "tolerationSeconds": 300}], 300, id="for a time"),
    pytest.param(
        [{"operator": "Exists"}, {"key": NOT_READY, "operator": "Exists", "tolerationSeconds": 60}], 60, id="shortest"),
    pytest.param([{"key": NOT_READY, "operator": "Exists", "tolerationSeconds": -5}], 0, id="negative is zero"),
    pytest.param([{"key": "other", "operator": "Exists"}], 0, id="of another taint"),
])  # fmt: skip
def test_moment_of_eviction(tolerations: list[Object], seconds: int | None):
    taint = {"key": NOT_READY, "effect": "NoExecute", "timeAdded": rfc3339(EPOCH)}
    at = evict_at({"spec": {"tolerations": tolerations}}, [taint], EPOCH)
    assert at == (None if seconds is None else EPOCH + timedelta(seconds=seconds))


async def ready_status(on: ControlPlane, name: str) -> str:
    found = await on.find(NODES, name) or {}
    return str((condition_of(found["status"]["conditions"], "Ready") or {}).get("status"))


async def test_new_ready_node_loses_its_taint():
    async with control_plane(NodeLifecycle) as on:
        await on.node()

        async def untainted() -> bool:
            found = await on.find(NODES, "node-1")
            return not (found or {})["spec"].get("taints")

        await on.until(untainted)


async def test_pods_leave_a_silent_node_when_their_toleration_ends():
    async with control_plane(NodeLifecycle, TaintEviction) as on:
        await on.node("node-1")
        await on.node("node-2")
        stays = [{"operator": "Exists"}]
        brief = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
                 {"key": NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]
        await on.pod("stays", "10.244.0.5", node="node-1", tolerations=stays)
        await on.pod("leaves", "10.244.0.6", node="node-1", tolerations=brief)
        await on.until(lambda: on.find(PODS, "leaves"))
        for _ in range(14):
            await asyncio.sleep(5)
            beat = {"type": "Ready", "status": "True", "lastHeartbeatTime": rfc3339(on.clock.now())}
            await on.client.patch_status(NODES, "node-2", "", {"status": {"conditions": [beat]}})

        async def silent() -> bool:
            return await ready_status(on, "node-1") == "Unknown"

        await on.until(silent)
        assert await ready_status(on, "node-2") == "True"

        async def leaving() -> bool:
            pod = await on.find(PODS, "leaves")
            return pod is None or bool(pod["metadata"].get("deletionTimestamp"))

        await on.until(leaving)
        pod = await on.find(PODS, "leaves")
        target = condition_of(pod["status"]["conditions"], "DisruptionTarget")
        assert target is not None and target["reason"] == "DeletionByTaintManager"
        kept = await on.find(PODS, "stays")
        assert not kept["metadata"].get("deletionTimestamp")
        ready = condition_of(kept["status"]["conditions"], "Ready")
        assert ready is not None and ready["status"] == "False", "endpoints must not lead to a silent node"


async def test_a_date_that_is_set_back_does_not_put_an_eviction_off() -> None:
    async with control_plane(TaintEviction) as on:
        await on.node("node-1")
        await on.node("node-2")
        await on.pod("web", "10.244.0.5", node="node-1")
        taints = [{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": rfc3339(on.clock.now())}]
        on.clock.jump(-7200)
        await on.client.patch(NODES, "node-1", "", {"spec": {"taints": taints}})
        await asyncio.sleep(250)
        assert not (await on.find(PODS, "web"))["metadata"].get("deletionTimestamp"), "five minutes are tolerated"
        await asyncio.sleep(100)
        assert (await on.find(PODS, "web"))["metadata"].get("deletionTimestamp")


async def test_lone_node_that_falls_silent_evicts_nobody():
    async with control_plane(NodeLifecycle, TaintEviction) as on:
        await on.node("node-1")
        await on.until(lambda: on.find(NODES, "node-1"))
        for _ in range(14):
            await asyncio.sleep(5)

        async def silent() -> bool:
            found = await on.find(NODES, "node-1") or {}
            return [(t["key"], t["effect"]) for t in found["spec"].get("taints") or ()] == [(UNREACHABLE, "NoSchedule")]

        await on.until(silent)


async def test_each_node_gets_a_range_of_its_own():
    async with control_plane(partial(NodeIpam, cluster_cidr="10.244.0.0/16")) as on:
        await on.client.create(NODES, {"metadata": {"name": "first"}, "spec": {"podCIDR": "10.244.0.0/24"}})
        for name in ("a", "b"):
            await on.client.create(NODES, {"metadata": {"name": name}})

        async def ranges() -> bool:
            found = [node_["spec"].get("podCIDR") for node_ in await on.all(NODES)]
            return sorted(map(str, found)) == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]

        await on.until(ranges)


async def test_a_range_that_was_given_without_an_answer_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulation (seed 41): two nodes with one range, after a lost answer and while the watch lagged."""
    lost, held, told = [], [], Informer._apply
    asked = Client.patch

    async def patch(self: Client, resource: Any, name: str, *args: Any, **named: Any) -> Object:
        answer = await asked(self, resource, name, *args, **named)
        if resource is NODES and not lost:
            lost.append(name)
            raise Unavailable("connection reset by peer")
        return answer

    def late(self: Informer, event: Any) -> None:
        if (event.object.get("spec") or {}).get("podCIDR"):
            held.append((self, event))
        else:
            told(self, event)

    monkeypatch.setattr(Client, "patch", patch)
    monkeypatch.setattr(Informer, "_apply", late)
    async with control_plane(partial(NodeIpam, cluster_cidr="10.244.0.0/16")) as on:
        for name in ("a", "b"):
            await on.client.create(NODES, {"metadata": {"name": name}})
            await asyncio.sleep(1)
        for informer, event in held:
            told(informer, event)
        await asyncio.sleep(400)
        ranges = [node_["spec"].get("podCIDR") for node_ in await on.all(NODES)]
    assert lost == ["a"] and len(set(ranges)) == 2 and None not in ranges, ranges


def test_small_cluster_range_serves_one_node():
    assert free_range("10.244.0.0/24", []) == "10.244.0.0/24"
    assert free_range("10.244.0.0/24", ["10.244.0.0/24"]) is None


def pod(name: str, phase: str = "Running", node_name: str = "", created: int = 0, deleting: bool = False) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": name, "creationTimestamp": f"2026-01-01T00:00:{created:02}Z"}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    return {"metadata": metadata, "spec": {"nodeName": node_name}, "status": {"phase": phase}}


def test_left_over_pods():
    pods = [
        pod("old", "Failed", "n", created=1), pod("older", "Succeeded", "n"), pod("runs", node_name="n"),
        pod("lost", node_name="gone"), pod("never", "Pending", deleting=True),
    ]  # fmt: skip
    nodes = {"n": node("True")}
    assert [name_of(r.pod) for r in gc.surplus(pods, limit=1)] == ["older"]
    assert [name_of(r.pod) for r in gc.unscheduled(pods)] == ["never"]
    assert gc.missing_nodes(pods, nodes.get) == {"gone"}
    assert [name_of(r.pod) for r in gc.orphaned(pods, ["gone"])] == ["lost"]


async def test_pod_of_a_vanished_node_goes_after_quarantine():
    async with control_plane(PodGarbage) as on:
        await on.node("node-1")
        await on.pod("web", "10.244.0.5", node="node-1")
        await on.client.delete(NODES, "node-1")
        await asyncio.sleep(21)
        assert await on.find(PODS, "web"), "still in quarantine"
        await asyncio.sleep(60)
        assert await on.find(PODS, "web") is None


@pytest.mark.parametrize(("namespace", "age_h", "has_node", "expected"), [
    pytest.param("kube-node-lease", 2, False, True, id="node is gone"),
    pytest.param("kube-node-lease", 2, True, False, id="node is there"),
    pytest.param("kube-node-lease", 0, False, False, id="fresh"),
    pytest.param("default", 2, False, False, id="somebody else's"),
])  # fmt: skip
def test_abandoned_leases(namespace: str, age_h: int, has_node: bool, expected: bool):
    lease = {"metadata": {"name": "n", "namespace": namespace},
             "spec": {"renewTime": rfc3339(EPOCH - timedelta(hours=age_h)), "leaseDurationSeconds": 40}}
    assert is_abandoned(lease, has_node, EPOCH) is expected
    assert LEASES.namespaced

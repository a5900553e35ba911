"""The scheduler against the real API server: bindings, refusals and what wakes refused pods."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wherry.orchestration.controllers.node_lifecycle.loop import Controller as NodeLifecycle
from wherry.orchestration.controllers.volume_binding.loop import Controller as Binder
from wherry.orchestration.objects.kinds import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    STORAGE_CLASSES,
)
from wherry.orchestration.objects.meta import Object, condition_of, name_of
from wherry.orchestration.scheduler.loop import Scheduler
from wherry.testing.control_plane import ControlPlane, control_plane


@asynccontextmanager
async def cluster(*nodes: str, **labels: str) -> AsyncIterator[ControlPlane]:
    async with control_plane(Scheduler, NodeLifecycle) as on:
        for name in nodes:
            await on.node(name, **labels)
            await untainted(on, name)
        yield on


async def untainted(on: ControlPlane, name: str) -> None:
    async def is_so() -> bool:
        found = await on.find(NODES, name)
        return not (found or {})["spec"].get("taints")

    await on.until(is_so)


async def node_of(on: ControlPlane, pod: str) -> str:
    found = await on.find(PODS, pod)
    return str((found or {}).get("spec", {}).get("nodeName") or "")


async def placed(on: ControlPlane, pod: str) -> str:
    return str(await on.until(lambda: node_of(on, pod)))


async def refused(on: ControlPlane, pod: str) -> str:
    async def told() -> str:
        found = await on.find(PODS, pod)
        row = condition_of((found or {}).get("status", {}).get("conditions"), "PodScheduled")
        return str(row["message"]) if row is not None and row["status"] == "False" else ""

    return str(await on.until(told))


def requests(cpu: str) -> Any:
    return [{"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu}}}]


async def test_pod_is_bound_and_told():
    async with cluster("node-1") as on:
        await on.pod("web")
        assert await placed(on, "web") == "node-1"
        found = await on.find(PODS, "web")
        row = condition_of(found["status"]["conditions"], "PodScheduled")
        assert row is not None and row["status"] == "True"

        async def event() -> bool:
            return ("Scheduled", "Successfully assigned default/web to node-1") in await on.events()

        await on.until(event)


@pytest.mark.slow
async def test_pods_spread_and_never_overfill():
    async with cluster("a", "b") as on:
        for index in range(9):
            await on.pod(f"p{index}", containers=requests("1"))

        async def eight() -> bool:
            found = await on.all(PODS)
            return sum(bool(p["spec"].get("nodeName")) for p in found) == 8

        await on.until(eight)
        homes = [p["spec"].get("nodeName") for p in await on.all(PODS)]
        counts = [homes.count("a"), homes.count("b")]
        assert counts == [4, 4]
        (left,) = [name_of(p) for p in await on.all(PODS) if not p["spec"].get("nodeName")]
        text = await refused(on, left)
        assert text.startswith("0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption")
        await on.client.delete(PODS, "p0" if left != "p0" else "p1", "default", grace_s=0)
        assert await placed(on, left)


@pytest.mark.slow
async def test_no_node_at_all():
    async with cluster() as on:
        await on.pod("web")
        assert await refused(on, "web") == "no nodes available to schedule pods"
        await on.node("late")
        assert await placed(on, "web") == "late"


@pytest.mark.parametrize(("spec", "text"), [
    pytest.param({"nodeSelector": {"disk": "ssd"}}, "didn't match Pod's node affinity/selector", id="selector"),
    pytest.param({"containers": requests("64")}, "Insufficient cpu", id="cpu"),
])  # fmt: skip
async def test_refusals_are_told_in_upstreams_words(spec: Object, text: str):
    async with cluster("node-1") as on:
        await on.pod("web", **spec)
        assert text in await refused(on, "web")

        async def event() -> bool:
            return any(reason == "FailedScheduling" and text in message for reason, message in await on.events())

        await on.until(event)


@pytest.mark.slow
async def test_label_on_a_node_wakes_the_pod_that_waits_for_it():
    async with cluster("node-1") as on:
        await on.pod("web", nodeSelector={"disk": "ssd"})
        await refused(on, "web")
        await on.client.patch(NODES, "node-1", "", {"metadata": {"labels": {"disk": "ssd"}}})
        assert await placed(on, "web") == "node-1"


async def test_tainted_node_takes_only_who_tolerates_it():
    async with cluster("node-1") as on:
        await on.client.patch(NODES, "node-1", "", {"spec": {"taints": [
            {"key": "only", "value": "db", "effect": "NoSchedule"}]}})
        await on.pod("web")
        assert "untolerated taint" in await refused(on, "web")
        await on.pod("db", tolerations=[{"key": "only", "value": "db"}])
        assert await placed(on, "db") == "node-1"


@pytest.mark.slow
async def test_cordoned_node_takes_nobody_until_it_is_back():
    async with cluster("node-1") as on:
        await on.client.patch(NODES, "node-1", "", {"spec": {"unschedulable": True}})
        await on.pod("web")
        await refused(on, "web")
        await on.client.patch(NODES, "node-1", "", {"spec": {"unschedulable": None}})
        assert await placed(on, "web") == "node-1"


async def test_gated_pod_waits_for_its_gates():
    async with cluster("node-1") as on:
        await on.pod("web", schedulingGates=[{"name": "sea.dev/tide"}])
        await on.pod("other")
        await placed(on, "other")
        assert not await node_of(on, "web")
        found = await on.find(PODS, "web")
        row = condition_of(found["status"]["conditions"], "PodScheduled")
        assert row is not None and row["reason"] == "SchedulingGated"
        await on.client.patch(PODS, "web", "default", {"spec": {"schedulingGates": None}})
        assert await placed(on, "web") == "node-1"


async def test_other_schedulers_pods_are_left_alone():
    async with cluster("node-1") as on:
        await on.pod("theirs", schedulerName="sea-scheduler")
        await on.pod("ours")
        await placed(on, "ours")
        assert not await node_of(on, "theirs")


async def test_missing_claim_is_told_and_its_creation_wakes_the_pod():
    async with cluster("node-1") as on:
        await on.pod("db", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
        assert 'persistentvolumeclaim "data" not found' in await refused(on, "db")


async def test_claim_that_waits_is_told_the_node_before_the_pod_is_bound():
    async with cluster("node-1") as on:
        await on.client.create(STORAGE_CLASSES, {
            "metadata": {"name": "slow"}, "provisioner": "sea.dev/p", "volumeBindingMode": "WaitForFirstConsumer"})
        await on.client.create(PERSISTENT_VOLUME_CLAIMS, {
            "metadata": {"name": "data", "namespace": "default"},
            "spec": {"storageClassName": "slow", "accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": "1Gi"}}}})
        await on.pod("db", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])

        async def selected() -> bool:
            found = await on.find(PERSISTENT_VOLUME_CLAIMS, "data")
            return ((found or {})["metadata"].get("annotations") or {}).get(
                "volume.kubernetes.io/selected-node") == "node-1"

        await on.until(selected)
        assert not await node_of(on, "db"), "its volume is not there yet"
        await on.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", "default", {"spec": {"volumeName": "pv"}})
        await on.client.patch_status(PERSISTENT_VOLUME_CLAIMS, "data", "default", {"status": {"phase": "Bound"}})
        assert await placed(on, "db") == "node-1"


NEAR = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}


def affinity(kind: str, *terms: Object) -> Object:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


@pytest.mark.slow
async def test_replicas_keep_apart_and_one_too_many_waits_for_a_node():
    async with cluster("a", "b") as on:
        for index in range(3):
            await on.pod(f"web-{index}", **affinity("podAntiAffinity", NEAR))

        async def two() -> list[str]:
            found = [p["spec"].get("nodeName") for p in await on.all(PODS)]
            return sorted(filter(None, found)) if len(list(filter(None, found))) == 2 else []

        assert await on.until(two) == ["a", "b"]
        (left,) = [name_of(p) for p in await on.all(PODS) if not p["spec"].get("nodeName")]
        assert "2 node(s) didn't match pod anti-affinity rules" in await refused(on, left)
        await on.node("c")
        assert await placed(on, left) == "c"


@pytest.mark.slow
async def test_pod_follows_the_one_it_needs_and_waits_for_it():
    async with cluster("a", "b") as on:
        await on.pod("cache", app="cache", **affinity("podAffinity", NEAR))
        assert "2 node(s) didn't match pod affinity rules" in await refused(on, "cache")
        await on.pod("web", nodeSelector={"kubernetes.io/hostname": "b"})
        assert await placed(on, "cache") == "b"


async def test_important_pod_takes_the_place_of_another():
    async with cluster("node-1") as on:
        await on.pod("full", containers=requests("4"))
        await placed(on, "full")
        await on.pod("urgent", containers=requests("4"), priorityClassName="system-cluster-critical")

        async def evicted() -> Object | None:
            found = await on.find(PODS, "full")
            return found if found and found["metadata"].get("deletionTimestamp") else None

        victim = await on.until(evicted)
        target = condition_of(victim["status"]["conditions"], "DisruptionTarget")
        assert target is not None and target["reason"] == "PreemptionByScheduler"

        async def nominated() -> bool:
            found = await on.find(PODS, "urgent")
            return (found or {})["status"].get("nominatedNodeName") == "node-1"

        await on.until(nominated)
        await on.pod("sneaky", containers=requests("1"))
        await on.client.delete(PODS, "full", "default", grace_s=0)
        assert await placed(on, "urgent") == "node-1"
        assert not await node_of(on, "sneaky"), "the room was kept"
        assert "Preempted" in dict(await on.events())


async def test_pod_that_never_preempts_waits():
    async with cluster("node-1") as on:
        await on.client.create(PRIORITY_CLASSES, {
            "metadata": {"name": "patient"}, "value": 1000, "preemptionPolicy": "Never"})
        await on.pod("full", containers=requests("4"))
        await placed(on, "full")
        await on.pod("patient", containers=requests("4"), priorityClassName="patient")
        await refused(on, "patient")
        assert not (await on.find(PODS, "full"))["metadata"].get("deletionTimestamp")


@pytest.mark.slow
async def test_waiting_claim_gets_the_volume_that_is_on_a_node_the_pod_fits():
    on_b = {"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]}}
    async with control_plane(Scheduler, NodeLifecycle, Binder) as on:
        for name in ("a", "b"):
            await on.node(name)
            await untainted(on, name)
        await on.client.create(STORAGE_CLASSES, {
            "metadata": {"name": "static"}, "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer"})
        await on.client.create(PERSISTENT_VOLUME_CLAIMS, {
            "metadata": {"name": "data", "namespace": "default"},
            "spec": {"storageClassName": "static", "accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": "1Gi"}}}})
        await on.pod("db", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
        assert "didn't find available persistent volumes to bind" in await refused(on, "db")
        await on.client.create(PERSISTENT_VOLUMES, {
            "metadata": {"name": "disk"},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "static",
                     "persistentVolumeReclaimPolicy": "Retain", "local": {"path": "/d"}, "nodeAffinity": on_b}})
        assert await placed(on, "db") == "b"
        assert (await on.find(PERSISTENT_VOLUME_CLAIMS, "data"))["spec"]["volumeName"] == "disk"

"""Claims, volumes and storage together: the real API server, the real scheduler, volumes as folders."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wherry.kit.errors import Unavailable
from wherry.orchestration.controllers.ephemeral_volume.loop import Controller as Ephemeral
from wherry.orchestration.controllers.volume_binding.loop import Controller as Binder
from wherry.orchestration.controllers.volume_expansion.loop import Controller as Expander
from wherry.orchestration.controllers.volume_protection.loop import ClaimController, VolumeController
from wherry.orchestration.controllers.volume_provisioning.loop import Controller as Provisioner
from wherry.orchestration.objects.kinds import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from wherry.orchestration.objects.meta import Object, condition_of, name_of
from wherry.orchestration.objects.volume_match import SELECTED_NODE
from wherry.orchestration.scheduler.loop import Scheduler
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.directory_volumes import DirectoryVolumes

LOCAL = {
    "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "wherry.dev/local", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}  # fmt: skip
MOUNT = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


@asynccontextmanager
async def storage(engine: DirectoryVolumes, *more: Any) -> AsyncIterator[ControlPlane]:
    parts = [partial(part, storage=engine) for part in (Provisioner, Expander)]
    async with control_plane(Binder, *parts, ClaimController, VolumeController, *more) as on:
        await on.client.create(STORAGE_CLASSES, LOCAL)
        await on.node()
        await on.client.patch(NODES, "node-1", "", {"spec": {"taints": None}})
        yield on


@pytest.fixture
async def engine(tmp_path: Path) -> DirectoryVolumes:
    engine = DirectoryVolumes(tmp_path / "volumes")
    await engine.prepare()
    return engine


async def claim(on: ControlPlane, name: str = "data", size: str = "1Gi", **spec: Any) -> Object:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return await on.client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": body})


async def volume(on: ControlPlane, name: str, size: str, **spec: Any) -> Object:
    body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
            "persistentVolumeReclaimPolicy": "Retain", **spec}
    return await on.client.create(PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": body})


async def phase(on: ControlPlane, resource: Any, name: str) -> str:
    found = await on.find(resource, name)
    return "" if found is None else str(found["status"].get("phase"))


async def until_phase(on: ControlPlane, resource: Any, name: str, wanted: str) -> Object:
    async def there() -> bool:
        return await phase(on, resource, name) == wanted

    await on.until(there)
    found = await on.find(resource, name)
    return found or {}


async def until_gone(on: ControlPlane, resource: Any, name: str) -> None:
    await until_phase(on, resource, name, "")


async def until_event(on: ControlPlane, reason: str) -> str:
    async def seen() -> str:
        return next((message for r, message in await on.events() if r == reason), "")

    return str(await on.until(seen))


async def test_pod_with_a_new_claim_gets_storage_and_a_node_and_all_of_it_goes_again(engine):
    async with storage(engine, Scheduler) as on:
        made = await claim(on)
        name = f"pvc-{made['metadata']['uid']}"
        assert "first consumer" in await until_event(on, "WaitForFirstConsumer")
        await on.pod("db", volumes=MOUNT)

        async def scheduled() -> bool:
            pod = await on.find(PODS, "db")
            return bool(pod and pod["spec"].get("nodeName"))

        await on.until(scheduled)
        bound = await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        assert bound["spec"]["volumeName"] == name
        assert bound["status"]["capacity"] == {"storage": "1Gi"}
        assert bound["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "node-1"
        assert bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
        pv = await until_phase(on, PERSISTENT_VOLUMES, name, "Bound")
        assert pv["spec"]["csi"]["volumeHandle"] == name
        assert pv["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]
        assert [(v.name, v.size_bytes) for v in await engine.volumes()] == [(name, 2**30)]

        await on.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        assert (await on.find(PERSISTENT_VOLUME_CLAIMS, "data"))["metadata"]["deletionTimestamp"], "a pod uses it"
        await on.client.delete(PODS, "db", "default", grace_s=0)
        await until_gone(on, PERSISTENT_VOLUME_CLAIMS, "data")
        await until_gone(on, PERSISTENT_VOLUMES, name)
        assert not await engine.volumes()


async def test_retained_volume_keeps_its_data(engine):
    async with storage(engine, Scheduler) as on:
        await on.client.create(STORAGE_CLASSES, {**LOCAL, "metadata": {"name": "kept"}, "reclaimPolicy": "Retain"})
        made = await claim(on, storageClassName="kept")
        await on.pod("db", volumes=MOUNT)
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        await on.client.delete(PODS, "db", "default", grace_s=0)
        await on.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await until_phase(on, PERSISTENT_VOLUMES, f"pvc-{made['metadata']['uid']}", "Released")
        assert len(await engine.volumes()) == 1


async def test_grown_claim_grows_volume_and_storage(engine):
    async with storage(engine, Scheduler) as on:
        made = await claim(on)
        name = f"pvc-{made['metadata']['uid']}"
        await on.pod("db", volumes=MOUNT)
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        await on.client.patch(
            PERSISTENT_VOLUME_CLAIMS, "data", "default", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})

        async def grown() -> bool:
            return (await on.find(PERSISTENT_VOLUME_CLAIMS, "data"))["status"]["capacity"] == {"storage": "2Gi"}

        await on.until(grown)
        assert not (await on.find(PERSISTENT_VOLUME_CLAIMS, "data"))["status"].get("conditions")
        assert (await on.find(PERSISTENT_VOLUMES, name))["spec"]["capacity"] == {"storage": "2Gi"}
        assert [v.size_bytes for v in await engine.volumes()] == [2**31]


class GrowsLater(DirectoryVolumes):
    """What a machine without the right to grow a mounted file system does."""

    async def expand(self, name: str, size_bytes: int) -> Any:
        raise Unavailable(f"volume {name!r} grows at its next mount: CAP_SYS_RESOURCE")


async def test_growth_that_waits_for_a_mount_is_told(tmp_path):
    engine = GrowsLater(tmp_path)
    async with storage(engine, Scheduler) as on:
        await claim(on)
        await on.pod("db", volumes=MOUNT)
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        await on.client.patch(
            PERSISTENT_VOLUME_CLAIMS, "data", "default", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})

        async def pending() -> bool:
            found = await on.find(PERSISTENT_VOLUME_CLAIMS, "data")
            condition = condition_of(found["status"].get("conditions"), "FileSystemResizePending")
            return condition is not None and "grows at its next mount: CAP_SYS_RESOURCE" in condition["message"]

        await on.until(pending)


@pytest.mark.parametrize(("volumes", "asked", "expected"), [
    pytest.param([("a", "5Gi", {}), ("b", "2Gi", {}), ("c", "1Mi", {})], {}, "b", id="smallest that is large enough"),
    pytest.param([("a", "1Gi", {"accessModes": ["ReadOnlyMany"]}), ("b", "2Gi", {})], {}, "b", id="access modes"),
    pytest.param([("a", "1Gi", {"storageClassName": "fast"}), ("b", "2Gi", {})], {}, "b", id="class"),
    pytest.param([("a", "1Gi", {}), ("b", "2Gi", {})], {"volumeName": "b"}, "b", id="named by the claim"),
    pytest.param(
        [("a", "1Gi", {}), ("b", "2Gi", {"claimRef": {"namespace": "default", "name": "data"}})], {}, "b",
        id="reserved by the volume"),
    pytest.param(
        [("a", "1Gi", {"claimRef": {"namespace": "default", "name": "other"}}), ("b", "2Gi", {})], {}, "b",
        id="reserved for somebody else"),
])  # fmt: skip
async def test_static_volume_is_chosen(engine, volumes, asked, expected):
    async with storage(engine) as on:
        for name, size, spec in volumes:
            await volume(on, name, size, **spec)
            await until_phase(on, PERSISTENT_VOLUMES, name, "Available")
        await claim(on, storageClassName="", **asked)
        bound = await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        assert bound["spec"]["volumeName"] == expected
        await until_phase(on, PERSISTENT_VOLUMES, expected, "Bound")


async def test_volume_that_comes_later_is_taken_by_the_claim_that_waits(engine):
    async with storage(engine) as on:
        await claim(on, storageClassName="")
        assert await until_event(on, "FailedBinding") == (
            "no persistent volumes available for this claim and no storage class is set")
        await volume(on, "late", "1Gi")
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")


async def test_two_claims_never_share_a_volume(engine):
    async with storage(engine) as on:
        for name in ("a", "b"):
            await claim(on, name, storageClassName="")
        await volume(on, "one", "1Gi")

        async def one_bound() -> bool:
            phases = sorted([await phase(on, PERSISTENT_VOLUME_CLAIMS, name) for name in ("a", "b")])
            return phases == ["Bound", "Pending"]

        await on.until(one_bound)


async def test_claim_whose_volume_vanishes_is_lost(engine):
    async with storage(engine) as on:
        await volume(on, "one", "1Gi")
        await claim(on, storageClassName="")
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        await on.client.delete(PERSISTENT_VOLUMES, "one")
        assert (await on.find(PERSISTENT_VOLUMES, "one"))["metadata"]["deletionTimestamp"], "it is bound"
        await on.client.patch(PERSISTENT_VOLUMES, "one", "", {"metadata": {"finalizers": None}})
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Lost")
        assert await until_event(on, "ClaimLost") == (
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!")


async def test_volume_of_a_claim_too_large_for_it_is_told(engine):
    async with storage(engine) as on:
        await volume(on, "small", "1Mi")
        await claim(on, storageClassName="", volumeName="small")
        assert await until_event(on, "VolumeMismatch") == (
            'Cannot bind to requested volume "small": requested PV is too small')


async def test_provisioning_refusals_are_events(engine):
    async with storage(engine, Scheduler) as on:
        await claim(on, volumeMode="Block")
        await on.pod("db", volumes=MOUNT)
        assert "volumeMode Block" in await until_event(on, "ProvisioningFailed")


async def test_a_pod_with_a_claim_runs_where_its_class_makes_volumes(engine):
    async with storage(engine, Scheduler) as on:
        await on.client.delete(STORAGE_CLASSES, "local")
        where = [{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["node-1"]}]}]
        await on.client.create(STORAGE_CLASSES, {**LOCAL, "allowedTopologies": where})
        await on.node("a-node")  # the first by name, and as empty as the other
        await on.client.patch(NODES, "a-node", "", {"spec": {"taints": None}})
        await claim(on)
        await on.pod("db", volumes=MOUNT)
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        elsewhere = {"kubernetes.io/hostname": "a-node"}
        await claim(on, "more")
        await on.pod("far", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "more"}}], nodeSelector=elsewhere)
        assert "didn't find available persistent volumes to bind" in await until_event(on, "FailedScheduling")


async def test_a_volume_for_another_machine_is_refused_with_an_event_and_another_node_is_chosen(engine):
    """The storage is on the disk of the node that the provisioner runs on: another one could never mount it."""
    async with control_plane(Binder, partial(Provisioner, storage=engine, own_node="node-2")) as on:
        await on.client.create(STORAGE_CLASSES, LOCAL)
        for name in ("node-1", "node-2"):
            await on.node(name)
        await on.client.create(PERSISTENT_VOLUME_CLAIMS, {
            "metadata": {"name": "data", "namespace": "default", "annotations": {SELECTED_NODE: "node-1"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})
        assert "made on node node-2 only, and the pod was to run on node-1" in await until_event(on, "ProvisioningFailed")

        async def is_open() -> bool:
            return SELECTED_NODE not in ((await on.find(PERSISTENT_VOLUME_CLAIMS, "data"))["metadata"].get("annotations") or {})

        await on.until(is_open)
        await on.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", "default", {"metadata": {"annotations": {SELECTED_NODE: "node-2"}}})
        await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")


@pytest.mark.slow
async def test_ephemeral_volume_gets_a_claim_of_its_pod(engine):
    async with storage(engine, Scheduler, Ephemeral) as on:
        template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        pod = await on.pod("db", volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}])
        bound = await until_phase(on, PERSISTENT_VOLUME_CLAIMS, "db-scratch", "Bound")
        assert bound["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
        assert name_of(bound) == "db-scratch"

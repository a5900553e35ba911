"""StatefulSets: order, identity, claims, rolling updates from the top, partition, history."""

import pytest

from wherry.orchestration.controllers.statefulset import loop
from wherry.orchestration.controllers.statefulset.identity import claim_owners, claims_for, pod_for
from wherry.orchestration.objects.kinds import (
    CONTROLLER_REVISIONS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
)
from wherry.orchestration.objects.meta import Object, labels_of, name_of
from wherry.testing.cluster_objects import pod_template, stateful_set
from wherry.testing.controller_harness import Harness, controllers

pytestmark = pytest.mark.virtual_time

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def names(run: Harness) -> list[str]:
    return [name_of(pod) for pod in run.pods()]


def images(run: Harness) -> dict[str, str]:
    return {name_of(p): p["spec"]["containers"][0]["image"] for p in run.pods()}


def found(run: Harness) -> Object:
    return run.api.find(STATEFUL_SETS, "db")


async def ready(run: Harness, count: int) -> None:
    for _ in range(100):
        await run.run_all()
        await run.settle(5)
        if found(run).get("status", {}).get("readyReplicas", 0) == count == len(run.pods()):
            return
    raise AssertionError(f"never {count} ready: {found(run)}")


async def converged(run: Harness, image: str) -> None:
    for _ in range(100):
        await run.run_all()
        await run.settle(5)
        status = found(run)["status"]
        if set(images(run).values()) == {image} and status["currentRevision"] == status["updateRevision"]:
            return
    raise AssertionError(f"never all {image}: {images(run)} {found(run)['status']}")


async def test_members_come_one_by_one_and_go_from_the_top() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set())
        await run.until(lambda: names(run) == ["db-0"])
        await run.settle()
        assert names(run) == ["db-0"]
        await ready(run, 3)
        assert names(run) == ["db-0", "db-1", "db-2"]
        pod = run.api.find(PODS, "db-1")
        assert labels_of(pod)["apps.kubernetes.io/pod-index"] == "1"
        assert labels_of(pod)["statefulset.kubernetes.io/pod-name"] == "db-1"
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"replicas": 1}})
        await run.until(lambda: names(run) == ["db-0"])
        status = found(run)["status"]
        assert status["currentRevision"] == status["updateRevision"] == labels_of(pod)["controller-revision-hash"]


async def test_scaling_down_waits_for_an_unhealthy_member() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set())
        await ready(run, 3)
        await run.report(run.api.find(PODS, "db-0"), ready=False)
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"replicas": 1}})
        await run.settle()
        assert names(run) == ["db-0", "db-1", "db-2"]
        await run.report(run.api.find(PODS, "db-0"))
        await run.until(lambda: names(run) == ["db-0"])


async def test_parallel_members_come_and_go_at_once() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set(podManagementPolicy="Parallel", ordinals={"start": 5}))
        await run.until(lambda: names(run) == ["db-5", "db-6", "db-7"])
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"replicas": 0}})
        await run.until(lambda: names(run) == [])


async def test_lost_and_failed_members_come_back_by_name() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set())
        await ready(run, 3)
        first = run.api.find(PODS, "db-1")["metadata"]["uid"]
        await run.report(run.api.find(PODS, "db-1"), "Failed")
        await run.until(lambda: (p := run.api.find(PODS, "db-1")) and p["metadata"]["uid"] != first)
        assert "RecreatingFailedPod" in await run.reasons()


async def test_template_rolls_out_from_the_top_down_to_the_partition() -> None:
    async with controllers(loop.Controller) as run:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        await run.client.create(STATEFUL_SETS, stateful_set(updateStrategy=strategy))
        await ready(run, 3)
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"template": pod_template("app:2")}})
        await run.until(lambda: images(run).get("db-2") == "app:2")
        await ready(run, 3)
        assert images(run) == {"db-0": "app:1", "db-1": "app:1", "db-2": "app:2"}
        await run.client.delete(PODS, "db-0", "default")
        await ready(run, 3)
        assert images(run)["db-0"] == "app:1"  # below the partition a member comes back as it was
        patch = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}
        await run.client.patch(STATEFUL_SETS, "db", "default", patch)
        await converged(run, "app:2")
        assert len(run.api.all(CONTROLLER_REVISIONS)) == 2


async def test_rollback_reuses_its_revision() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set(replicas=1))
        await ready(run, 1)
        original = found(run)["status"]["currentRevision"]
        for image in ("app:2", "app:1"):
            await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"template": pod_template(image)}})
            await run.until(lambda i=image: images(run).get("db-0") == i)
            await converged(run, image)
        assert found(run)["status"]["currentRevision"] == original
        assert {r["revision"] for r in run.api.all(CONTROLLER_REVISIONS)} == {2, 3}


async def test_on_delete_updates_only_deleted_members() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set(updateStrategy={"type": "OnDelete"}))
        await ready(run, 3)
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"template": pod_template("app:2")}})
        await run.settle()
        assert set(images(run).values()) == {"app:1"}
        await run.client.delete(PODS, "db-1", "default")
        await ready(run, 3)
        assert images(run) == {"db-0": "app:1", "db-1": "app:2", "db-2": "app:1"}


async def test_each_member_has_its_claim_and_keeps_it() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(STATEFUL_SETS, stateful_set(replicas=2, volumeClaimTemplates=[CLAIM]))
        await ready(run, 2)
        claims = run.api.all(PERSISTENT_VOLUME_CLAIMS)
        assert [name_of(c) for c in claims] == ["data-db-0", "data-db-1"]
        assert labels_of(claims[0]) == {"app": "web"} and "ownerReferences" not in claims[0]["metadata"]
        assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}} in (
            run.api.find(PODS, "db-0")["spec"]["volumes"]
        )
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"replicas": 0}})
        await run.until(lambda: names(run) == [])
        assert len(run.api.all(PERSISTENT_VOLUME_CLAIMS)) == 2


async def test_claims_of_scaled_members_belong_to_their_pod_when_policy_says_delete() -> None:
    policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    async with controllers(loop.Controller) as run:
        await run.client.create(
            STATEFUL_SETS,
            stateful_set(replicas=1, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy),
        )
        await ready(run, 1)
        [claim] = run.api.all(PERSISTENT_VOLUME_CLAIMS)
        assert claim["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet"
        await run.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"replicas": 0}})
        await run.until(lambda: names(run) == [])
        [claim] = run.api.all(PERSISTENT_VOLUME_CLAIMS)
        assert claim["metadata"]["ownerReferences"][0]["kind"] == "Pod"


def test_claim_policy_back_to_retain_gives_the_claim_up() -> None:
    owner = stateful_set(volumeClaimTemplates=[CLAIM])
    owner["metadata"]["uid"] = "set"
    [claim] = claims_for(owner, 0)
    owner["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    claim["metadata"]["ownerReferences"] = claim_owners(owner, 0, claim, None)
    assert claim["metadata"]["ownerReferences"]
    owner["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert claim_owners(owner, 0, claim, None) == []


@pytest.mark.parametrize("ordinal", [pytest.param(0, id="member"), pytest.param(9, id="scaled away")])
def test_a_claim_of_another_controller_gets_no_second_one(ordinal: int) -> None:
    owner = stateful_set(replicas=1, volumeClaimTemplates=[CLAIM])
    owner["metadata"]["uid"] = "set"
    owner["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    other = {"apiVersion": "example.com/v1", "kind": "Database", "name": "db", "uid": "other", "controller": True}
    mine = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "set"}
    [claim] = claims_for(owner, ordinal)
    claim["metadata"]["ownerReferences"] = [other, mine]
    member = {"metadata": {"name": f"db-{ordinal}", "uid": "pod"}}
    assert claim_owners(owner, ordinal, claim, member) == [other]


def test_a_claim_replaces_the_templates_volume_of_that_name() -> None:
    owner = stateful_set(volumeClaimTemplates=[CLAIM])
    template = pod_template(volumes=[{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}])
    assert [sorted(v) for v in pod_for(owner, 0, template, "r")["spec"]["volumes"]] == [
        ["emptyDir", "name"], ["name", "persistentVolumeClaim"],
    ]  # fmt: skip

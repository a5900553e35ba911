"""ReplicaSets and ReplicationControllers: count, ranking, adoption, status, failures."""

from datetime import UTC, datetime, timedelta

import pytest

from wherry.kit.clock import rfc3339
from wherry.orchestration.controllers.replicaset import loop
from wherry.orchestration.controllers.replicaset.decide import REPLICA_SET, Plan, decide, status_of
from wherry.orchestration.controllers.replicationcontroller import loop as rc_loop
from wherry.orchestration.controllers.workload.pod_ranking import to_delete
from wherry.orchestration.objects.kinds import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from wherry.orchestration.objects.meta import Object, controller_of, name_of
from wherry.testing.cluster_objects import pod_template, replica_set
from wherry.testing.controller_harness import controllers
from wherry.testing.faults import Refused, always, nothing

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(
    name: str, phase: str = "Running", *, node: str = "n1", ready: bool = True, age_s: int = 100, cost: str = "",
    restarts: int = 0,
) -> Object:
    at = rfc3339(NOW - timedelta(seconds=age_s))
    return {
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}, "creationTimestamp": at,
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {},
        },
        "spec": {"nodeName": node},
        "status": {
            "phase": phase, "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": at}],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(("victim", "other"), [
    pytest.param(pod("v", node=""), pod("o"), id="unassigned before assigned"),
    pytest.param(pod("v", "Pending"), pod("o", ready=False), id="pending before running"),
    pytest.param(pod("v", ready=False), pod("o"), id="unready before ready"),
    pytest.param(pod("v", cost="-5"), pod("o"), id="cheap before dear"),
    pytest.param(pod("v", age_s=5), pod("o", age_s=5000), id="young before old"),
    pytest.param(pod("v", restarts=3), pod("o"), id="restarted before steady"),
    pytest.param(pod("v", cost="-5", age_s=9000), pod("o", age_s=5), id="cost counts more than age"),
])  # fmt: skip
def test_deletion_prefers(victim: Object, other: Object) -> None:
    assert to_delete([other, victim], [other, victim], 1, NOW) == [victim]


def test_deletion_spreads_over_nodes() -> None:
    crowded = [pod(f"c{i}", node="n1", age_s=5000) for i in range(3)]
    alone = pod("alone", node="n2", age_s=1)
    assert alone not in to_delete([alone, *crowded], [alone, *crowded], 2, NOW)


@pytest.mark.parametrize(("have", "plan"), [
    pytest.param(0, Plan(create=3), id="none"),
    pytest.param(3, Plan(), id="enough"),
    pytest.param(2, Plan(create=1), id="one short"),
])  # fmt: skip
def test_plan_reaches_replicas(have: int, plan: Plan) -> None:
    pods = [pod(f"p{i}") for i in range(have)]
    assert decide(replica_set(), pods, pods, NOW) == plan


def test_status_counts_ready_available_and_labelled() -> None:
    owner = replica_set(minReadySeconds=30)
    pods = [pod("a", age_s=60), pod("b", age_s=10), pod("c", ready=False)]
    pods[2]["metadata"]["labels"] = {}
    status = status_of(owner, REPLICA_SET, pods, 1, "", NOW)
    assert status == {
        "replicas": 3, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 1, "terminatingReplicas": 1,
    }  # fmt: skip


async def test_pods_are_created_replaced_and_counted() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(REPLICA_SETS, replica_set(replicas=5))
        await run.until(lambda: len(run.pods()) == 5)
        await run.run_all()
        await run.until(lambda: (run.api.find(REPLICA_SETS, "web").get("status") or {}).get("readyReplicas") == 5)
        await run.client.delete(PODS, name_of(run.pods()[0]), "default")
        await run.until(lambda: len(run.pods()) == 5)
        await run.client.patch(REPLICA_SETS, "web", "default", {"spec": {"replicas": 1}})
        await run.until(lambda: len(run.pods()) == 1)
        await run.settle()
        assert len(run.pods()) == 1 and controller_of(run.pods()[0])["name"] == "web"
        assert run.api.find(REPLICA_SETS, "web")["status"]["observedGeneration"] == 2
        assert {"SuccessfulCreate", "SuccessfulDelete"} <= set(await run.reasons())


async def test_never_more_pods_than_asked_for_are_made() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(REPLICA_SETS, replica_set(replicas=40))
        await run.until(lambda: len(run.pods()) >= 40)
        await run.settle()
        asked = [(call.method, call.path) for call in run.faults.calls]
        assert asked.count(("POST", "/api/v1/namespaces/default/pods")) == 40


async def test_matching_orphans_are_adopted_and_others_released() -> None:
    async with controllers(loop.Controller) as run:
        orphan = {**pod_template(), "metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "web"}}}
        await run.client.create(PODS, orphan)
        await run.client.create(REPLICA_SETS, replica_set(replicas=1))
        await run.until(lambda: controller_of(run.api.find(PODS, "orphan")))
        await run.settle()
        assert len(run.pods()) == 1
        await run.client.patch(PODS, "orphan", "default", {"metadata": {"labels": {"app": "other"}}})
        await run.until(lambda: controller_of(run.api.find(PODS, "orphan")) is None)
        await run.until(lambda: len(run.pods()) == 2)


async def test_refused_pods_show_as_replica_failure_and_recover() -> None:
    async with controllers(loop.Controller) as run:
        quota = Refused(403, "Forbidden", "exceeded quota: pods")
        run.faults.script = always(quota, lambda call: call.method == "POST" and call.path.endswith("/pods"))
        await run.client.create(REPLICA_SETS, replica_set(replicas=10))
        await run.until(lambda: (run.api.find(REPLICA_SETS, "web").get("status") or {}).get("conditions"))
        [condition] = run.api.find(REPLICA_SETS, "web")["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
        assert "FailedCreate" in await run.reasons()
        run.faults.script = nothing
        await run.until(lambda: len(run.pods()) == 10)
        await run.until(lambda: "conditions" not in run.api.find(REPLICA_SETS, "web")["status"])


async def test_finished_pods_are_replaced() -> None:
    async with controllers(loop.Controller) as run:
        await run.client.create(REPLICA_SETS, replica_set(replicas=1))
        await run.until(lambda: len(run.pods()) == 1)
        await run.report(run.pods()[0], "Failed")
        await run.until(lambda: len(run.pods()) == 2)


async def test_replication_controller_selects_by_map() -> None:
    rc = {
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"app": "web"}, "template": pod_template()},
    }  # fmt: skip
    async with controllers(rc_loop.Controller) as run:
        await run.client.create(REPLICATION_CONTROLLERS, rc)
        await run.until(lambda: len(run.pods()) == 2)
        await run.run_all()
        await run.until(lambda: (run.api.find(REPLICATION_CONTROLLERS, "old").get("status") or {}).get("availableReplicas") == 2)
        assert controller_of(run.pods()[0])["kind"] == "ReplicationController"

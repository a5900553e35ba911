"""DaemonSets: placement, rolling update, surge, failed pods, status."""

from datetime import UTC, datetime

import pytest

from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.controllers.daemonset import loop
from wherry.orchestration.controllers.daemonset.decide import decide
from wherry.orchestration.controllers.daemonset.placement import Place, place, pod_for, target_of
from wherry.orchestration.objects.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES
from wherry.orchestration.objects.meta import Object, is_deleting, name_of
from wherry.testing.cluster_objects import daemon_set, node, pod_template
from wherry.testing.controller_harness import Harness, controllers

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def taint(key: str, effect: str) -> Object:
    return {"key": key, "effect": effect}


@pytest.mark.parametrize(("template", "where", "expected"), [
    pytest.param(pod_template(), node(), Place.RUN, id="any node"),
    pytest.param(pod_template(nodeSelector={"disk": "ssd"}), node(), Place.LEAVE, id="selector misses"),
    pytest.param(pod_template(nodeSelector={"disk": "ssd"}), node(disk="ssd"), Place.RUN, id="selector hits"),
    pytest.param(pod_template(), node(taints=(taint("a", "NoSchedule"),)), Place.KEEP, id="NoSchedule keeps"),
    pytest.param(pod_template(), node(taints=(taint("a", "NoExecute"),)), Place.LEAVE, id="NoExecute evicts"),
    pytest.param(pod_template(), node(taints=(taint("a", "PreferNoSchedule"),)), Place.RUN, id="preference only"),
    pytest.param(
        pod_template(), node(taints=(taint("node.kubernetes.io/unschedulable", "NoSchedule"),)), Place.RUN,
        id="cordoned nodes too",
    ),
    pytest.param(
        pod_template(hostNetwork=True), node(taints=(taint("node.kubernetes.io/network-unavailable", "NoSchedule"),)),
        Place.RUN, id="host network needs no network",
    ),
    pytest.param(
        pod_template(tolerations=[{"operator": "Exists"}]), node(taints=(taint("a", "NoExecute"),)), Place.RUN,
        id="tolerates everything",
    ),
    pytest.param(pod_template(nodeName="other"), node(), Place.LEAVE, id="named node"),
])  # fmt: skip
def test_place(template: Object, where: Object, expected: Place) -> None:
    assert place(daemon_set(template=template), where) is expected


def test_pod_is_pinned_to_its_node_and_keeps_other_affinity() -> None:
    preferred = [{"weight": 1, "preference": {}}]
    template = pod_template(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
    pod = pod_for(daemon_set(template=template), "node-7", "abc")
    assert target_of(pod) == "node-7"
    assert pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == preferred


def test_pods_for_vanished_nodes_are_deleted_unless_bound() -> None:
    owner = daemon_set()
    waiting = pod_for(owner, "gone", "abc")
    bound = pod_for(owner, "gone", "abc")
    bound["spec"]["nodeName"] = "gone"
    assert decide(owner, [], [waiting, bound], "abc", NOW).delete == [waiting]


def status(run: Harness) -> Object:
    return run.api.find(DAEMON_SETS, "agent").get("status") or {}


async def ready(run: Harness, count: int, image: str = "app:1") -> None:
    for _ in range(100):
        for pod in run.pods():
            if not pod["spec"].get("nodeName"):
                await run.bind(pod, target_of(pod))
        await run.run_all()
        await run.settle(5)
        now = [p["spec"]["containers"][0]["image"] for p in run.pods()]
        if status(run).get("numberAvailable", 0) == count and now == [image] * count:
            return
    raise AssertionError(f"never {count} ready: {status(run)}")


@pytest.fixture
async def run():
    async with controllers(loop.Controller) as harness:
        for number in range(3):
            await harness.add_node(f"node-{number}", zone=str(number % 2))
        yield harness


async def test_one_pod_per_node_follows_nodes_and_labels(run: Harness) -> None:
    await run.client.create(DAEMON_SETS, daemon_set(template=pod_template(nodeSelector={"zone": "0"})))
    await ready(run, 2)
    assert sorted(p["spec"]["nodeName"] for p in run.pods()) == ["node-0", "node-2"]
    await run.client.patch(NODES, "node-1", "", {"metadata": {"labels": {"zone": "0"}}})
    await ready(run, 3)
    await run.client.patch(NODES, "node-0", "", {"metadata": {"labels": {"zone": "9"}}})
    await ready(run, 2)
    assert status(run)["desiredNumberScheduled"] == 2 and status(run)["numberMisscheduled"] == 0


async def test_rolling_update_replaces_one_at_a_time(run: Harness) -> None:
    await run.client.create(DAEMON_SETS, daemon_set())
    await ready(run, 3)
    await run.client.patch(DAEMON_SETS, "agent", "default", {"spec": {"template": pod_template("app:2")}})
    await run.until(lambda: any(is_deleting(p) for p in run.pods()))
    await run.settle()
    assert sum(is_deleting(p) for p in run.pods()) == 1
    await run.run_all()
    await run.until(lambda: any(p["spec"]["containers"][0]["image"] == "app:2" for p in run.pods()))
    await run.settle()
    assert sum(p["spec"]["containers"][0]["image"] == "app:1" for p in run.pods()) == 2
    await ready(run, 3, "app:2")
    assert status(run)["updatedNumberScheduled"] == 3
    assert sorted(r["revision"] for r in run.api.all(CONTROLLER_REVISIONS)) == [1, 2]


async def test_surge_brings_the_new_pod_before_the_old_one_goes(run: Harness) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await run.client.create(DAEMON_SETS, daemon_set(updateStrategy=strategy))
    await ready(run, 3)
    await run.client.patch(DAEMON_SETS, "agent", "default", {"spec": {"template": pod_template("app:2")}})
    await run.until(lambda: len(run.pods()) == 4)
    await run.settle()
    assert len(run.pods()) == 4
    await ready(run, 3, "app:2")


async def test_on_delete_leaves_old_pods(run: Harness) -> None:
    await run.client.create(DAEMON_SETS, daemon_set(updateStrategy={"type": "OnDelete"}))
    await ready(run, 3)
    await run.client.patch(DAEMON_SETS, "agent", "default", {"spec": {"template": pod_template("app:2")}})
    await run.settle()
    assert {p["spec"]["containers"][0]["image"] for p in run.pods()} == {"app:1"}


async def test_failed_pod_is_replaced(run: Harness) -> None:
    await run.client.create(DAEMON_SETS, daemon_set())
    await ready(run, 3)
    victim = run.pods()[0]
    await run.report(victim, "Failed")
    await run.until(lambda: name_of(victim) not in [name_of(p) for p in run.pods()])
    await ready(run, 3)
    assert "FailedDaemonPod" in await run.reasons()


async def test_a_daemon_set_that_is_gone_leaves_no_memory_of_what_was_killed() -> None:
    made: list[loop.Controller] = []

    def daemon_sets(tools: Tools) -> loop.Controller:
        made.append(loop.Controller(tools))
        return made[0]

    async with controllers(daemon_sets) as run:
        await run.add_node("node-0")
        await run.client.create(DAEMON_SETS, daemon_set())
        await ready(run, 1)
        await run.report(run.pods()[0], "Failed")
        await run.until(lambda: made[0]._killed)
        await run.client.delete(DAEMON_SETS, "agent", "default")
        await run.until(lambda: not made[0]._killed)

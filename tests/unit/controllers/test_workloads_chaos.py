"""Controllers under refusals, lost answers, ended and expired watches: they converge, and nothing is made twice."""

import asyncio
import random

import pytest

from wherry.orchestration.client.transport import Call
from wherry.orchestration.controllers.daemonset.loop import Controller as DaemonSets
from wherry.orchestration.controllers.daemonset.placement import target_of
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.job.loop import Controller as Jobs
from wherry.orchestration.controllers.job.orphans import Orphans
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.statefulset.loop import Controller as StatefulSets
from wherry.orchestration.objects.kinds import DAEMON_SETS, DEPLOYMENTS, JOBS, REPLICA_SETS, STATEFUL_SETS
from wherry.orchestration.objects.meta import Object, condition_of, controller_of, name_of
from wherry.testing.cluster_objects import daemon_set, deployment, job, pod_template, stateful_set
from wherry.testing.controller_harness import Harness, controllers
from wherry.testing.faults import BROKEN, CONFLICT, TOO_MANY, UNAVAILABLE, Fault, LostAfter, nothing

FAILURES = (UNAVAILABLE, CONFLICT, BROKEN, TOO_MANY)


def named(name: str, obj: Object) -> Object:
    """Its own labels, so that owners do not take each other's pods."""
    template = pod_template(app=name)
    selector = {"matchLabels": {"app": name}}
    return {**obj, "metadata": {**obj["metadata"], "name": name},
            "spec": {**obj["spec"], "template": template, "selector": selector}}  # fmt: skip


def owned(run: Harness, kind: str) -> list[Object]:
    return [p for p in run.pods() if (owner := controller_of(p)) and owner["kind"] == kind]


async def play(run: Harness, dice: random.Random) -> None:
    """Pods run; those of Jobs succeed; sometimes every watch ends, sometimes its history is forgotten too."""
    for pod in run.pods():
        phase = (pod.get("status") or {}).get("phase")
        is_job = (controller_of(pod) or {}).get("kind") == "Job"
        if phase == "Pending" and not pod["metadata"].get("deletionTimestamp"):
            await run.report(pod, "Succeeded" if is_job else "Running", ready=not is_job)
    if dice.random() < 0.2:
        if dice.random() < 0.5:
            await run.api.forget()
        run.api.hang_up()


@pytest.mark.virtual_time
@pytest.mark.parametrize("loses_answers", [False, True], ids=["refused", "done but not answered"])
@pytest.mark.parametrize("seed", range(5))
async def test_controllers_converge(seed: int, loses_answers: bool) -> None:
    dice = random.Random(seed)
    async with controllers(Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, Orphans) as run:
        for number in range(3):
            await run.add_node(f"node-{number}")
        await run.client.create(DEPLOYMENTS, named("web", deployment(replicas=5)))
        await run.client.create(STATEFUL_SETS, named("db", stateful_set()))
        await run.client.create(DAEMON_SETS, named("agent", daemon_set()))
        await run.client.create(JOBS, job(completions=7, parallelism=3))

        def bad_luck(call: Call) -> Fault | None:
            if dice.random() < 0.15:
                return dice.choice(FAILURES)
            if loses_answers and call.method != "GET" and dice.random() < 0.05:
                return LostAfter(dice.choice((None, *FAILURES)))
            return None

        for turn in range(60):
            run.faults.script = bad_luck
            await asyncio.sleep(0.2)
            run.faults.script = nothing
            if turn == 20:
                while not run.api.all(REPLICA_SETS):  # else there is nothing to roll out from
                    await asyncio.sleep(1)
                patch = {"spec": {"template": pod_template("app:2", app="web")}}
                await run.client.patch(DEPLOYMENTS, "web", "default", patch)
            await play(run, dice)

        async def settled() -> bool:
            await play(run, random.Random(1))
            await asyncio.sleep(1)
            found, work = run.api.find(DEPLOYMENTS, "web"), run.api.find(JOBS, "work")
            return (
                (found.get("status") or {}).get("updatedReplicas") == 5 == (found["status"]).get("availableReplicas")
                and len(owned(run, "ReplicaSet")) == 5
                and sorted(map(name_of, owned(run, "StatefulSet"))) == ["db-0", "db-1", "db-2"]
                and sorted(map(target_of, owned(run, "DaemonSet"))) == ["node-0", "node-1", "node-2"]
                and condition_of((work.get("status") or {}).get("conditions"), "Complete") is not None
            )

        for _ in range(400):
            if await settled():
                break
        else:
            raise AssertionError(f"not settled: {run.api.all(DEPLOYMENTS)} {run.api.all(JOBS)} {len(run.pods())}")
        succeeded = run.api.find(JOBS, "work")["status"]["succeeded"]
        assert succeeded == sum(p["status"]["phase"] == "Succeeded" for p in owned(run, "Job")) >= 7
        assert loses_answers or succeeded == 7  # a create whose answer is lost may be repeated before it is seen
        assert len(run.api.all(REPLICA_SETS)) == 2

"""Deployments: numbers, rollouts, rollback, pause, failure, clean-up."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.controllers.deployment import conditions as say
from wherry.orchestration.controllers.deployment import loop
from wherry.orchestration.controllers.deployment.annotations import REVISION, REVISION_HISTORY
from wherry.orchestration.controllers.deployment.decide import decide
from wherry.orchestration.controllers.deployment.numbers import fenceposts, max_unavailable, proportional, replicas_of
from wherry.orchestration.controllers.replicaset import loop as rs_loop
from wherry.orchestration.objects.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from wherry.orchestration.objects.meta import Object, annotations_of, condition_of, name_of
from wherry.testing.cluster_objects import deployment, pod_template
from wherry.testing.controller_harness import Harness, controllers
from wherry.testing.faults import Refused, always

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rolling(surge: int | str, unavailable: int | str, replicas: int = 10) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return deployment(replicas=replicas, strategy=strategy)


@pytest.mark.parametrize(("surge", "unavailable", "replicas", "expected"), [
    pytest.param("25%", "25%", 10, (3, 2), id="surge rounds up, unavailable down"),
    pytest.param("25%", "25%", 1, (1, 0), id="one replica surges"),
    pytest.param(0, "1%", 10, (0, 1), id="never both zero"),
    pytest.param("100%", 0, 3, (3, 0), id="all at once"),
    pytest.param(2, 1, 10, (2, 1), id="plain numbers"),
])  # fmt: skip
def test_fenceposts(surge: int | str, unavailable: int | str, replicas: int, expected: tuple[int, int]) -> None:
    assert fenceposts(rolling(surge, unavailable, replicas)) == expected


def sized(name: str, replicas: int, maximum: int) -> Object:
    annotations = {"deployment.kubernetes.io/max-replicas": str(maximum)}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"replicas": replicas}}


def test_growth_in_the_middle_of_a_rollout_is_shared() -> None:
    sizes = proportional(rolling(3, 2, 30), [sized("old", 8, 13), sized("new", 5, 13)])
    assert sizes == {"old": 20, "new": 13}


@given(st.integers(0, 50), st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 5))
def test_shares_add_up_and_are_never_negative(replicas: int, sizes: list[int], surge: int) -> None:
    sets = [sized(f"rs{i}", size, sum(sizes) + surge) for i, size in enumerate(sizes)]
    shared = proportional(rolling(surge, 1, replicas), sets)
    assert all(size >= 0 for size in shared.values())
    allowed = replicas + surge if replicas and surge else replicas
    assert sum(shared.values()) >= min(allowed, sum(sizes)) or replicas == 0


def test_no_progress_past_the_deadline_times_out() -> None:
    owner = deployment(progressDeadlineSeconds=60)
    first = decide(owner, [], busy=frozenset(), now=NOW)
    assert first.create is not None
    owner["status"] = first.status
    rs = {**first.create, "metadata": {**first.create["metadata"], "uid": "u"}}
    later = decide(owner, [rs], busy=frozenset(), now=NOW + timedelta(seconds=61))
    progressing = condition_of(later.status["conditions"], "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", say.TIMED_OUT)
    assert progressing["message"] == f'ReplicaSet "{name_of(rs)}" has timed out progressing.'
    soon = decide(owner, [rs], busy=frozenset(), now=NOW + timedelta(seconds=10))
    assert soon.look_again_s == 51


@pytest.fixture
async def run():
    async with controllers(loop.Controller, rs_loop.Controller) as harness:
        yield harness


def status(run: Harness, field: str, name: str = "web") -> int:
    return (run.api.find(DEPLOYMENTS, name).get("status") or {}).get(field, 0)


def reason(run: Harness, kind: str) -> str:
    found = run.api.find(DEPLOYMENTS, "web")
    condition = condition_of((found.get("status") or {}).get("conditions"), kind)
    return condition["reason"] if condition else ""


def sets(run: Harness) -> dict[str, int]:
    return {rs["spec"]["template"]["spec"]["containers"][0]["image"]: replicas_of(rs) for rs in run.api.all(REPLICA_SETS)}


async def until_complete(run: Harness) -> None:
    async def step() -> bool:
        await run.run_all()
        await run.settle(5)
        found = run.api.find(DEPLOYMENTS, "web")
        return reason(run, "Progressing") == say.AVAILABLE and (
            found["status"].get("observedGeneration") == found["metadata"]["generation"]
        )

    for _ in range(200):
        if await step():
            return
    raise AssertionError(f"rollout never ended: {run.api.find(DEPLOYMENTS, 'web')}")


async def set_image(run: Harness, image: str) -> None:
    await run.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"template": pod_template(image)}})


async def test_first_rollout_reports_as_upstream(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment())
    await run.until(lambda: reason(run, "Progressing") in (say.CREATED, say.UPDATED))
    await until_complete(run)
    found = run.api.find(DEPLOYMENTS, "web")
    assert annotations_of(found)[REVISION] == "1"
    assert reason(run, "Available") == "MinimumReplicasAvailable"
    assert {f: status(run, f) for f in ("replicas", "updatedReplicas", "availableReplicas", "unavailableReplicas")} == {
        "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "unavailableReplicas": 0,
    }  # fmt: skip
    [rs] = run.api.all(REPLICA_SETS)
    assert name_of(rs) == f"web-{rs['metadata']['labels']['pod-template-hash']}"
    assert f"Scaled up replica set {name_of(rs)} from 0 to 3" in [event["message"] for event in await run.events()]


async def test_rolling_update_keeps_availability_and_surge(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment(replicas=10))
    await until_complete(run)
    await set_image(run, "app:2")
    worst = best = 10
    for _ in range(100):
        await run.settle(5)
        ready = [p for p in run.pods() if p.get("status", {}).get("phase") == "Running"]
        worst, best = min(worst, len(ready)), max(best, len(run.pods()))
        pending = [p for p in run.pods() if p["status"]["phase"] == "Pending"]
        if pending:
            await run.report(pending[0])
        elif sets(run) == {"app:1": 0, "app:2": 10}:
            break
    await until_complete(run)
    assert worst >= 8 and best <= 13
    assert sets(run) == {"app:1": 0, "app:2": 10}


async def test_rollback_reuses_the_old_set_and_notes_its_history(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment())
    await until_complete(run)
    await set_image(run, "app:2")
    await until_complete(run)
    await set_image(run, "app:1")
    await until_complete(run)
    assert sets(run) == {"app:1": 3, "app:2": 0}
    first = next(rs for rs in run.api.all(REPLICA_SETS) if replicas_of(rs) == 3)
    assert annotations_of(first)[REVISION] == "3" and annotations_of(first)[REVISION_HISTORY] == "1"
    assert annotations_of(run.api.find(DEPLOYMENTS, "web"))[REVISION] == "3"


async def test_rollover_drops_a_half_done_rollout(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment())
    await until_complete(run)
    await set_image(run, "bad:1")
    await run.until(lambda: sets(run).get("bad:1"))
    await set_image(run, "app:3")
    await until_complete(run)
    assert sets(run) == {"app:1": 0, "bad:1": 0, "app:3": 3}


async def test_recreate_ends_old_pods_first(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))
    await run.until(lambda: len(run.pods()) == 3)
    for pod in run.pods():
        await run.bind(pod, "n1")
    await until_complete(run)
    await set_image(run, "app:2")
    await run.until(lambda: all(p["metadata"].get("deletionTimestamp") for p in run.pods()))
    await run.settle()
    assert "app:2" not in sets(run)
    for pod in run.pods():
        await run.client.delete(PODS, name_of(pod), "default", grace_s=0)
    await until_complete(run)
    assert sets(run) == {"app:1": 0, "app:2": 3}


async def test_paused_deployment_scales_but_does_not_roll(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment())
    await until_complete(run)
    await run.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"paused": True}})
    await run.until(lambda: reason(run, "Progressing") == say.PAUSED)
    await set_image(run, "app:2")
    await run.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"replicas": 5}})
    await run.until(lambda: len(run.pods()) == 5)
    await run.settle()
    assert sets(run) == {"app:1": 5}
    await run.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"paused": False}})
    await until_complete(run)
    assert sets(run) == {"app:1": 0, "app:2": 5}


async def test_old_sets_beyond_the_history_limit_go(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment(revisionHistoryLimit=1))
    for number in range(1, 5):
        await set_image(run, f"app:{number}")
        await until_complete(run)
    await run.until(lambda: sets(run) == {"app:3": 0, "app:4": 3})


async def test_scale_to_zero_and_back(run: Harness) -> None:
    await run.client.create(DEPLOYMENTS, deployment())
    await until_complete(run)
    for replicas in (0, 4):
        await run.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"replicas": replicas}})
        await run.until(lambda n=replicas: len(run.pods()) == n)
    await until_complete(run)
    assert max_unavailable(run.api.find(DEPLOYMENTS, "web")) == 1


async def test_quota_refusal_reaches_the_deployment(run: Harness) -> None:
    quota = Refused(403, "Forbidden", "exceeded quota")
    run.faults.script = always(quota, lambda call: call.method == "POST" and call.path.endswith("/pods"))
    await run.client.create(DEPLOYMENTS, deployment())
    await run.until(lambda: reason(run, "ReplicaFailure") == "FailedCreate")


async def test_hash_collision_picks_another_name(run: Harness) -> None:
    tried = await run.client.request(
        "POST", DEPLOYMENTS.path("default"), query={"dryRun": "All"}, body=orjson.dumps(deployment()))  # fmt: skip
    plan = decide(orjson.loads(tried.body), [], busy=frozenset(), now=NOW)
    template = {**pod_template("other:1"), "metadata": plan.create["spec"]["template"]["metadata"]}
    stranger = {**plan.create, "metadata": {"name": name_of(plan.create), "namespace": "default"},
                "spec": {**plan.create["spec"], "replicas": 0, "template": template}}  # fmt: skip
    await run.client.create(REPLICA_SETS, stranger)
    await run.client.create(DEPLOYMENTS, deployment())
    await until_complete(run)
    assert status(run, "collisionCount") == 1 and len(run.api.all(REPLICA_SETS)) == 2

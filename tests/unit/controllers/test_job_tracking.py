"""Jobs: completion, failure, indexes, policies, suspension; every pod counted exactly once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.clock import rfc3339
from wherry.orchestration.controllers.job import loop
from wherry.orchestration.controllers.job.backoff import Record
from wherry.orchestration.controllers.job.indexes import index_of, parse, text_of
from wherry.orchestration.controllers.job.orphans import Orphans
from wherry.orchestration.controllers.job.policies import judge, success_message
from wherry.orchestration.objects.kinds import JOBS, PODS
from wherry.orchestration.objects.meta import Object, condition_of, name_of
from wherry.testing.cluster_objects import job
from wherry.testing.controller_harness import Harness, controllers

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("indexes", "text"), [
    pytest.param(set(), "", id="none"),
    pytest.param({3}, "3", id="one"),
    pytest.param({0, 1}, "0,1", id="two in a row"),
    pytest.param({1, 3, 4, 5, 7}, "1,3-5,7", id="runs"),
])  # fmt: skip
def test_indexes_are_written_as_upstream(indexes: set[int], text: str) -> None:
    assert text_of(indexes) == text and parse(text, 100) == indexes


@given(st.sets(st.integers(0, 200)))
def test_indexes_survive_writing(indexes: set[int]) -> None:
    assert parse(text_of(indexes), 1000) == indexes


def failed_pod(code: int = 1, container: str = "main", name: str = "p") -> Object:
    terminated = {"exitCode": code, "finishedAt": rfc3339(NOW)}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "status": {
            "phase": "Failed",
            "containerStatuses": [{"name": container, "state": {"terminated": terminated}}],
            "conditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
    }


def rule(action: str, **pattern: object) -> Object:
    return {"action": action, **pattern}


@pytest.mark.parametrize(("rules", "action"), [
    pytest.param([], "Count", id="no rule counts"),
    pytest.param([rule("FailJob", onExitCodes={"operator": "In", "values": [1]})], "FailJob", id="code in"),
    pytest.param([rule("FailJob", onExitCodes={"operator": "NotIn", "values": [1]})], "Count", id="code not in"),
    pytest.param(
        [rule("FailJob", onExitCodes={"operator": "In", "values": [1], "containerName": "other"})], "Count",
        id="another container",
    ),
    pytest.param([rule("Ignore", onPodConditions=[{"type": "DisruptionTarget"}])], "Ignore", id="condition"),
    pytest.param(
        [rule("Ignore", onPodConditions=[{"type": "DisruptionTarget", "status": "False"}])], "Count", id="status differs",
    ),
    pytest.param([rule("FailIndex", onExitCodes={"operator": "In", "values": [1]})], "Count", id="no per-index limit"),
])  # fmt: skip
def test_first_matching_rule_judges(rules: list[Object], action: str) -> None:
    assert judge(job(podFailurePolicy={"rules": rules}), failed_pod()).action == action


def test_rule_message_is_upstreams() -> None:
    rules = [rule("FailJob", onExitCodes={"operator": "In", "values": [42]})]
    verdict = judge(job(podFailurePolicy={"rules": rules}), failed_pod(42))
    assert verdict.message == (
        "Container main for pod default/p failed with exit code 42 matching FailJob rule at index 0"
    )


@pytest.mark.parametrize(("rules", "succeeded", "message"), [
    pytest.param([{"succeededIndexes": "0-1"}], {0}, "", id="some of the indexes"),
    pytest.param([{"succeededIndexes": "0-1"}], {0, 1}, "Matched rules at index 0", id="all of them"),
    pytest.param([{"succeededIndexes": "0-1", "succeededCount": 1}], {1}, "Matched rules at index 0", id="enough"),
    pytest.param([{"succeededCount": 2}, {"succeededCount": 1}], {4}, "Matched rules at index 1", id="second rule"),
])  # fmt: skip
def test_success_policy(rules: list[Object], succeeded: set[int], message: str) -> None:
    assert success_message(job(completions=5, successPolicy={"rules": rules}), succeeded) == message


def test_backoff_doubles_and_success_resets() -> None:
    record = Record().with_finished([failed_pod(name="a"), failed_pod(name="b"), failed_pod(name="c")], NOW)
    assert record.remaining_s(NOW) == 40 and record.remaining_s(NOW + timedelta(seconds=41)) == 0
    good = failed_pod(0, name="d")
    good["status"]["phase"] = "Succeeded"
    assert record.with_finished([good], NOW).remaining_s(NOW) == 0
    assert Record(30, NOW).remaining_s(NOW) == 600
    assert Record(30, NOW).remaining_s(NOW - timedelta(hours=2)) == 0, "the date was set back: nobody waits two hours"


@pytest.fixture
async def run():
    async with controllers(loop.Controller, Orphans) as harness:
        yield harness


def status(run: Harness, name: str = "work") -> Object:
    return run.api.find(JOBS, name).get("status") or {}


def condition(run: Harness, kind: str) -> str:
    found = condition_of(status(run).get("conditions"), kind)
    return found["reason"] if found and found["status"] == "True" else ""


async def end(run: Harness, pod: Object, code: int = 0) -> None:
    """Play kubelet: the pod's container exits."""
    terminated = {"exitCode": code, "finishedAt": rfc3339(run.clock.now())}
    await run.report(
        pod, "Failed" if code else "Succeeded", ready=False,
        containerStatuses=[{"name": "main", "state": {"terminated": terminated}}],
    )  # fmt: skip


def live(run: Harness) -> list[Object]:
    return [p for p in run.pods() if (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]


async def wait_and_wake(run: Harness, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await run.client.patch(JOBS, "work", "default", {"metadata": {"annotations": {"woken": str(run.clock.now())}}})
    await run.settle()


async def test_completions_in_parallel(run: Harness) -> None:
    await run.client.create(JOBS, job(completions=5, parallelism=2))
    for _ in range(5):
        await run.until(lambda: live(run))
        assert len(live(run)) <= 2
        await end(run, live(run)[0])
        await run.settle()
    await run.until(lambda: condition(run, "Complete") == "CompletionsReached")
    assert status(run)["succeeded"] == 5 and status(run)["completionTime"] and "active" not in status(run)
    assert condition(run, "SuccessCriteriaMet") == "CompletionsReached"
    assert all(not p["metadata"].get("finalizers") for p in run.pods()) and len(run.pods()) == 5
    assert "Completed" in await run.reasons()


async def test_backoff_limit_fails_the_job(run: Harness) -> None:
    await run.client.create(JOBS, job(backoffLimit=1))
    for _ in range(2):
        await run.until(lambda: live(run))
        await end(run, live(run)[0], 1)
        await run.settle()
        await wait_and_wake(run, 30)
    await run.until(lambda: condition(run, "Failed") == "BackoffLimitExceeded")
    assert status(run)["failed"] == 2 and condition(run, "FailureTarget") == "BackoffLimitExceeded"
    assert "BackoffLimitExceeded" in await run.reasons()


async def test_failed_pod_is_replaced_only_after_its_delay(run: Harness) -> None:
    await run.client.create(JOBS, job())
    await run.until(lambda: live(run))
    await end(run, live(run)[0], 1)
    await run.settle()
    assert not live(run)
    await wait_and_wake(run, 11)
    assert len(live(run)) == 1


async def test_new_job_of_an_old_name_does_not_wait_for_failures_of_the_old_one(run: Harness) -> None:
    await run.client.create(JOBS, job())
    await run.until(lambda: live(run))
    await end(run, live(run)[0], 1)
    await run.settle()
    await run.client.delete(JOBS, "work", "default", propagation="Background")
    await run.client.create(JOBS, job())
    await run.settle()
    assert len(live(run)) == 1


async def test_indexed_pods_know_their_index(run: Harness) -> None:
    await run.client.create(JOBS, job(completionMode="Indexed", completions=3, parallelism=3))
    await run.until(lambda: len(run.pods()) == 3)
    assert sorted(index_of(p) for p in run.pods()) == [0, 1, 2]
    pod = next(p for p in run.pods() if index_of(p) == 1)
    assert pod["spec"]["hostname"] == "work-1" and name_of(pod).startswith("work-1-")
    assert pod["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    for pod in run.pods():
        await end(run, pod)
    await run.until(lambda: condition(run, "Complete"))
    assert status(run)["completedIndexes"] == "0-2" and status(run)["succeeded"] == 3


async def test_limit_per_index_spares_the_other_indexes(run: Harness) -> None:
    await run.client.create(
        JOBS, job(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    )
    await run.until(lambda: len(live(run)) == 2)
    await end(run, next(p for p in live(run) if index_of(p) == 1))
    for tries in range(2):
        await run.until(lambda: any(index_of(p) == 0 for p in live(run)), f"try {tries}")
        await end(run, next(p for p in live(run) if index_of(p) == 0), 1)
        await run.settle()
        await wait_and_wake(run, 30)
    await run.until(lambda: condition(run, "Failed") == "FailedIndexes")
    assert status(run)["failedIndexes"] == "0" and status(run)["completedIndexes"] == "1"
    assert status(run)["failed"] == 2 and status(run)["succeeded"] == 1
    assert all(not p["metadata"].get("finalizers") for p in run.pods())


async def test_fail_job_rule_ends_the_job_at_once(run: Harness) -> None:
    rules = [rule("FailJob", onExitCodes={"operator": "In", "values": [42]})]
    await run.client.create(
        JOBS, job(parallelism=2, completions=2, podFailurePolicy={"rules": rules}, podReplacementPolicy="Failed")
    )
    await run.until(lambda: len(live(run)) == 2)
    await end(run, live(run)[0], 42)
    await run.until(lambda: condition(run, "Failed") == "PodFailurePolicy")
    assert not live(run)


async def test_success_policy_ends_the_rest(run: Harness) -> None:
    policy = {"rules": [{"succeededIndexes": "0"}]}
    await run.client.create(JOBS, job(completionMode="Indexed", completions=3, parallelism=3, successPolicy=policy))
    await run.until(lambda: len(live(run)) == 3)
    await end(run, next(p for p in run.pods() if index_of(p) == 0))
    await run.until(lambda: condition(run, "Complete") == "SuccessPolicy")
    assert status(run)["completedIndexes"] == "0" and not live(run)


async def test_suspend_ends_pods_and_resume_starts_the_clock_anew(run: Harness) -> None:
    await run.client.create(JOBS, job())
    await run.until(lambda: live(run))
    await run.client.patch(JOBS, "work", "default", {"spec": {"suspend": True}})
    await run.until(lambda: not live(run) and condition(run, "Suspended") == "JobSuspended")
    await asyncio.sleep(60)
    await run.client.patch(JOBS, "work", "default", {"spec": {"suspend": False}})
    await run.until(lambda: live(run))
    await run.settle()
    found = condition_of(status(run)["conditions"], "Suspended")
    assert (found["status"], found["reason"]) == ("False", "JobResumed")
    assert not status(run).get("failed")  # a suspended pod has not failed
    assert status(run)["startTime"] == rfc3339(run.clock.now())
    assert {"Suspended", "Resumed"} <= set(await run.reasons())


async def test_smaller_parallelism_ends_pods_without_counting_them(run: Harness) -> None:
    await run.client.create(JOBS, job(completions=9, parallelism=4))
    await run.until(lambda: len(live(run)) == 4)
    await run.client.patch(JOBS, "work", "default", {"spec": {"parallelism": 1}})
    await run.until(lambda: len(live(run)) == 1)
    await run.settle()
    assert status(run)["active"] == 1 and not status(run).get("failed")


async def test_deadline_fails_the_job(run: Harness) -> None:
    await run.client.create(JOBS, job(activeDeadlineSeconds=30))
    await run.until(lambda: live(run))
    await run.settle()
    await wait_and_wake(run, 31)
    await run.until(lambda: condition(run, "Failed") == "DeadlineExceeded")
    assert not live(run)


async def test_work_queue_is_done_when_one_succeeded_and_none_run(run: Harness) -> None:
    await run.client.create(JOBS, job(completions=None, parallelism=2))
    await run.until(lambda: len(live(run)) == 2)
    await end(run, live(run)[0])
    await run.settle()
    assert len(live(run)) == 1 and not condition(run, "Complete")
    await end(run, live(run)[0])
    await run.until(lambda: condition(run, "Complete"))
    assert status(run)["succeeded"] == 2


async def test_finished_job_goes_after_its_time_to_live(run: Harness) -> None:
    await run.client.create(JOBS, job(ttlSecondsAfterFinished=100))
    await run.until(lambda: live(run))
    await end(run, live(run)[0])
    await run.until(lambda: condition(run, "Complete"))
    await wait_and_wake(run, 50)
    assert not run.api.find(JOBS, "work")["metadata"].get("deletionTimestamp")
    await wait_and_wake(run, 51)
    await run.until(lambda: run.api.find(JOBS, "work")["metadata"].get("deletionTimestamp"))


async def test_pods_of_a_deleted_job_lose_the_finalizer(run: Harness) -> None:
    await run.client.create(JOBS, job())
    await run.until(lambda: live(run))
    await run.client.delete(JOBS, "work", "default", propagation="Background")
    await run.until(lambda: all(not p["metadata"].get("finalizers") for p in run.pods()))


async def test_lost_status_writes_never_count_a_pod_twice(run: Harness) -> None:
    """Someone else writes the Job all the time, so that many of the controller's writes conflict."""
    await run.client.create(JOBS, job(completions=6, parallelism=3))
    for number in range(300):
        await run.client.patch(JOBS, "work", "default", {"metadata": {"annotations": {"n": str(number)}}})
        if live(run) and number % 5 == 0:
            await end(run, live(run)[0])
        if condition(run, "Complete"):
            break
        await run.settle(1)
    await run.until(lambda: condition(run, "Complete"))
    assert status(run)["succeeded"] == 6 and len(run.api.all(PODS)) == 6

"""Cron schedules and CronJobs: when, whether, how many."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.clock import rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.controllers.cronjob import loop
from wherry.orchestration.controllers.cronjob.decide import Due, due, job_name
from wherry.orchestration.controllers.cronjob.schedule import UnknownTimeZone, parse
from wherry.orchestration.objects.kinds import CRON_JOBS, JOBS
from wherry.orchestration.objects.meta import Object, annotations_of, name_of
from wherry.testing.cluster_objects import job
from wherry.testing.controller_harness import Harness, controllers

pytestmark = pytest.mark.virtual_time


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("schedule", "moment", "expected"), [
    pytest.param("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01", id="every minute"),
    pytest.param("*/15 * * * *", "2026-01-01T00:15:00", "2026-01-01T00:30", id="steps"),
    pytest.param("5/20 * * * *", "2026-01-01T00:26:00", "2026-01-01T00:45", id="from a number on"),
    pytest.param("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00", id="leap day"),
    pytest.param("0 0 13 * FRI", "2026-01-01T00:00:00", "2026-01-02T00:00", id="either day field"),
    pytest.param("0 0 */2 * fri", "2026-01-01T12:00:00", "2026-01-02T00:00", id="a step is no star"),
    pytest.param("0 12 * * 1-5", "2026-01-02T12:00:00", "2026-01-05T12:00", id="week days"),
    pytest.param("0 9,17 1 jan,jul ?", "2026-01-01T09:00:00", "2026-01-01T17:00", id="names and lists"),
    pytest.param("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00", id="weekly is Sunday"),
    pytest.param("@every 1h30m", "2026-01-01T00:00:00", "2026-01-01T01:30", id="distance"),
    pytest.param("TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:01", "2026-01-02T00:00", id="zone in the text"),
])  # fmt: skip
def test_next_time(schedule: str, moment: str, expected: str) -> None:
    assert parse(schedule).after(at(moment)) == at(expected)


def test_skipped_hour_does_not_happen_and_repeated_hour_happens_once() -> None:
    berlin = parse("30 2 * * *", "Europe/Berlin")
    spring = berlin.after(at("2026-03-28T12:00"))
    assert spring is not None and spring.astimezone(ZoneInfo("Europe/Berlin")).day == 30
    autumn = berlin.after(at("2026-10-24T12:00"))
    assert autumn == at("2026-10-25T00:30") and berlin.after(autumn) == at("2026-10-26T01:30")


def test_never_happens_is_none() -> None:
    assert parse("0 0 30 2 *").after(at("2026-01-01T00:00")) is None


@pytest.mark.parametrize("text", [
    "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *",
    "a * * * *", "@sometimes", "@every x", "1--2 * * * *",
])  # fmt: skip
def test_wrong_schedule_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(UnknownTimeZone):
        parse("* * * * *", "Mars/Olympus")


@given(st.integers(0, 59), st.integers(0, 23), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_next_time_is_later_and_matches(minute: int, hour: int, moment: datetime) -> None:
    found = parse(f"{minute} {hour} * * *").after(moment.replace(tzinfo=UTC))
    assert found is not None and moment.replace(tzinfo=UTC) < found <= moment.replace(tzinfo=UTC) + timedelta(days=1)
    assert (found.minute, found.hour) == (minute, hour)


def cron_job(schedule: str = "*/5 * * * *", **spec: object) -> Object:
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job()["spec"]}, **spec},
    }  # fmt: skip


@pytest.mark.parametrize(("spec", "last", "now", "expected"), [
    pytest.param({}, "2026-01-01T00:00", "2026-01-01T00:04", Due(None), id="not yet"),
    pytest.param({}, "2026-01-01T00:00", "2026-01-01T00:05", Due(at("2026-01-01T00:05")), id="now"),
    pytest.param({}, "2026-01-01T00:00", "2026-01-01T00:17", Due(at("2026-01-01T00:15"), 2), id="newest of three"),
    pytest.param({"startingDeadlineSeconds": 60}, "2026-01-01T00:00", "2026-01-01T00:17", Due(None), id="too old"),
])  # fmt: skip
def test_what_is_due(spec: Object, last: str, now: str, expected: Due) -> None:
    owner = cron_job(**spec)
    owner["status"] = {"lastScheduleTime": rfc3339(at(last))}
    assert due(owner, parse(owner["spec"]["schedule"]), at(now)) == expected


def test_long_sleep_is_bridged_without_counting_every_minute() -> None:
    owner = cron_job("* * * * *")
    owner["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    found = due(owner, parse("* * * * *"), at("2026-01-01T00:00:30"))
    assert found.at == at("2026-01-01T00:00") and found.missed > 100


@pytest.fixture
async def run():
    async with controllers(loop.Controller) as harness:
        yield harness


async def tick(run: Harness, minutes: int = 5) -> None:
    """Time passes, and the queue's timer fires."""
    await asyncio.sleep(60 * minutes)
    owner = run.api.find(CRON_JOBS, "tick")
    ticks = str(int(annotations_of(owner).get("tick", "0")) + 1)
    await run.client.patch(CRON_JOBS, "tick", "default", {"metadata": {"annotations": {"tick": ticks}}})
    await run.settle()


async def finish(run: Harness, name: str, kind: str = "Complete") -> None:
    status = {"conditions": [{"type": kind, "status": "True"}], "completionTime": rfc3339(run.clock.now())}
    await run.client.patch_status(JOBS, name, "default", {"status": status})
    await run.settle()


def jobs(run: Harness) -> list[str]:
    return [name_of(j) for j in run.api.all(JOBS)]


async def test_due_run_is_started_once(run: Harness) -> None:
    await run.client.create(CRON_JOBS, cron_job())
    await run.settle()
    assert jobs(run) == []
    await tick(run)
    await tick(run, 0)
    owner = run.api.find(CRON_JOBS, "tick")
    assert jobs(run) == [job_name(owner, at("2026-01-01T00:05"))]
    assert owner["status"]["lastScheduleTime"] == "2026-01-01T00:05:00Z" and len(owner["status"]["active"]) == 1
    await finish(run, jobs(run)[0])
    owner = run.api.find(CRON_JOBS, "tick")
    assert "active" not in owner["status"] and owner["status"]["lastSuccessfulTime"]
    assert {"SuccessfulCreate", "SawCompletedJob"} <= set(await run.reasons())
    assert "UnexpectedJob" not in await run.reasons()


@pytest.mark.parametrize(("policy", "count"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
async def test_concurrency(run: Harness, policy: str, count: int) -> None:
    await run.client.create(CRON_JOBS, cron_job(concurrencyPolicy=policy))
    await run.settle()
    await tick(run)
    first = jobs(run)
    await tick(run)
    assert len(jobs(run)) == count and (jobs(run) == first) == (policy == "Forbid")


async def test_suspended_starts_nothing(run: Harness) -> None:
    await run.client.create(CRON_JOBS, cron_job(suspend=True))
    await run.settle()
    await tick(run)
    assert jobs(run) == []


async def test_history_keeps_the_newest(run: Harness) -> None:
    await run.client.create(CRON_JOBS, cron_job(successfulJobsHistoryLimit=1))
    await run.settle()
    for _ in range(3):
        await tick(run)
        await finish(run, jobs(run)[-1])
    assert len(jobs(run)) == 1


async def test_deleted_active_job_is_said_to_be_missing(run: Harness) -> None:
    await run.client.create(CRON_JOBS, cron_job())
    await run.settle()
    await tick(run)
    await run.client.delete(JOBS, jobs(run)[0], "default", propagation="Background")
    await run.settle()
    assert "active" not in run.api.find(CRON_JOBS, "tick")["status"]
    assert "MissingJob" in await run.reasons()

"""One candidate at a time works, whatever happens between it and the API; against the real API server in memory."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from wherry.kit.clock import parse_rfc3339
from wherry.kit.supervise import keep_running
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.errors import Unreachable
from wherry.orchestration.client.leader_election import NAMESPACE, RELEASE_S_MAX, RELEASED_S, Election, LeadershipLost, Terms
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.transport import Call, Reply
from wherry.orchestration.objects.kinds import EVENTS, LEASES
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import ADMIN, TestApi, api_server
from wherry.testing.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time

TERMS = Terms()
NAME = "kube-scheduler"


@dataclass
class Wire(LocalTransport):
    """To the server of `api`; `is_away`: nothing arrives; `loses_answers`: it arrives and is not told; `lag_s`: answers are late."""

    api: TestApi
    is_away: bool = False
    loses_answers: bool = False
    lag_s: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(self.api.server.handle, ADMIN)

    async def send(self, call: Call) -> Reply:
        if self.is_away:
            raise Unreachable("no route to host")
        reply = await super().send(call)
        await asyncio.sleep(self.lag_s)
        if self.loses_answers:
            raise Unreachable("connection reset by peer")
        return reply


@dataclass
class Hall:
    """Who works now, and who has."""

    working: set[str] = field(default_factory=set)
    turns: list[str] = field(default_factory=list)
    most: int = 0

    async def work(self, who: str) -> None:
        self.working.add(who)
        self.turns.append(who)
        self.most = max(self.most, len(self.working))
        try:
            await asyncio.Event().wait()
        finally:
            self.working.discard(who)


class Candidate:
    """Runs for the Lease until `stop`, again after each loss; `kill` cuts its wire first, so that nothing is given up."""

    def __init__(self, api: TestApi, hall: Hall, who: str, clock: VirtualClock | None = None) -> None:
        self.wire = Wire(api)
        client = Client(self.wire)
        self.recorder = Recorder(client, NAME)
        self.election = Election(client, NAME, who, clock or VirtualClock(), self.recorder)
        self.task = asyncio.create_task(keep_running(who, lambda: self.election.lead(lambda: hall.work(who))))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))

    async def kill(self) -> None:
        self.wire.is_away = True
        await self.stop()


@asynccontextmanager
async def hall() -> AsyncIterator[tuple[TestApi, Hall]]:
    async with api_server(default_account=False) as api:
        yield api, Hall()


async def lease(api: TestApi) -> Object:
    found: Object = (await api.client.get(LEASES, NAME, NAMESPACE))["spec"]
    return found


async def test_one_works_and_renews_and_the_other_waits() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        second = Candidate(api, seen, "b")
        before = await lease(api)
        await asyncio.sleep(100)
        after = await lease(api)
        assert seen.turns == ["a"] and seen.working == {"a"}
        assert (after["holderIdentity"], after["leaseDurationSeconds"], after["leaseTransitions"]) == ("a", TERMS.lease_s, 0)
        assert after["acquireTime"] == before["acquireTime"]
        assert parse_rfc3339(after["renewTime"]) - parse_rfc3339(before["renewTime"]) >= timedelta(seconds=90)
        await first.stop()
        await second.stop()


async def test_an_orderly_end_hands_over_in_seconds_a_kill_after_the_whole_duration() -> None:
    async with hall() as (api, seen):
        first, loop = Candidate(api, seen, "a"), asyncio.get_running_loop()
        await asyncio.sleep(12)
        second = Candidate(api, seen, "b")
        await asyncio.sleep(8)
        await first.stop()
        assert (await lease(api))["holderIdentity"] == "" and (await lease(api))["leaseDurationSeconds"] == RELEASED_S
        await asyncio.sleep(2.2 * TERMS.retry_s)
        assert seen.working == {"b"} and (await lease(api))["leaseTransitions"] == 1
        third = Candidate(api, seen, "c")
        await asyncio.sleep(2.2 * TERMS.retry_s)  # has seen the Lease
        renewed_at = parse_rfc3339((await lease(api))["renewTime"])
        await second.kill()
        killed_at = loop.time()
        while "c" not in seen.working:
            assert loop.time() - killed_at < TERMS.lease_s + 2 * 2.2 * TERMS.retry_s  # one look to see the change, one to see it rest
            await asyncio.sleep(0.1)
        assert parse_rfc3339((await lease(api))["acquireTime"]) - renewed_at >= timedelta(seconds=TERMS.lease_s)
        await third.stop()


async def test_the_same_identity_does_not_wait_for_its_own_lease() -> None:
    async with hall() as (api, seen):
        await asyncio.sleep(1)
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        await first.kill()
        again = Candidate(api, seen, "a")
        await asyncio.sleep(0.01)
        assert seen.working == {"a"} and (await lease(api))["leaseTransitions"] == 0
        await again.stop()


async def test_who_is_cut_off_stops_before_another_begins_and_waits_its_turn_when_it_is_back() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        second = Candidate(api, seen, "b")
        await asyncio.sleep(20)
        first.wire.is_away = True
        await asyncio.sleep(TERMS.give_up_s)
        assert seen.working == set()
        await asyncio.sleep(TERMS.lease_s)
        assert seen.working == {"b"}
        first.wire.is_away = False
        await asyncio.sleep(60)
        assert seen.turns == ["a", "b"] and seen.most == 1
        await second.stop()
        await asyncio.sleep(2.2 * TERMS.retry_s)
        assert seen.working == {"a"}
        await first.stop()


async def test_answers_that_are_lost_or_late_never_give_two_leaders() -> None:
    async with hall() as (api, seen):
        both = [Candidate(api, seen, who) for who in "ab"]
        dice = random.Random(7)
        for _ in range(400):
            wire = dice.choice(both).wire
            wire.is_away, wire.loses_answers = dice.random() < 0.3, dice.random() < 0.3
            wire.lag_s = dice.choice((0, 0, 1, 4, 9))
            await asyncio.sleep(dice.uniform(0.1, 30))
        assert seen.most == 1
        assert len(seen.turns) > 20 and set(seen.turns) == {"a", "b"}
        for one in both:
            one.wire.is_away = one.wire.loses_answers = False
            one.wire.lag_s = 0
        await asyncio.sleep(60)
        assert len(seen.working) == 1
        for one in both:
            await one.stop()


async def test_dates_of_the_machines_do_not_matter() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        ahead = VirtualClock()
        ahead.jump(86_400)
        second = Candidate(api, seen, "b", ahead)
        await asyncio.sleep(100)
        assert seen.turns == ["a"]
        await first.stop()
        await second.stop()


async def test_another_holder_written_into_the_lease_ends_the_work_at_the_next_renewal() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        found = await api.client.get(LEASES, NAME, NAMESPACE)
        await api.client.update(LEASES, {**found, "spec": {**found["spec"], "holderIdentity": "upstream's"}})
        await asyncio.sleep(TERMS.renew_s)
        assert seen.working == set()
        await asyncio.sleep(TERMS.lease_s + 2.2 * TERMS.retry_s)
        assert seen.working == {"a"}, "upstream's did not renew it"
        await first.stop()


async def test_a_lease_that_is_deleted_or_edited_is_kept() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        await api.client.delete(LEASES, NAME, NAMESPACE)
        await asyncio.sleep(TERMS.renew_s + TERMS.retry_s)
        assert (await lease(api))["holderIdentity"] == "a"
        await api.client.patch(LEASES, NAME, NAMESPACE, {"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json")
        await asyncio.sleep(60)
        assert (await api.client.get(LEASES, NAME, NAMESPACE))["metadata"]["labels"] == {"a": "b"}
        assert seen.turns == ["a"]
        await first.stop()


async def test_what_the_work_ends_with_is_told_and_the_lease_is_given_up() -> None:
    async with hall() as (api, _):
        client = Client(Wire(api))
        recorder = Recorder(client, NAME)
        election = Election(client, NAME, "a", VirtualClock(), recorder)

        async def failing() -> None:
            raise ValueError("of the work")

        with pytest.raises(ExceptionGroup) as told:
            await election.lead(failing)
        assert told.group_contains(ValueError, match="of the work") and not told.group_contains(LeadershipLost)
        assert (await lease(api))["holderIdentity"] == ""
        await election.lead(lambda: asyncio.sleep(3))
        await recorder.drain()
        events = (await api.client.list(EVENTS, NAMESPACE)).items
        assert {(event["reason"], event["message"], event["involvedObject"]["kind"]) for event in events} == {
            ("LeaderElection", "a became leader", "Lease"), ("LeaderElection", "a stopped leading", "Lease")}


async def test_an_end_is_not_held_up_by_an_api_that_is_silent() -> None:
    async with hall() as (api, seen):
        first = Candidate(api, seen, "a")
        await asyncio.sleep(1)
        first.wire.lag_s = 1000
        began_at = asyncio.get_running_loop().time()
        await first.stop()
        assert asyncio.get_running_loop().time() - began_at <= RELEASE_S_MAX

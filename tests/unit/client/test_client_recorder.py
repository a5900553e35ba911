"""Events: repeats count, storms are held back, failures never reach the caller."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from wherry.orchestration.client.recorder import ALIKE_MAX, BURST, NORMAL, REFILL_S, WINDOW_S, Recorder
from wherry.orchestration.objects.kinds import EVENTS
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server
from wherry.testing.faults import Faults, Refused, always

pytestmark = pytest.mark.virtual_time

POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "u"}}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def events(api: TestApi) -> list[Object]:
    return (await api.client.list(EVENTS)).items


async def test_repeated_event_raises_the_count(api: TestApi) -> None:
    recorder = Recorder(api.client, "tester", "host-1", clock=api.server.clock)
    for _ in range(3):
        recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    [event] = await events(api)
    assert event["count"] == 3 and event["involvedObject"]["uid"] == "u"
    assert event["source"] == {"component": "tester", "host": "host-1"}
    assert event["metadata"]["name"].startswith("p.") and event["metadata"]["namespace"] == "default"


async def test_many_alike_become_one_combined_event(api: TestApi) -> None:
    recorder = Recorder(api.client, "tester", clock=api.server.clock)
    for number in range(ALIKE_MAX + 5):
        recorder.event(POD, NORMAL, "Pulled", f"pulled {number}")
    await recorder.drain()
    combined = [e for e in await events(api) if e["message"].startswith("(combined from similar events)")]
    assert len(await events(api)) == ALIKE_MAX + 1 and combined[0]["count"] == 5


async def test_objects_that_came_and_went_are_forgotten_whole_with_their_window(api: TestApi) -> None:
    recorder = Recorder(api.client, "tester", clock=api.server.clock)
    kept = []
    for number in range(3 * int(WINDOW_S) // 10):  # a pod every ten seconds, each with three events
        pod = {**POD, "metadata": {**POD["metadata"], "uid": f"u{number}"}}
        for reason in ("Pulled", "Created", "Started"):
            recorder.event(pod, NORMAL, reason, f"{reason} it")
        await recorder.drain()
        await asyncio.sleep(10)
        kept.append(recorder._sink.remembered)
    window, allowance = int(WINDOW_S) // 10, 3 * int(REFILL_S) // 10
    assert max(kept) <= (3 + 3) * (window + 1) + allowance
    assert kept[-1] == kept[-window], "it grows for as long as pods come and go"


async def test_an_event_that_is_not_repeated_for_a_window_starts_over(api: TestApi) -> None:
    recorder = Recorder(api.client, "tester", clock=api.server.clock)
    for pause_s in (0.0, WINDOW_S - 1, WINDOW_S + 1):
        await asyncio.sleep(pause_s)
        recorder.event(POD, NORMAL, "Started", "started it")
        await recorder.drain()
    assert sorted(event["count"] for event in await events(api)) == [1, 2]


async def test_a_storm_is_cut_off_and_refills_slowly(api: TestApi) -> None:
    recorder = Recorder(api.client, "tester", clock=api.server.clock)
    for _ in range(100):
        recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    assert (await events(api))[0]["count"] == BURST
    await asyncio.sleep(301)
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    assert (await events(api))[0]["count"] == BURST + 1


async def test_refused_and_expired_events_do_no_harm(api: TestApi) -> None:
    faults = Faults()
    recorder = Recorder(api.client_through(faults), "tester", clock=api.server.clock).named("other")
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    await api.client.delete_collection(EVENTS, "default")
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    [event] = await events(api)
    assert event["count"] == 1
    faults.script = always(Refused(403, "Forbidden", "namespace is being terminated"))
    recorder.event(POD, NORMAL, "Stopped", "stopped it")
    await recorder.drain()
    assert faults.calls[-1].method == "POST" and await events(api) == [event]

"""Events: repeats count, storms are held back, failures never reach the caller."""

import asyncio

import pytest

from wherry.orchestration.client.recorder import ALIKE_MAX, BURST, NORMAL, REFILL_S, WINDOW_S, Recorder
from wherry.orchestration.objects.kinds import EVENTS
from wherry.orchestration.objects.meta import Object
from wherry.testing.fake_api import FakeApi, Refused
from wherry.testing.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time

POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "u"}}


async def test_repeated_event_raises_the_count() -> None:
    api = FakeApi()
    recorder = Recorder(api.client(), "tester", "host-1")
    for _ in range(3):
        recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    [event] = api.all(EVENTS)
    assert event["count"] == 3 and event["involvedObject"]["uid"] == "u"
    assert event["source"] == {"component": "tester", "host": "host-1"}
    assert event["metadata"]["name"].startswith("p.") and event["metadata"]["namespace"] == "default"


async def test_many_alike_become_one_combined_event() -> None:
    api = FakeApi()
    recorder = Recorder(api.client(), "tester")
    for number in range(ALIKE_MAX + 5):
        recorder.event(POD, NORMAL, "Pulled", f"pulled {number}")
    await recorder.drain()
    combined = [e for e in api.all(EVENTS) if e["message"].startswith("(combined from similar events)")]
    assert len(api.all(EVENTS)) == ALIKE_MAX + 1 and combined[0]["count"] == 5


async def test_objects_that_came_and_went_are_forgotten_whole_with_their_window() -> None:
    api, clock = FakeApi(), VirtualClock()
    recorder = Recorder(api.client(), "tester", clock=clock)
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


async def test_an_event_that_is_not_repeated_for_a_window_starts_over() -> None:
    api, clock = FakeApi(), VirtualClock()
    recorder = Recorder(api.client(), "tester", clock=clock)
    for pause_s in (0.0, WINDOW_S - 1, WINDOW_S + 1):
        await asyncio.sleep(pause_s)
        recorder.event(POD, NORMAL, "Started", "started it")
        await recorder.drain()
    assert sorted(event["count"] for event in api.all(EVENTS)) == [1, 2]


async def test_a_storm_is_cut_off_and_refills_slowly() -> None:
    api, clock = FakeApi(), VirtualClock()
    recorder = Recorder(api.client(), "tester", clock=clock)
    for _ in range(100):
        recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    assert api.all(EVENTS)[0]["count"] == BURST
    await asyncio.sleep(301)
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    assert api.all(EVENTS)[0]["count"] == BURST + 1


async def test_refused_and_expired_events_do_no_harm() -> None:
    api = FakeApi()
    recorder = Recorder(api.client(), "tester").named("other")
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    api.objects.clear()
    recorder.event(POD, NORMAL, "Started", "started it")
    await recorder.drain()
    assert api.all(EVENTS)[0]["count"] == 1

    def fault(method: str, path: str) -> None:
        raise Refused(403, "Forbidden", "namespace is being terminated")

    api.fault = fault
    recorder.event(POD, NORMAL, "Stopped", "stopped it")
    await recorder.drain()

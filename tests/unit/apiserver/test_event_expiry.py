"""Events go an hour after their last write, and an idle server does not read them all again every minute."""

from datetime import timedelta

import pytest

from wherry.kit.clock import SystemClock, rfc3339
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.serving import event_expiry
from wherry.orchestration.objects.kinds import EVENTS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.testing.api import TestApi, api_server


def event(name: str, *, age_s: float) -> Object:
    moment = rfc3339(SystemClock().now() - timedelta(seconds=age_s))
    return {
        "metadata": {"name": name, "namespace": "default"}, "type": "Normal", "reason": "Told", "message": "m",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "lastTimestamp": moment,
        "firstTimestamp": moment, "source": {"component": "test"}, "count": 1,
    }  # fmt: skip


async def left(api: TestApi) -> list[str]:
    return [name_of(found) for found in (await api.client.list(EVENTS, "default")).items]


async def test_only_events_not_said_again_for_their_time_go() -> None:
    async with api_server() as api:
        for name, age_s in (("old", 3700), ("again", 3700), ("new", 10)):
            await api.client.create(EVENTS, event(name, age_s=age_s), "default")
        again = {"lastTimestamp": rfc3339(SystemClock().now()), "count": 2}
        await api.client.patch(EVENTS, "again", "default", again)
        await api.server.registry.fresh()
        await api.server.event_expiry.sweep()
        assert await left(api) == ["again", "new"]


async def test_an_event_is_parsed_once_for_each_of_its_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counted(cached: Cached) -> object:
        parsed.append(cached.name)
        return last_write(cached)

    last_write = event_expiry.last_write
    monkeypatch.setattr(event_expiry, "last_write", counted)
    async with api_server() as api:
        for name in ("a", "b"):
            await api.client.create(EVENTS, event(name, age_s=10), "default")
        await api.server.registry.fresh()
        await api.server.event_expiry.sweep()
        await api.client.patch(EVENTS, "b", "default", {"count": 2})
        await api.server.registry.fresh()
        await api.server.event_expiry.sweep()
        await api.server.event_expiry.sweep()
    assert parsed == ["a", "b", "b"]

"""What happens when the cache's own watch of the store is cut off, and when a client does not read."""

import asyncio
import time

import pytest

from wherry.kit.errors import TimedOut
from wherry.orchestration.apiserver.registry import cache as caches
from wherry.orchestration.apiserver.registry.codec import Sealer
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.api import TestApi, api_server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def fill(api: TestApi, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            tasks.create_task(api.call("POST", CONFIG_MAPS, {"metadata": {"name": f"c{index}"}}))


async def test_a_cache_that_fell_behind_lists_again() -> None:
    async with api_server(store=MemoryStore(backlog_max=3)) as api:
        await fill(api, 100)
        _, page = await api.call("GET", CONFIG_MAPS)
        assert len(page["items"]) == 100
        _, service = await api.call("POST", "/api/v1/namespaces/default/services",
                                    {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
        assert service["spec"]["clusterIP"]


async def change_one_large_object(api: TestApi, times: int, length: int) -> None:
    await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "large"}})
    for number in range(times):
        body = {"metadata": {"name": "large"}, "data": {"a": f"{number:{length}}"}}
        assert (await api.call("PUT", f"{CONFIG_MAPS}/large", body))[0] == 200
    await api.server.registry.fresh()


async def test_a_reader_that_leaves_too_many_bytes_unread_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "WATCHER_BYTES_MAX", 100_000)
    async with api_server() as api:
        response = await api.raw("GET", f"{CONFIG_MAPS}?watch=true&resourceVersion=0")
        await change_one_large_object(api, 12, 10_000)
        async with asyncio.timeout(5):
            assert [chunk async for chunk in response.body] == []  # type: ignore[union-attr]


async def test_recent_changes_of_a_large_object_are_few_and_a_watch_from_before_them_still_sees_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caches, "RECENT_BYTES_MAX", 100_000)
    async with api_server() as api:
        start = api.server.registry.revision
        await change_one_large_object(api, 30, 10_000)
        cache = api.server.registry.cache("", "configmaps")
        assert sum(event.size_bytes for event in cache._recent) <= 100_000
        response = await api.raw("GET", f"{CONFIG_MAPS}?watch=true&resourceVersion={start}")
        seen = 0
        async with asyncio.timeout(5):
            async for chunk in response.body:  # type: ignore[union-attr]
                seen += chunk.count(b"MODIFIED")
                if seen == 30:
                    break


async def test_a_reader_that_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "WATCHER_EVENTS_MAX", 10)
    async with api_server() as api:
        response = await api.raw("GET", f"{CONFIG_MAPS}?watch=true&resourceVersion=0")
        await fill(api, 30)
        await api.server.registry.fresh()
        async with asyncio.timeout(5):
            assert [chunk async for chunk in response.body] == []  # type: ignore[union-attr]
        cache = api.server.registry.cache("", "configmaps")
        assert not cache.watchers


async def test_what_arrives_in_the_busy_turn_that_ends_the_waiting_counts_as_arrived() -> None:
    registry = Registry(MemoryStore(), Sealer())
    await registry.load()
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(registry.reached(5, timeout_s=0.01))
    await asyncio.sleep(0)

    def arrive_late() -> None:
        time.sleep(0.02)  # the loop is held beyond the limit, as it is by a large answer
        registry.revision = 5

    loop.call_soon(arrive_late)
    await waiting


async def test_what_does_not_arrive_in_time_is_a_timeout() -> None:
    registry = Registry(MemoryStore(), Sealer())
    await registry.load()
    with pytest.raises(TimedOut, match="revision 5 is not here yet"):
        await registry.reached(5, timeout_s=0.01)

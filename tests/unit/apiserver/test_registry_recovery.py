"""What happens when the cache's own watch of the store is cut off, and when a client does not read."""

import asyncio

import pytest

from wherry.orchestration.apiserver.registry import cache as caches
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

"""Informers against the real API server in memory: what is missed while away must not stay missed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.meta import Object, labels_of, name_of
from wherry.testing.api import TestApi, api_server
from wherry.testing.faults import UNAVAILABLE, Ends, Faults, first, is_watch

pytestmark = pytest.mark.virtual_time


def config_map(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}, "data": {}}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


def config_maps(client: Client, **fields: Any) -> Informer:
    """Of one namespace: the server keeps some of its own in others."""
    return Informer(client, CONFIG_MAPS, "default", **fields)


@asynccontextmanager
async def running(informer: Informer | Informers) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(informer.run())
        await informer.wait_synced()
        yield
        task.cancel()


async def until(true: Callable[[], bool]) -> None:
    """Let other tasks run until it is so; the surrounding timeout bounds it."""
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def test_cache_follows_create_update_delete(api: TestApi) -> None:
    await api.client.create(CONFIG_MAPS, config_map("a"))
    informer, seen = config_maps(api.client), []
    informer.subscribe(lambda old, new: seen.append((old and name_of(old), new and name_of(new))))
    async with running(informer):
        await api.client.patch(CONFIG_MAPS, "a", "default", {"data": {"x": "1"}})
        await api.client.delete(CONFIG_MAPS, "a", "default")
        await until(lambda: not informer.list())
    assert seen == [(None, "a"), ("a", "a"), ("a", None)]


async def test_index_moves_with_the_object(api: TestApi) -> None:
    await api.client.create(CONFIG_MAPS, config_map("a", app="x"))
    informer = config_maps(api.client, indexers={"app": lambda o: [labels_of(o)["app"]]})
    async with running(informer):
        assert [name_of(o) for o in informer.by_index("app", "x")] == ["a"]
        await api.client.patch(CONFIG_MAPS, "a", "default", {"metadata": {"labels": {"app": "y"}}})
        await until(lambda: bool(informer.by_index("app", "y")))
        assert not informer.by_index("app", "x")
        informer.add_index("name", lambda o: [name_of(o)])
        assert informer.by_index("name", "a")


async def test_ended_watch_resumes_without_listing(api: TestApi) -> None:
    await api.client.create(CONFIG_MAPS, config_map("a"))
    faults = Faults(first(1, Ends(after_events=1), is_watch))
    informer = config_maps(api.client_through(faults))
    async with running(informer):
        for name in "bc":
            await api.client.create(CONFIG_MAPS, config_map(name))
        await until(lambda: len(informer.list()) == 3)
    assert [is_watch(call) for call in faults.calls] == [False, True, True], "one list, two watches"


async def test_expired_watch_lists_again_and_reports_what_vanished(api: TestApi) -> None:
    for name in "ab":
        await api.client.create(CONFIG_MAPS, config_map(name))
    informer, gone = config_maps(api.client), []
    informer.subscribe(lambda old, new: gone.append(name_of(old)) if old and not new else None)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        before = tasks.create_task(informer.run())
        await informer.wait_synced()
        before.cancel()
        await until(before.done)
        await api.client.delete(CONFIG_MAPS, "a", "default")
        await api.client.create(CONFIG_MAPS, config_map("c"))
        await api.forget()
        after = tasks.create_task(informer.run())
        await until(lambda: informer.get("default/c") is not None)
        after.cancel()
    assert gone == ["a"] and sorted(map(name_of, informer.list())) == ["b", "c"]


async def test_refused_list_is_tried_again(api: TestApi) -> None:
    faults = Faults(first(3, UNAVAILABLE))
    informer = config_maps(api.client_through(faults))
    async with running(informer):
        assert informer.synced
    assert len(faults.calls) >= 4


async def test_long_lists_come_in_pages(api: TestApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.orchestration.client.informer.PAGE_SIZE", 2)
    for name in "abcde":
        await api.client.create(CONFIG_MAPS, config_map(name))
    informer = config_maps(api.client)
    async with running(informer):
        assert len(informer.list("default")) == 5


async def test_informers_are_shared_and_may_be_asked_for_late(api: TestApi) -> None:
    informers = Informers(api.client)
    first = informers.of(CONFIG_MAPS)
    async with running(informers):
        assert informers.of(CONFIG_MAPS) is first
        late = informers.of(PODS)
        await late.wait_synced()
        informers.drop(late)
        assert informers.of(PODS) is not late
        await informers.wait_synced()


async def test_event_cut_off_in_the_middle_is_asked_for_again(api: TestApi) -> None:
    await api.client.create(CONFIG_MAPS, config_map("a"))
    faults = Faults(first(2, Ends(in_the_middle=True), is_watch))
    informer = config_maps(api.client_through(faults))
    async with running(informer):
        await api.client.create(CONFIG_MAPS, config_map("b"))
        await until(lambda: len(informer.list()) == 2)
    assert [is_watch(call) for call in faults.calls] == [False, True, True, True]

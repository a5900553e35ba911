"""Informers against the small server: what is missed while away must not stay missed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wherry.kit.http.message import Request, Response
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.meta import Object, labels_of, name_of
from wherry.testing.fake_api import FakeApi, Refused


def config_map(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}, "data": {}}


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


async def test_cache_follows_create_update_delete() -> None:
    api = FakeApi()
    client = api.client()
    await client.create(CONFIG_MAPS, config_map("a"))
    informer, seen = Informer(client, CONFIG_MAPS), []
    informer.subscribe(lambda old, new: seen.append((old and name_of(old), new and name_of(new))))
    async with running(informer):
        await client.patch(CONFIG_MAPS, "a", "default", {"data": {"x": "1"}})
        await client.delete(CONFIG_MAPS, "a", "default")
        await until(lambda: not informer.list())
    assert seen == [(None, "a"), ("a", "a"), ("a", None)]


async def test_index_moves_with_the_object() -> None:
    api = FakeApi()
    client = api.client()
    await client.create(CONFIG_MAPS, config_map("a", app="x"))
    informer = Informer(client, CONFIG_MAPS, indexers={"app": lambda o: [labels_of(o)["app"]]})
    async with running(informer):
        assert [name_of(o) for o in informer.by_index("app", "x")] == ["a"]
        await client.patch(CONFIG_MAPS, "a", "default", {"metadata": {"labels": {"app": "y"}}})
        await until(lambda: bool(informer.by_index("app", "y")))
        assert not informer.by_index("app", "x")
        informer.add_index("name", lambda o: [name_of(o)])
        assert informer.by_index("name", "a")


async def test_ended_watch_resumes_without_listing() -> None:
    api = FakeApi()
    client = api.client()
    await client.create(CONFIG_MAPS, config_map("a"))
    informer = Informer(client, CONFIG_MAPS)
    async with running(informer):
        await api.hang_up()
        await client.create(CONFIG_MAPS, config_map("b"))
        await until(lambda: len(informer.list()) == 2)
    assert [m for m, p in api.calls if m == "GET"].count("GET") >= 3  # one list, two watches
    assert sum(1 for m, p in api.calls if (m, p) == ("GET", "/api/v1/configmaps")) == len(
        [c for c in api.calls if c[0] == "GET"]
    )


async def test_expired_watch_lists_again_and_reports_what_vanished() -> None:
    api = FakeApi()
    client = api.client()
    for name in "ab":
        await client.create(CONFIG_MAPS, config_map(name))
    informer, gone = Informer(client, CONFIG_MAPS), []
    informer.subscribe(lambda old, new: gone.append(name_of(old)) if old and not new else None)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(informer.run())
        await informer.wait_synced()
        first.cancel()
        await until(first.done)
        await client.delete(CONFIG_MAPS, "a", "default")
        await client.create(CONFIG_MAPS, config_map("c"))
        api.compact()
        second = tasks.create_task(informer.run())
        await until(lambda: informer.get("default/c") is not None)
        second.cancel()
    assert gone == ["a"] and sorted(map(name_of, informer.list())) == ["b", "c"]


async def test_refused_list_is_tried_again() -> None:
    api = FakeApi()
    failures = 3

    def fault(method: str, path: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Refused(503, "ServiceUnavailable", "starting")

    api.fault = fault
    informer = Informer(api.client(), CONFIG_MAPS)
    async with running(informer):
        assert informer.synced


async def test_long_lists_come_in_pages(monkeypatch) -> None:
    monkeypatch.setattr("wherry.orchestration.client.informer.PAGE_SIZE", 2)
    api = FakeApi()
    client = api.client()
    for name in "abcde":
        await client.create(CONFIG_MAPS, config_map(name))
    informer = Informer(client, CONFIG_MAPS)
    async with running(informer):
        assert len(informer.list("default")) == 5


async def test_informers_are_shared_and_may_be_asked_for_late() -> None:
    api = FakeApi()
    informers = Informers(api.client())
    first = informers.of(CONFIG_MAPS)
    async with running(informers):
        assert informers.of(CONFIG_MAPS) is first
        late = informers.of(PODS)
        await late.wait_synced()
        informers.drop(late)
        assert informers.of(PODS) is not late
        await informers.wait_synced()


async def test_event_cut_off_in_the_middle_is_asked_for_again() -> None:
    api = FakeApi()
    client = api.client()
    await client.create(CONFIG_MAPS, config_map("a"))
    cuts = 2

    async def handle(request: Request) -> Response:
        nonlocal cuts
        response = await api.handle(request)
        assert isinstance(response, Response)
        if request.param("watch") == "true" and cuts:
            cuts -= 1
            response.body = half_an_event()
        return response

    async def half_an_event() -> AsyncIterator[bytes]:
        yield b'{"type":"ADDED","obj'

    informer = Informer(Client(LocalTransport(handle, "fake")), CONFIG_MAPS)
    async with running(informer):
        await client.create(CONFIG_MAPS, config_map("b"))
        await until(lambda: len(informer.list()) == 2)
    assert cuts == 0

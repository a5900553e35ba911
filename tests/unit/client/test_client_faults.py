"""The faults that other tests plan happen as they are named: what was lost before is not stored, what was lost after is."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from wherry.kit.errors import Expired
from wherry.orchestration.client import errors
from wherry.orchestration.objects.kinds import CONFIG_MAPS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.testing.api import TestApi, api_server
from wherry.testing.faults import (
    BROKEN,
    CONFLICT,
    GONE,
    TOO_MANY,
    UNAVAILABLE,
    Ends,
    Fault,
    Faults,
    LostAfter,
    LostBefore,
    SlowAnswer,
    SlowCall,
    always,
    first,
    is_watch,
)

pytestmark = pytest.mark.virtual_time


def config_map(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def names(api: TestApi) -> list[str]:
    return [name_of(obj) for obj in (await api.client.list(CONFIG_MAPS, "default")).items]


@pytest.mark.parametrize(("fault", "error", "stored"), [
    pytest.param(CONFLICT, errors.Conflict, [], id="conflict"),
    pytest.param(TOO_MANY, errors.TooManyRequests, [], id="too many requests"),
    pytest.param(BROKEN, errors.Unavailable, [], id="internal error"),
    pytest.param(UNAVAILABLE, errors.Unavailable, [], id="unavailable"),
    pytest.param(LostBefore(), errors.Unreachable, [], id="lost before"),
    pytest.param(LostAfter(), errors.Unreachable, ["a"], id="lost after"),
    pytest.param(LostAfter(UNAVAILABLE), errors.Unavailable, ["a"], id="done and answered with a failure"),
])  # fmt: skip
async def test_a_write_fails_as_planned_and_is_stored_only_where_the_server_did_it(
    api: TestApi, fault: Fault, error: type[Exception], stored: list[str]
) -> None:
    client = api.client_through(Faults(first(1, fault)))
    with pytest.raises(error):
        await client.create(CONFIG_MAPS, config_map("a"))
    assert await names(api) == stored
    await client.create(CONFIG_MAPS, config_map("b"))
    assert await names(api) == [*stored, "b"]


async def test_too_many_requests_says_when_to_come_again(api: TestApi) -> None:
    client = api.client_through(Faults(always(TOO_MANY)))
    reply = await client.request("GET", CONFIG_MAPS.path("default"))
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")


async def test_a_slow_answer_comes_late_and_the_write_is_early(api: TestApi) -> None:
    loop = asyncio.get_running_loop()
    client, began_at = api.client_through(Faults(always(SlowAnswer(7)))), loop.time()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.create(CONFIG_MAPS, config_map("a")))
        await asyncio.sleep(1)
        assert await names(api) == ["a"]
    assert loop.time() - began_at == 7


async def test_a_slow_call_is_done_late(api: TestApi) -> None:
    client = api.client_through(Faults(always(SlowCall(7))))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.create(CONFIG_MAPS, config_map("a")))
        await asyncio.sleep(6)
        assert await names(api) == []
    assert await names(api) == ["a"]


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_watch_ends_after_so_many_events(api: TestApi, count: int) -> None:
    client = api.client_through(Faults(always(Ends(count), is_watch)))
    revision = (await api.client.list(CONFIG_MAPS)).revision
    for name in "abc":
        await api.client.create(CONFIG_MAPS, config_map(name))
    seen = [name_of(event.object) async for event in client.watch(CONFIG_MAPS, "default", revision=revision)]
    assert seen == [*"abc"][:count]


async def test_a_watch_that_ends_in_the_middle_gives_what_was_whole(api: TestApi) -> None:
    client = api.client_through(Faults(always(Ends(1, in_the_middle=True), is_watch)))
    revision, seen = (await api.client.list(CONFIG_MAPS)).revision, []
    for name in "ab":
        await api.client.create(CONFIG_MAPS, config_map(name))
    with pytest.raises(errors.Unreachable, match="not JSON"):
        async for event in client.watch(CONFIG_MAPS, "default", revision=revision):
            seen.append(name_of(event.object))
    assert seen == ["a"]


async def test_a_watch_that_is_gone_is_expired(api: TestApi) -> None:
    client = api.client_through(Faults(first(1, GONE, is_watch)))
    with pytest.raises(Expired):
        async for _ in client.watch(CONFIG_MAPS, revision=(await client.list(CONFIG_MAPS)).revision):
            pass

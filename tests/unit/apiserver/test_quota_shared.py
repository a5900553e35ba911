"""A quota holds whichever of several API servers on one store is asked, also in one moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from wherry.kit.errors import Forbidden, Unavailable, WherryError
from wherry.orchestration.apiserver.quota.on_the_way import PENDING_S
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.objects.kinds import CONFIG_MAPS, RESOURCE_QUOTAS
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import Store
from wherry.orchestration.store.memory import MemoryStore
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.api import TestApi, api_server
from wherry.testing.virtual_time import settle

SHARED = ApiServerSettings(is_store_shared=True)
HARD = 5
RECORD = "/registry/_wherry/quotause/default"


class Refusing(MemoryStore):
    """Refuses to write what has `word` in its key."""

    word = ""

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        if self.word and self.word in key:
            raise Unavailable("no")
        return await super().put(key, value, expected=expected, frees=frees)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


async def three(store: Store, stack: AsyncExitStack) -> list[TestApi]:
    servers = [await stack.enter_async_context(api_server(store=store, settings=SHARED)) for _ in range(3)]
    body = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": str(HARD)}}}
    await servers[0].client.create(RESOURCE_QUOTAS, body, "default")
    for server in servers:
        await server.server.registry.fresh()
    return servers


async def created(api: TestApi, name: str) -> Object | WherryError:
    try:
        return await api.client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "default")
    except WherryError as error:
        return error


async def test_three_servers_together_let_in_as_many_as_the_quota_says(store: Store) -> None:
    async with AsyncExitStack() as stack:
        servers = await three(store, stack)
        for turn in range(6):
            made = await asyncio.gather(*(created(servers[n % 3], f"c{turn}-{n}") for n in range(12)))
            refused = [one for one in made if not isinstance(one, dict)]
            assert len(made) - len(refused) == HARD
            assert all(isinstance(one, Forbidden) and "exceeded quota: q" in str(one) for one in refused)
            found = (await servers[turn % 3].client.list(CONFIG_MAPS, "default")).items
            assert len(found) == HARD
            for one in found:
                await servers[(turn + 1) % 3].client.delete(CONFIG_MAPS, one["metadata"]["name"], "default")


async def test_the_record_goes_with_the_last_quota(store: Store) -> None:
    async with AsyncExitStack() as stack:
        servers = await three(store, stack)
        assert isinstance(await created(servers[1], "a"), dict)
        assert await store.get(RECORD) is not None
        await servers[2].client.delete(RESOURCE_QUOTAS, "q", "default")
        async with asyncio.timeout(20):
            while await store.get(RECORD) is not None:
                await asyncio.sleep(0.01)


@pytest.mark.virtual_time
async def test_what_was_let_in_and_never_came_counts_for_some_seconds_only() -> None:
    store = Refusing()
    async with AsyncExitStack() as stack:
        servers = await three(store, stack)
        store.word = "/configmaps/default/lost"
        lost = await asyncio.gather(*(created(servers[n % 3], f"lost-{n}") for n in range(HARD)))
        assert all(isinstance(one, Unavailable) for one in lost)
        assert isinstance(await created(servers[0], "a"), Forbidden), "they may have been written: the server cannot know"
        await asyncio.sleep(2 * PENDING_S + 1)
        made = [await created(servers[n % 3], f"a-{n}") for n in range(HARD + 1)]
        assert [isinstance(one, dict) for one in made] == [True] * HARD + [False]
        await settle()

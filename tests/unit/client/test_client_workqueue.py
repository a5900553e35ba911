"""The queue's promises."""

import asyncio

import pytest

from wherry.orchestration.client.workqueue import KeyedQueue


async def taken(queue: KeyedQueue[str]) -> str:
    async with asyncio.timeout(5), queue.take() as key:
        return key


async def test_repeats_coalesce_in_order() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for key in "abab":
        queue.add(key)
    assert [await taken(queue), await taken(queue), len(queue)] == ["a", "b", 0]


async def test_key_added_while_worked_on_runs_once_more_and_never_in_parallel() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    async with queue.take():
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
    assert await taken(queue) == "a" and len(queue) == 0


async def test_cancelled_worker_gives_its_key_back() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), queue.take():
            queue.add("a")
            await asyncio.Event().wait()
    assert await taken(queue) == "a"


async def test_of_two_delays_the_sooner_counts() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    assert await taken(queue) == "a"
    queue.close()

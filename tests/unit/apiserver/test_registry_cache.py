"""What the watch cache holds on to and lets go of, and how it wakes those who watch."""

import asyncio
import gc

import orjson

from wherry.orchestration.apiserver.registry.cache import RECENT_EVENTS_MAX, WAKE_TURN, Cached, ResourceCache, Watcher
from wherry.orchestration.objects.meta import Object

CHANGES = 20 * RECENT_EVENTS_MAX


def node_name(obj: Object) -> tuple[str, ...]:
    return (obj["spec"]["nodeName"],)


def version(key: str, revision: int) -> Cached:
    return Cached(key, orjson.dumps({"metadata": {"name": key}, "spec": {"nodeName": f"n{revision}"}}), revision, 1)


def held() -> int:
    return sum(isinstance(found, Cached) for found in gc.get_objects())


async def test_older_versions_are_let_go_of_after_a_selector_has_looked() -> None:
    before, cache = held(), ResourceCache("", "pods", 0)
    await cache.warm(node_name)
    for revision in range(1, CHANGES):
        cache.apply("default/a", version("default/a", revision), revision)
    assert held() - before <= 2 * (RECENT_EVENTS_MAX + 1)


async def test_a_selector_sees_what_came_changed_and_went_since_the_last_one() -> None:
    cache = ResourceCache("", "pods", 0)
    await cache.warm(node_name)
    for revision, key in enumerate(("a", "b", "a", "c"), start=1):
        cache.apply(key, version(key, revision), revision)
    cache.apply("c", None, 5)
    await cache.warm(node_name)
    assert [(item.name, item.is_warm(node_name), item.selectable(node_name)[1]) for item in cache.select()] == [
        ("a", True, ("n3",)), ("b", True, ("n2",))]


async def test_a_crowd_of_watchers_is_woken_in_turns_with_everybody_elses_work() -> None:
    cache, woken = ResourceCache("", "pods", 0), list[int]()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5 * WAKE_TURN):
            tasks.create_task(follow(cache, woken))
        await asyncio.sleep(0)
        cache.apply("default/a", version("default/a", 1), 1)
        before = 0
        while before < 5 * WAKE_TURN:
            await asyncio.sleep(0)
            assert before < len(woken) <= before + WAKE_TURN
            before = len(woken)


async def test_who_is_still_in_line_takes_what_comes_meanwhile_with_the_rest() -> None:
    cache, woken = ResourceCache("", "pods", 0), list[int]()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5 * WAKE_TURN):
            tasks.create_task(follow(cache, woken))
        await asyncio.sleep(0)
        for revision in (1, 2, 3):
            cache.apply("default/a", version("default/a", revision), revision)
    assert woken == [3] * 5 * WAKE_TURN


async def follow(cache: ResourceCache, woken: list[int]) -> None:
    """Note how many events one wake-up brought."""
    watcher = Watcher()
    cache.watchers[watcher] = None
    await watcher.woken()
    woken.append(len(watcher.events))

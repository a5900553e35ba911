"""What the watch cache holds on to, and what it lets go of."""

import gc

import orjson

from wherry.orchestration.apiserver.registry.cache import RECENT_EVENTS_MAX, Cached, ResourceCache
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

"""Garbage: background, foreground, orphans, circles, late informers, wrong namespaces, custom resources."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.client.discovery import Discovered, discover
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.controllers.garbage_collector import decide as act
from wherry.orchestration.controllers.garbage_collector.graph import Graph, Item
from wherry.orchestration.controllers.garbage_collector.kinds import Kinds
from wherry.orchestration.controllers.garbage_collector.loop import Controller
from wherry.orchestration.objects.kinds import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
)
from wherry.orchestration.objects.meta import Object, name_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.testing.control_plane import control_plane
from wherry.testing.controller_harness import Harness, controllers

pytestmark = pytest.mark.virtual_time

WIDGETS = Resource("example.com", "v1", "Widget", "widgets", "widget", namespaced=True)
WATCHED = (CONFIG_MAPS, SECRETS, PODS, REPLICA_SETS, NODES)


def reference(owner: Object, *, blocks: bool = False) -> Object:
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name_of(owner), "uid": uid_of(owner),
        "blockOwnerDeletion": blocks,
    }  # fmt: skip


def thing(name: str, *owners: Object, namespace: str = "default", blocks: bool = False) -> Object:
    references = [reference(owner, blocks=blocks) for owner in owners]
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": references}}


collector = partial(Controller, resources=WATCHED)


@asynccontextmanager
async def collecting():
    async with controllers(collector) as run:
        yield run


@pytest.fixture
async def run():
    async with collecting() as harness:
        yield harness


def left(run: Harness, resource: Resource = CONFIG_MAPS) -> list[str]:
    return [name_of(obj) for obj in run.api.all(resource)]


async def test_dependents_follow_their_owner_in_the_background(run: Harness) -> None:
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    child = await run.client.create(CONFIG_MAPS, thing("child", owner))
    await run.client.create(SECRETS, thing("grandchild", child))
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default")
    await run.until(lambda: not left(run) and not left(run, SECRETS))


class Twice:
    """A collector that is stopped and run again."""

    def __init__(self, tools: Tools) -> None:
        self.collector = collector(tools)
        self.is_to_stop, self.is_to_go_on = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(self.collector.run(), name="first run")
            await self.is_to_stop.wait()
            first.cancel()
        await self.is_to_go_on.wait()
        await self.collector.run()


async def test_a_collector_that_runs_again_knows_what_went_meanwhile() -> None:
    made: list[Twice] = []
    async with controllers(lambda tools: made.append(Twice(tools)) or made[0]) as run:  # type: ignore[func-returns-value]
        owner = await run.client.create(CONFIG_MAPS, thing("owner"))
        await run.client.create(SECRETS, thing("child", owner))
        await run.settle()
        made[0].is_to_stop.set()
        await run.settle()
        await run.client.delete(CONFIG_MAPS, "owner", "default")
        await run.settle()
        assert left(run, SECRETS) == ["child"], "nobody collects now"
        made[0].is_to_go_on.set()
        await run.until(lambda: not left(run, SECRETS))


async def test_an_operators_log_has_no_line_for_each_collected_object(run: Harness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    await run.client.create(SECRETS, thing("child", owner))
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default")
    await run.until(lambda: not left(run, SECRETS))
    assert [record.getMessage() for record in caplog.records if "child" in record.getMessage()] == []


async def test_foreground_owner_waits_for_blocking_dependents(run: Harness) -> None:
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    held = thing("held", owner, blocks=True)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await run.client.create(CONFIG_MAPS, held)
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default", propagation="Foreground")
    await run.until(lambda: run.api.find(CONFIG_MAPS, "held")["metadata"].get("deletionTimestamp"))
    await run.settle()
    assert left(run) == ["held", "owner"]
    await run.client.patch(CONFIG_MAPS, "held", "default", {"metadata": {"finalizers": None}})
    await run.until(lambda: left(run) == [])


async def test_orphans_are_let_go(run: Harness) -> None:
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    for number in range(5):
        await run.client.create(CONFIG_MAPS, thing(f"child-{number}", owner))
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default", propagation="Orphan")
    await run.until(lambda: "owner" not in left(run))
    await run.settle()
    assert len(left(run)) == 5
    assert not any(obj["metadata"].get("ownerReferences") for obj in run.api.all(CONFIG_MAPS))


async def test_one_owner_left_is_enough_to_stay(run: Harness) -> None:
    first = await run.client.create(CONFIG_MAPS, thing("first"))
    second = await run.client.create(CONFIG_MAPS, thing("second"))
    await run.client.create(SECRETS, thing("child", first, second))
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "first", "default")
    await run.until(lambda: len(run.api.find(SECRETS, "child")["metadata"]["ownerReferences"]) == 1)
    assert left(run, SECRETS) == ["child"]


async def test_circle_does_not_stop_a_foreground_deletion(run: Harness) -> None:
    objects = {}
    for name in ("a", "b", "c"):
        objects[name] = await run.client.create(CONFIG_MAPS, thing(name))
    for name, owner in (("a", "c"), ("b", "a"), ("c", "b")):
        owners = [reference(objects[owner], blocks=True)]
        await run.client.patch(CONFIG_MAPS, name, "default", {"metadata": {"ownerReferences": owners}})
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "a", "default", propagation="Foreground")
    await run.until(lambda: left(run) == [])


async def test_owner_that_never_existed_is_absent(run: Harness) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await run.client.create(SECRETS, thing("child", ghost))
    await run.until(lambda: left(run, SECRETS) == [])


async def test_recreated_owner_of_the_same_name_is_another(run: Harness) -> None:
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    await run.client.create(SECRETS, thing("child", owner))
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default")
    await run.client.create(CONFIG_MAPS, thing("owner"))
    await run.until(lambda: left(run, SECRETS) == [])
    assert left(run) == ["owner"]


async def test_owner_in_another_namespace_is_absent_and_told(run: Harness) -> None:
    await run.api.create_namespace("elsewhere")
    owner = await run.client.create(CONFIG_MAPS, thing("owner", namespace="elsewhere"))
    await run.client.create(SECRETS, thing("child", owner))
    await run.until(lambda: left(run, SECRETS) == [])
    assert "OwnerRefInvalidNamespace" in await run.reasons()


async def test_cluster_scoped_object_with_a_namespaced_owner_stays(run: Harness) -> None:
    owner = await run.client.create(CONFIG_MAPS, thing("owner"))
    node = {"metadata": {"name": "n", "ownerReferences": [reference(owner)]}}
    await run.client.create(NODES, node)
    await run.settle()
    await run.client.delete(CONFIG_MAPS, "owner", "default")
    await run.settle()
    assert left(run, NODES) == ["n"]


async def test_owner_of_an_unknown_kind_keeps_its_dependents(run: Harness) -> None:
    stranger = {"apiVersion": "other.io/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "x"}}
    await run.client.create(SECRETS, thing("child", stranger))
    await run.settle()
    assert left(run, SECRETS) == ["child"]


async def test_custom_resources_take_part_and_so_do_those_that_come_later() -> None:
    async with control_plane(collector) as on:
        schema = {"openAPIV3Schema": {"type": "object"}}
        await on.client.create(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "widgets.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}})

        async def is_served() -> bool:
            return (await discover(on.client)).of_kind("example.com", "Widget") is not None

        async def are_gone() -> bool:
            return not await on.all(SECRETS) and not await on.all(WIDGETS)

        await on.until(is_served)
        owner = await on.client.create(WIDGETS, thing("owner"))
        await on.client.create(WIDGETS, thing("part", owner))
        await on.client.create(SECRETS, thing("child", owner))
        await on.client.delete(WIDGETS, "owner", "default")
        await on.until(are_gone)


def test_what_is_served_is_followed_and_a_server_that_does_not_answer_loses_nothing() -> None:
    verbs = ("delete", "list", "watch")
    widgets, gears = (Resource("example.com", "v1", kind, plural, "", True, verbs=verbs) for kind, plural in (
        ("Widget", "widgets"), ("Gear", "gears")))
    newer = replace(widgets, version="v2")
    kinds = Kinds(WATCHED)
    assert kinds.follow(Discovered((widgets, gears, PODS, replace(PODS, kind="Read", plural="reads", verbs=("get",))))) == (
        [widgets, gears], [])
    assert kinds.follow(Discovered((replace(widgets, short_names=("wd",)), gears))) == ([], [])
    assert kinds.follow(Discovered((), ("example.com/v1",))) == ([], [])
    assert kinds.find({"apiVersion": "example.com/v1", "kind": "Widget"}) == widgets
    assert kinds.follow(Discovered((newer,))) == ([newer], [widgets, gears])
    assert kinds.find({"apiVersion": "example.com/v1", "kind": "Gear"}) is None
    assert newer in kinds.watched() and gears not in kinds.watched()


def test_events_are_not_watched() -> None:
    assert not {"events"} & {resource.plural for resource in Kinds().watched()}
    assert {"pods", "deployments", "nodes"} <= {resource.plural for resource in Kinds().watched()}


def item(uid: str, *owners: str, deleting: bool = False, finalizers: tuple[str, ...] = ()) -> Item:
    references = tuple({"uid": o, "kind": "ConfigMap", "apiVersion": "v1", "name": o} for o in owners)
    return Item(CONFIG_MAPS, "default", uid, uid, "1", references, deleting, finalizers)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sets(st.sampled_from("abcd")), st.booleans()), max_size=30))
def test_graph_knows_its_dependents_whatever_the_order(steps: list[tuple[str, set[str], bool]]) -> None:
    graph = Graph()
    for uid, owners, gone in steps:
        if gone:
            graph.remove(uid)
        else:
            graph.put(item(uid, *sorted(owners - {uid})))
    for uid in "abcd":
        expected = {i.uid for i in graph.items.values() if any(ref["uid"] == uid for ref in i.owners)}
        assert {i.uid for i in graph.dependents(uid)} == expected


def test_unknown_owner_is_asked_for_before_anything_is_deleted() -> None:
    graph = Graph()
    graph.put(item("child", "owner"))
    assert isinstance(act.decide(graph.items["child"], graph, set()), act.Ask)
    assert act.decide(graph.items["child"], graph, {"owner"}) == act.Delete("Background")

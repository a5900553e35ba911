"""LIST and WATCH: pages of one revision, selectors, forms, resuming, bookmarks, expiry."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.http.limits import Limits
from wherry.kit.http.message import Response
from wherry.orchestration.apiserver.registry import cache as caches
from wherry.orchestration.apiserver.registry.cache import TURN, Cached, FieldIndex, warmed
from wherry.testing.api import TestApi, api_server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def create(api: TestApi, name: str, **labels: str) -> dict[str, Any]:
    _, obj = await api.call("POST", CONFIG_MAPS, {"metadata": {"name": name, "labels": labels}})
    return dict(obj)


def names(answer: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


class Watch:
    """Reads events one by one."""

    def __init__(self, response: Response) -> None:
        assert isinstance(response.body, AsyncIterator)
        self._chunks = response.body
        self._lines: list[bytes] = []

    async def next(self) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(5):
            while not self._lines:
                self._lines = (await anext(self._chunks)).splitlines()
        event = orjson.loads(self._lines.pop(0))
        return event["type"], event["object"]

    async def is_over(self) -> bool:
        async with asyncio.timeout(5):
            async for _ in self._chunks:
                return False
        return True

    async def close(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]


async def watch(api: TestApi, query: str, path: str = CONFIG_MAPS, accept: str = "application/json") -> Watch:
    response = await api.raw("GET", f"{path}?watch=true&{query}", accept=accept)
    assert response.status == 200, response.body
    return Watch(response)


async def test_pages_hold_one_revision_while_objects_change(api: TestApi) -> None:
    for index in range(7):
        await create(api, f"c{index}")
    _, page = await api.call("GET", f"{CONFIG_MAPS}?limit=3")
    revision, found = page["metadata"]["resourceVersion"], names(page)
    assert page["metadata"]["remainingItemCount"] == 4
    await create(api, "c9")
    await api.call("DELETE", f"{CONFIG_MAPS}/c6")
    while page["metadata"].get("continue"):
        _, page = await api.call("GET", f"{CONFIG_MAPS}?limit=3&continue={page['metadata']['continue']}")
        assert page["metadata"]["resourceVersion"] == revision
        found += names(page)
    assert found == [f"c{index}" for index in range(7)]


async def test_an_expired_token_carries_one_that_goes_on(api: TestApi) -> None:
    for index in range(4):
        await create(api, f"c{index}")
    _, page = await api.call("GET", f"{CONFIG_MAPS}?limit=2")
    token = page["metadata"]["continue"]
    await create(api, "c8")
    await api.server.registry.fresh()
    await api.server.registry.store.compact(api.server.registry.revision)
    status, gone = await api.call("GET", f"{CONFIG_MAPS}?limit=2&continue={token}")
    assert (status, gone["reason"]) == (410, "Expired")
    _, rest = await api.call("GET", f"{CONFIG_MAPS}?continue={gone['metadata']['continue']}")
    assert names(rest) == ["c2", "c3", "c8"]


@pytest.mark.parametrize(("query", "expected"), [
    ("labelSelector=app=web", ["a", "b"]),
    ("labelSelector=app=web,tier!=db", ["a"]),
    ("labelSelector=app in (web,api)", ["a", "b", "c"]),
    ("labelSelector=!app", ["d", "kube"]),
    ("fieldSelector=metadata.name=c", ["c"]),
    ("fieldSelector=metadata.name!=c", ["a", "b", "d", "kube"]),
    ("fieldSelector=metadata.namespace=none", []),
    ("labelSelector=app=web&limit=1", ["a"]),
])
async def test_selectors_choose(api: TestApi, query: str, expected: list[str]) -> None:
    await create(api, "a", app="web")
    await create(api, "b", app="web", tier="db")
    await create(api, "c", app="api")
    await create(api, "d")
    await create(api, "kube")
    _, page = await api.call("GET", f"{CONFIG_MAPS}?{query}")
    assert names(page) == expected


@pytest.mark.parametrize(("query", "code"), [
    ("fieldSelector=spec.foo=1", 400), ("labelSelector=a==b==c", 400), ("limit=x", 400), ("resourceVersion=abc", 422),
    ("resourceVersionMatch=Exact", 422), ("resourceVersion=0&resourceVersionMatch=Exact", 422), ("continue=rubbish", 400),
    ("resourceVersion=5&resourceVersionMatch=Sometimes", 422), ("watch=true&sendInitialEvents=true", 422),
    ("resourceVersion=999999999", 504),
])
@pytest.mark.slow
async def test_wrong_options_are_refused(api: TestApi, query: str, code: int) -> None:
    assert (await api.call("GET", f"{CONFIG_MAPS}?{query}"))[0] == code


async def test_an_exact_revision_is_the_past(api: TestApi) -> None:
    first = await create(api, "a")
    await create(api, "b")
    revision = first["metadata"]["resourceVersion"]
    _, page = await api.call("GET", f"{CONFIG_MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")
    assert names(page) == ["a"] and page["metadata"]["resourceVersion"] == revision


async def test_pods_are_selected_by_their_fields(api: TestApi) -> None:
    for name, node in (("p1", "n1"), ("p2", "n2")):
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
        assert (await api.call("POST", PODS, {"metadata": {"name": name}, "spec": spec}))[0] == 201
    _, page = await api.call("GET", "/api/v1/pods?fieldSelector=spec.nodeName=n2,status.phase=Pending")
    assert names(page) == ["p2"]


async def test_tables_and_metadata_are_forms_of_the_same_list(api: TestApi) -> None:
    await create(api, "a")
    _, table = await api.call("GET", CONFIG_MAPS, accept=TABLE)
    assert table["kind"] == "Table" and table["rows"][0]["cells"][0] == "a"
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, metadata = await api.call("GET", CONFIG_MAPS, accept=accept)
    assert metadata["kind"] == "PartialObjectMetadataList" and set(metadata["items"][0]) == {"kind", "apiVersion", "metadata"}
    assert (await api.call("GET", CONFIG_MAPS, accept="application/json;as=Table;v=v1alpha1;g=meta.k8s.io"))[0] == 406
    assert (await api.call("GET", CONFIG_MAPS, accept="application/vnd.kubernetes.protobuf"))[0] == 406


async def test_a_watch_shows_later_changes_in_order(api: TestApi) -> None:
    first = await create(api, "a")
    events = await watch(api, f"resourceVersion={first['metadata']['resourceVersion']}")
    await create(api, "b")
    await api.call("PATCH", f"{CONFIG_MAPS}/b", {"data": {"x": "1"}}, content_type="application/merge-patch+json")
    await api.call("DELETE", f"{CONFIG_MAPS}/b")
    seen = [await events.next() for _ in range(3)]
    assert [(kind, obj["metadata"]["name"]) for kind, obj in seen] == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]
    revisions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
    assert revisions == sorted(revisions) and len(set(revisions)) == 3
    await events.close()


async def test_a_watch_resumes_from_any_revision_it_saw(api: TestApi) -> None:
    first = await create(api, "a")
    for name in ("b", "c", "d"):
        await create(api, name)
    events = await watch(api, f"resourceVersion={first['metadata']['resourceVersion']}")
    assert [(await events.next())[1]["metadata"]["name"] for _ in range(3)] == ["b", "c", "d"]
    await events.close()


async def test_a_watch_from_before_the_cache_replays_the_store(api: TestApi) -> None:
    first = await create(api, "a")
    for name in ("b", "c"):
        await create(api, name)
    await api.server.registry.fresh()
    await api.server.registry.load()  # as after a restart: memory holds no events
    events = await watch(api, f"resourceVersion={first['metadata']['resourceVersion']}")
    await create(api, "d")
    assert [(await events.next())[1]["metadata"]["name"] for _ in range(3)] == ["b", "c", "d"]
    await events.close()


async def test_a_compacted_revision_ends_in_an_expired_error(api: TestApi) -> None:
    first = await create(api, "a")
    await create(api, "b")
    await api.server.registry.fresh()
    await api.server.registry.load()
    await api.server.registry.store.compact(api.server.registry.revision)
    events = await watch(api, f"resourceVersion={int(first['metadata']['resourceVersion']) - 1}")
    kind, status = await events.next()
    assert kind == "ERROR" and status["code"] == 410 and status["reason"] == "Expired"
    assert await events.is_over()


async def test_leaving_a_selector_is_a_deletion(api: TestApi) -> None:
    events = await watch(api, "labelSelector=app=web")
    await create(api, "a", app="web")
    await api.call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"app": "db"}}}, content_type="application/merge-patch+json")
    await api.call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"app": "web"}}}, content_type="application/merge-patch+json")
    seen = [await events.next() for _ in range(3)]
    assert [kind for kind, _ in seen] == ["ADDED", "DELETED", "ADDED"]
    assert seen[1][1]["metadata"]["labels"] == {"app": "web"}
    await events.close()


async def test_streaming_lists_end_their_start_with_a_bookmark(api: TestApi) -> None:
    await create(api, "a")
    events = await watch(
        api, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", accept="application/json")
    assert (await events.next())[0] == "ADDED"
    kind, bookmark = await events.next()
    assert kind == "BOOKMARK" and bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await create(api, "b")
    assert (await events.next())[1]["metadata"]["name"] == "b"
    await events.close()


@pytest.mark.slow
async def test_a_watch_ends_after_its_timeout(api: TestApi) -> None:
    events = await watch(api, "timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name=none")
    assert await events.is_over()


async def test_a_watch_of_one_object_sees_only_it(api: TestApi) -> None:
    events = await watch(api, "fieldSelector=metadata.name=b")
    await create(api, "a")
    await create(api, "b")
    assert (await events.next())[1]["metadata"]["name"] == "b"
    await events.close()


async def test_table_watches_stream_tables(api: TestApi) -> None:
    events = await watch(api, "resourceVersion=0", accept=TABLE)
    await create(api, "a")
    kind, table = await events.next()
    assert kind == "ADDED" and table["kind"] == "Table" and table["rows"][0]["cells"][0] == "a"
    await events.close()


async def test_every_watcher_sees_the_same_order(api: TestApi) -> None:
    watches = [await watch(api, "") for _ in range(5)]
    readers = []
    async with asyncio.TaskGroup() as tasks:
        for index in range(20):
            tasks.create_task(create(api, f"c{index}"))
        for one in watches:
            readers.append(tasks.create_task(_read(one, 20)))
    orders = [reader.result() for reader in readers]
    assert all(order == orders[0] for order in orders)
    for one in watches:
        await one.close()
    assert not api.server.table.find("", "v1", "configmaps").cache.watchers  # type: ignore[union-attr]


async def _read(events: Watch, count: int) -> list[str]:
    return [(await events.next())[1]["metadata"]["name"] for _ in range(count)]


async def test_pods_of_one_node_are_found_by_an_index_that_follows_every_change(api: TestApi) -> None:
    async def on_node(node: str) -> list[str]:
        _, answer = await api.call("GET", f"/api/v1/pods?fieldSelector=spec.nodeName={node}")
        return names(answer)

    for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
        await api.call("POST", PODS, {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "m", "image": "i"}]}})
    assert (await on_node("n1"), await on_node("n2"), await on_node("n3")) == (["a", "c"], ["b"], [])
    await api.call("POST", PODS, {"metadata": {"name": "d"}, "spec": {"containers": [{"name": "m", "image": "i"}]}})
    await api.call("POST", f"{PODS}/d/binding", {"metadata": {"name": "d"}, "target": {"kind": "Node", "name": "n1"}})
    await api.call("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert (await on_node("n1"), await on_node("")) == (["c", "d"], [])
    _, first = await api.call("GET", f"{PODS}?fieldSelector=spec.nodeName=n1&limit=1")
    _, second = await api.call("GET", f"{PODS}?fieldSelector=spec.nodeName=n1&limit=1&continue={first['metadata']['continue']}")
    assert (names(first), names(second)) == (["c"], ["d"])


@given(steps=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["n1", "n2", "", None])), max_size=30))
def test_a_field_index_is_what_a_scan_finds(steps: list[tuple[str, str | None]]) -> None:
    items: dict[str, Cached] = {}
    index = FieldIndex(node_of, 0, ())
    for name, node in steps:
        new = None if node is None else Cached(f"ns/{name}", orjson.dumps({"metadata": {}, "node": node}), 1, 1)
        index.apply(items.pop(name, None), new)
        if new is not None:
            items[name] = new
    for node in ("n1", "n2", ""):
        assert index.keys(node) == sorted(item.key for item in items.values() if item.obj()["node"] == node)


def node_of(obj: Any) -> tuple[str, ...]:
    return (obj["node"],)


@pytest.mark.parametrize("group", ["v1", "events.k8s.io/v1"])
async def test_events_are_selected_by_the_fields_of_either_group_in_turn(api: TestApi, group: str) -> None:
    about = {"kind": "Pod", "namespace": "default", "name": "web"}
    await api.call("POST", "/api/v1/namespaces/default/events", {
        "metadata": {"name": "e"}, "involvedObject": about, "reason": "R", "type": "Normal",
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z"})
    for _ in range(2):
        status, core = await api.call("GET", "/api/v1/events?fieldSelector=involvedObject.name=web,reason=R")
        assert (status, names(core)) == (200, ["e"])
        status, new = await api.call("GET", "/apis/events.k8s.io/v1/events?fieldSelector=regarding.name=web,reason=R")
        assert (status, names(new)) == (200, ["e"])


@pytest.mark.parametrize(("header", "is_packed"), [("gzip", True), ("deflate, gzip;q=0.5", True), ("", False), ("br", False), ("gzip;q=0", False)])
async def test_a_large_list_is_compressed_for_who_asks(api: TestApi, header: str, is_packed: bool) -> None:
    for number in range(3):
        await api.call("POST", CONFIG_MAPS, {"metadata": {"name": f"large-{number}"}, "data": {"text": "word " * 20_000}})
    answer = await api.raw("GET", CONFIG_MAPS, headers={"accept-encoding": header})
    assert isinstance(answer.body, bytes)
    assert (("content-encoding", "gzip") in answer.headers) is is_packed
    body = gzip.decompress(answer.body) if is_packed else answer.body
    assert len(orjson.loads(body)["items"]) == 3
    assert len(answer.body) < 10_000 or not is_packed
    small = await api.raw("GET", f"{CONFIG_MAPS}?limit=1&labelSelector=a", headers={"accept-encoding": header})
    assert all(name != "content-encoding" for name, _ in small.headers)


async def test_the_first_selector_over_very_many_objects_lets_others_go_on() -> None:
    items = [Cached(f"ns/{n}", orjson.dumps({"metadata": {"name": str(n)}, "node": "n"}), 1, 1) for n in range(20 * TURN)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not all(item.is_warm(node_of) for item in items):
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(others())
        tasks.create_task(warmed(items, node_of))
    assert turns >= 15


async def test_a_client_that_takes_nothing_of_its_watch_is_cut_sooner_than_one_that_pages_a_log() -> None:
    async with api_server() as api:
        response = await api.raw("GET", "/api/v1/namespaces/default/configmaps?watch=true")
        assert response.stall_s == api.server.settings.watch_stall_s < Limits().write_stall_s
        await response.body.aclose()  # type: ignore[union-attr]


async def test_label_selectors_see_what_changed_between_two_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are made ready once; later only the changed ones, and all of them where too many have changed."""
    monkeypatch.setattr(caches, "UNWARMED_MAX", 5)
    path = "/api/v1/namespaces/default/configmaps"
    async with api_server() as api:
        async def names(selector: str) -> set[str]:
            _, page = await api.call("GET", f"{path}?labelSelector={quote(selector)}")
            return {item["metadata"]["name"] for item in page["items"]}

        async def put(name: str, **labels: str) -> None:
            await api.call("PUT" if name in await names("") else "POST", path if name not in await names("") else f"{path}/{name}",
                           {"metadata": {"name": name, "labels": labels}})

        await put("a", app="one")
        assert await names("app=one") == {"a"}
        for number in range(8):
            await put(f"b{number}", app="one", tier="x" if number % 2 else "y")
        await put("a", app="two")
        assert await names("app=one") == {f"b{number}" for number in range(8)}
        assert await names("app=one,tier=x") == {f"b{number}" for number in range(1, 8, 2)} == await names("app in (one),tier==x")
        assert await names("app=one,app=two") == set()
        assert await names("app in (one,two),tier!=x") == {"a", *(f"b{number}" for number in range(0, 8, 2))}
        await api.call("DELETE", f"{path}/b0")
        assert "b0" not in await names("app=one")

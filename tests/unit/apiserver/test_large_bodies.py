"""A large body is decoded, and a large object worked on, beside the event loop, whichever verb or subresource it goes to."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from wherry.orchestration.apiserver.registry import rules
from wherry.orchestration.apiserver.verbs import bodies, patching, writer
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server

NAMESPACE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default/deployments/d"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
STRATEGIC, JSON = "application/strategic-merge-patch+json", "application/json-patch+json"
LARGE = "x" * (bodies.INLINE_BYTES_MAX + 1)
LOOP_SILENT_S_MAX = 0.15
SECONDS_MAX = 10.0  # only a decoder that holds up the loop waits so long
POD = {"containers": [{"name": "main", "image": "x:1"}]}


class Decoder:
    """Stands before the real one: goes on when the loop has answered a health probe meanwhile."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.answered = threading.Event()
        self.is_loop_held = False

    def wait(self) -> None:
        self.begun.set()
        self.is_loop_held |= not self.answered.wait(SECONDS_MAX if threading.current_thread() is not threading.main_thread() else 0)


@pytest.mark.parametrize(("method", "path", "content_type", "body"), [
    pytest.param("POST", f"{NAMESPACE}/configmaps", "application/json", {"metadata": {"name": "c"}}, id="create"),
    pytest.param("PUT", f"{APPS}/status", "application/json", {"metadata": {"name": "d"}}, id="put of status"),
    pytest.param("PATCH", f"{APPS}/status", MERGE, {"status": {"replicas": 1}}, id="patch of status"),
    pytest.param("PUT", f"{APPS}/scale", "application/json", {"spec": {"replicas": 2}}, id="put of scale"),
    pytest.param("PATCH", f"{APPS}/scale", MERGE, {"spec": {"replicas": 2}}, id="patch of scale"),
    pytest.param("PATCH", f"{APPS}/scale?fieldManager=m&force=true", APPLY, {
        "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 2}}, id="apply of scale"),
    pytest.param("POST", f"{NAMESPACE}/serviceaccounts/default/token", "application/json", {"spec": {}}, id="token"),
    pytest.param("POST", f"{NAMESPACE}/pods/p/binding", "application/json", {"target": {"name": "n"}}, id="binding"),
    pytest.param("POST", f"{NAMESPACE}/pods/p/eviction", "application/json", {}, id="eviction"),
    pytest.param("DELETE", f"{NAMESPACE}/pods/p", "application/json", {}, id="options of a delete"),
])
async def test_the_health_probe_is_answered_while_a_large_body_is_decoded(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, content_type: str, body: dict[str, object],
) -> None:
    async with api_server() as api:
        await prepared(api)
        decoder, decode = Decoder(), bodies.decode_body

        def slow(*given: str | bytes) -> object:
            decoder.wait()
            return decode(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(bodies, "decode_body", slow)
        monkeypatch.setattr(patching, "decode_body", slow)
        large = {**body, "metadata": {**body.get("metadata", {}), "annotations": {"large": LARGE}}}  # type: ignore[dict-item]
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(api.call(method, path, large, content_type=content_type))
            while not decoder.begun.is_set():
                await asyncio.sleep(0)
            for _ in range(3):
                assert (await api.call("GET", "/livez"))[0] == 200
            assert not asked.done()
            decoder.answered.set()
        status, answer = asked.result()
        assert status < 400 or "token" in path, answer
        assert not decoder.is_loop_held


async def prepared(api: TestApi) -> None:
    await api.call("POST", f"{NAMESPACE}/pods", {"metadata": {"name": "p"}, "spec": POD})
    await api.call("POST", "/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}})


ENV = [{"name": f"E{number}", "value": "x" * 60} for number in range(9000)]
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
    "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
        "containers": [{"name": "main", "image": "x:1", "env": ENV}]}}}}
LABELS: Object = {"metadata": {"labels": {"c": "d"}}}
ALL = [(rules, "apply_defaults"), (rules, "validate"), (writer, "track_update")]
APPLIED = [*ALL[:2], (patching, "apply_patch")]
PATH = "/spec/template/spec/containers/0/env"


def is_large(value: Any) -> bool:
    return isinstance(value, dict) and len(orjson.dumps(value)) > bodies.WORKED_BYTES_MAX


@pytest.mark.parametrize(("method", "query", "content_type", "body", "stages"), [
    pytest.param("POST", "", "application/json", DEPLOYMENT, ALL, id="create"),
    pytest.param("PUT", "", "application/json", {**DEPLOYMENT, **LABELS}, ALL, id="update"),
    pytest.param("PATCH", "?fieldManager=m&force=true", APPLY, {**DEPLOYMENT, **LABELS}, APPLIED, id="apply"),
    pytest.param("PATCH", "?fieldManager=m", APPLY, {
        **LABELS, "apiVersion": "apps/v1", "kind": "Deployment"}, APPLIED, id="small apply to a large object"),
    pytest.param("PATCH", "", STRATEGIC, {**DEPLOYMENT, **LABELS}, [*ALL, (patching.strategic, "apply")], id="strategic patch"),
    pytest.param("PATCH", "", STRATEGIC, LABELS, [*ALL, (patching.strategic, "apply")], id="small patch of a large object"),
    pytest.param("PATCH", "", MERGE, LABELS, [*ALL, (patching.merge_patch, "apply")], id="merge patch"),
    pytest.param("PATCH", "", JSON, [{"op": "replace", "path": f"{PATH}/{n}/value", "value": "y"} for n in range(2000)],
                 [*ALL, (patching.json_patch, "apply")], id="JSON patch"),
])
@pytest.mark.slow
async def test_no_step_of_work_on_a_large_object_holds_up_the_loop(
    monkeypatch: pytest.MonkeyPatch, method: str, query: str, content_type: str, body: Any, stages: list[tuple[Any, str]],
) -> None:
    threads: dict[str, set[bool]] = {}

    def watched(name: str, step: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            if any(is_large(value) for value in given):
                threads.setdefault(name, set()).add(threading.current_thread() is threading.main_thread())
            return step(*given, **more)

        return call

    async with api_server() as api:
        if method != "POST":
            status, answer = await api.call("POST", APPS.removesuffix("/d"), DEPLOYMENT)
            assert status == 201, answer
        for module, name in stages:
            monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
        path = APPS.removesuffix("/d") if method == "POST" else f"{APPS}{query}"
        status, answer = await api.call(method, path, body, content_type=content_type)
        assert status < 300, answer
    assert threads == {name: {False} for _, name in stages}


@pytest.fixture
def collector_at_rest() -> Iterator[None]:
    """What pytest holds is no server's: its collector would be what is measured."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_at_rest")
@pytest.mark.slow
async def test_the_loop_goes_round_while_half_a_megabyte_is_applied() -> None:
    """The processor time of its own thread in one round: what others do to the machine does not count."""
    longest_s = 0.0

    async def go_round() -> None:
        nonlocal longest_s
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest_s, before = max(longest_s, now - before), now

    async with api_server() as api, asyncio.TaskGroup() as tasks:
        beat = tasks.create_task(go_round())
        for value in ("a", "b"):
            env = [{**entry, "value": value * 60} for entry in ENV]
            applied = orjson.loads(orjson.dumps(DEPLOYMENT))
            applied["spec"]["template"]["spec"]["containers"][0]["env"] = env
            longest_s = 0.0
            status, answer = await api.call("PATCH", f"{APPS}?fieldManager=m", orjson.dumps(applied), content_type=APPLY)
            assert status < 300, answer
        beat.cancel()
    assert longest_s < LOOP_SILENT_S_MAX

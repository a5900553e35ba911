"""A large body is decoded beside the event loop, whichever verb or subresource it goes to."""

import asyncio
import threading

import pytest

from wherry.orchestration.apiserver.verbs import bodies, patching
from wherry.testing.api import TestApi, api_server

NAMESPACE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default/deployments/d"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
LARGE = "x" * (bodies.INLINE_BYTES_MAX + 1)
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

"""ResourceQuota: counted at each create, refused beyond, shown in the status, scoped."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.orchestration.apiserver.quota.usage import looks_at, usage_of
from wherry.orchestration.objects.kinds import PODS
from wherry.testing.api import TestApi, api_server

QUOTAS = "/api/v1/namespaces/default/resourcequotas"
PODS_PATH = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def quota(api: TestApi, hard: dict[str, str], **spec: Any) -> None:
    assert (await api.call("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}}))[0] == 201


async def pod(api: TestApi, name: str, **requests: str) -> tuple[int, Any]:
    container = {"name": "c", "image": "i", "resources": {"requests": requests}}
    return await api.call("POST", PODS_PATH, {"metadata": {"name": name}, "spec": {"containers": [container]}})


async def used(api: TestApi, expected: dict[str, str]) -> None:
    async with asyncio.timeout(5):
        while (await api.call("GET", f"{QUOTAS}/q"))[1].get("status", {}).get("used") != expected:
            await asyncio.sleep(0.01)


async def test_creates_beyond_the_bound_are_refused(api: TestApi) -> None:
    await quota(api, {"configmaps": "2", "count/configmaps": "10"})
    for name in ("a", "b"):
        assert (await api.call("POST", CONFIG_MAPS, {"metadata": {"name": name}}))[0] == 201
    status, body = await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "c"}})
    assert status == 403 and body["message"] == (
        'configmaps "c" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2')
    await used(api, {"configmaps": "2", "count/configmaps": "2"})
    await api.call("DELETE", f"{CONFIG_MAPS}/a")
    await used(api, {"configmaps": "1", "count/configmaps": "1"})
    assert (await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "c"}}))[0] == 201


async def test_creates_at_the_same_time_do_not_slip_through(api: TestApi) -> None:
    await quota(api, {"configmaps": "3"})
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(api.call("POST", CONFIG_MAPS, {"metadata": {"name": f"c{n}"}})) for n in range(9)]
    assert sorted(task.result()[0] for task in answers) == [201] * 3 + [403] * 6


async def test_pods_count_by_what_they_request(api: TestApi) -> None:
    await quota(api, {"pods": "5", "requests.cpu": "1", "memory": "1Gi"})
    status, body = await pod(api, "none")
    assert status == 403 and "must specify memory for: c; requests.cpu for: c" in body["message"]
    assert (await pod(api, "a", cpu="600m", memory="256Mi"))[0] == 201
    status, body = await pod(api, "b", cpu="500m", memory="256Mi")
    assert status == 403 and "requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1" in body["message"]
    await used(api, {"pods": "1", "requests.cpu": "600m", "memory": "256Mi"})


@pytest.mark.parametrize(("scope", "spec", "expected"), [
    ("Terminating", {"activeDeadlineSeconds": 5}, True), ("Terminating", {}, False), ("NotTerminating", {}, True),
    ("BestEffort", {}, True), ("NotBestEffort", {}, False),
])
def test_scopes_choose_pods(scope: str, spec: dict[str, Any], expected: bool) -> None:
    obj = {"spec": {"containers": [{"name": "c"}], **spec}}
    assert looks_at({"spec": {"scopes": [scope]}}, PODS, obj) is expected


def test_a_finished_pod_counts_only_as_an_object() -> None:
    obj = {"spec": {"containers": []}, "status": {"phase": "Succeeded"}}
    assert usage_of(PODS, obj) == {"count/pods": 1}

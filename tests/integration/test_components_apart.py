"""Which components share a process is a table's to say: the same rows run apart, over HTTPS, under the same accounts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.assembly import components, process
from wherry.assembly.authority import authority
from wherry.assembly.node import SERVER, NodeSettings
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import DEPLOYMENTS, NODES, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.ports import free_port

APART = tuple(
    replace(row, process=row.name, begins_after="") for row in components.COMPONENTS if row.role == SERVER
)
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT = {"metadata": {"name": "web", "namespace": "default"},
              "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}
NODE = {"metadata": {"name": "n"}, "status": {
    "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}, "conditions": [{"type": "Ready", "status": "True"}]}}


@asynccontextmanager
async def running(node: NodeSettings, *names: str) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(process.run_components(node, name)) for name in names]
        yield
        for task in started:
            task.cancel()


async def pods_until(client: Client, is_so: object) -> list[Object]:
    async with asyncio.timeout(60):
        while True:
            found = (await client.list(PODS)).items
            if is_so(found):  # type: ignore[operator]
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
async def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[NodeSettings, Client]]:
    monkeypatch.setattr(components, "COMPONENTS", APART)
    node = NodeSettings(tmp_path, api_port=free_port(), node_address="127.0.0.1", roles=(SERVER,))
    keys = authority(node)
    file = str(keys.leaf_file("admin"))
    client = Client(HttpTransport(node.api_url, ca=str(keys.ca_file), cert=file, key=file))
    yield node, client
    await client.close()


async def test_controllers_and_scheduler_work_from_processes_of_their_own(admin: tuple[NodeSettings, Client]) -> None:
    node, client = admin
    assert components.processes(node) == ("apiserver", "controllers", "scheduler")
    async with running(node, *components.processes(node)):
        async with asyncio.timeout(30):
            while not await _answers(client):
                await asyncio.sleep(0.05)
        await client.create(DEPLOYMENTS, DEPLOYMENT)
        await client.create(NODES, NODE)
        await client.patch(NODES, "n", "", {"status": NODE["status"]}, subresource="status")
        await client.patch(NODES, "n", "", {"spec": {"taints": None}})
        found = await pods_until(client, lambda pods: sum("nodeName" in pod["spec"] for pod in pods) == 2)
        assert {pod["spec"]["nodeName"] for pod in found} == {"n"}


async def _answers(client: Client) -> bool:
    from wherry.kit.errors import WherryError

    try:
        await client.list(NODES)
    except WherryError:
        return False
    return True

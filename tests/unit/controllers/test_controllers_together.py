"""All controllers and the scheduler in one process, as `assembly` starts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from wherry.kit.clock import SystemClock
from wherry.kit.http.message import Request, Response
from wherry.orchestration.apiserver.user import ADMIN
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.controllers.run import ControllerSettings, controllers, run_all
from wherry.orchestration.objects.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
)
from wherry.orchestration.objects.meta import name_of
from wherry.orchestration.scheduler.loop import Scheduler
from wherry.testing.cluster_objects import deployment
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.directory_volumes import DirectoryVolumes

SETTINGS = ControllerSettings("PEM", lambda *asked: b"", "10.244.0.0/24", ("192.0.2.1",))
QUIET_S = 0.5


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[ControlPlane, list[str]]]:
    """The cluster, and the writes its controllers have asked for."""
    engine, writes = DirectoryVolumes(folder), list[str]()
    await engine.prepare()
    async with control_plane(Scheduler) as on, asyncio.TaskGroup() as tasks:
        async def handle(request: Request) -> Response:
            if request.method != "GET":
                writes.append(f"{request.method} {request.path}")
            response = await on.api.server.handle(request)
            assert isinstance(response, Response)
            return response

        client = Client(LocalTransport(handle, ADMIN))
        running = tasks.create_task(run_all(client, SETTINGS, SystemClock(), engine))
        try:
            yield on, writes
        finally:
            running.cancel()


@pytest.mark.slow
async def test_deployment_behind_a_service_comes_up_and_goes_without_a_rest(tmp_path):
    async with everything(tmp_path) as (on, writes):
        await on.node()
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.until(lambda: on.find(CONFIG_MAPS, "kube-root-ca.crt", "shop"))
        await on.until(lambda: on.find(SERVICE_ACCOUNTS, "default", "shop"))
        await on.service(type="LoadBalancer")
        await on.client.create(DEPLOYMENTS, deployment(replicas=3))

        async def placed() -> bool:
            pods = await on.all(PODS)
            return len(pods) == 3 and all(pod["spec"].get("nodeName") for pod in pods)

        await on.until(placed)
        for index, pod in enumerate(await on.all(PODS)):
            await on.report(name_of(pod), f"10.244.0.{index + 5}")

        async def served() -> bool:
            slices = await on.all(ENDPOINT_SLICES, "default", "kubernetes.io/service-name=web")
            legacy = await on.find(ENDPOINTS, "web") or {}
            return [len(s.get("endpoints") or ()) for s in slices] == [3] and len(legacy["subsets"][0]["addresses"]) == 3

        await on.until(served)

        async def available() -> bool:
            found = await on.find(DEPLOYMENTS, "web")
            return bool(found and found["status"].get("availableReplicas") == 3)

        await on.until(available)
        await asyncio.sleep(QUIET_S)
        writes.clear()
        await asyncio.sleep(QUIET_S)
        assert not writes, "an idle cluster writes nothing"


def test_names_are_upstreams():
    names = list(controllers(SETTINGS, DirectoryVolumes(Path("/nowhere"))))
    assert len(names) == len(set(names)) and "endpointslice-controller" in names

"""Controllers, or the scheduler, against the real API server in memory; the test plays kubelet.

In:    classes, or functions of `Tools`, each giving something with `run()`.
Out:   a running `ControlPlane`; everything ends with the block.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import EVENTS, NODES, PODS, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import LABEL_HOSTNAME
from wherry.testing.api import TestApi, api_server
from wherry.testing.virtual_time import clock_here

UNTIL_S = 10.0


@dataclass(slots=True)
class ControlPlane:
    """The server, the administrator's client, the clock the controllers see."""

    api: TestApi
    client: Client
    clock: Clock

    async def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        """The object, or None."""
        try:
            return await self.client.get(resource, name, namespace if resource.namespaced else "")
        except NotFound:
            return None

    async def all(self, resource: Resource, namespace: str = "", labels: str = "") -> list[Object]:
        """All objects of a resource."""
        return (await self.client.list(resource, namespace, labels=labels)).items

    async def until(self, true: Callable[[], Awaitable[Any]]) -> Any:
        """The first true answer."""
        try:
            async with asyncio.timeout(UNTIL_S):
                while not (found := await true()):
                    await asyncio.sleep(0.005)
                return found
        except TimeoutError:
            raise AssertionError("never became true") from None

    async def events(self) -> list[tuple[str, str]]:
        """(reason, message) of every event written so far."""
        return [(event["reason"], event["message"]) for event in await self.all(EVENTS)]

    async def service(self, name: str = "web", **spec: Any) -> Object:
        """A Service that selects `app: <name>`."""
        body = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
        return await self.client.create(SERVICES, {"metadata": {"name": name, "namespace": "default"}, "spec": body})

    async def node(self, name: str = "node-1", **labels: str) -> Object:
        """A node whose kubelet says it is ready."""
        body = {"metadata": {"name": name, "labels": {LABEL_HOSTNAME: name, **labels}}, "spec": {}}
        await self.client.create(NODES, body)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                 "lastHeartbeatTime": rfc3339(self.clock.now()), "lastTransitionTime": rfc3339(self.clock.now())}
        status = {"conditions": [ready], "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                  "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"},
                  "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}}
        return await self.client.patch_status(NODES, name, "", {"status": status})

    async def pod(
        self, name: str, address: str = "", *, ready: bool = True, node: str = "", app: str = "web", **spec: Any
    ) -> Object:
        """A pod; running when it has an `address`."""
        body = {"containers": [{"name": "main", "image": "app:1", "ports": [{"name": "http", "containerPort": 8080}]}]}
        obj = {"metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
               "spec": {**body, **({"nodeName": node} if node else {}), **spec}}
        created = await self.client.create(PODS, obj)
        return await self.report(name, address, ready=ready) if address else created

    async def report(self, name: str, address: str = "", *, ready: bool = True, phase: str = "Running") -> Object:
        """Play kubelet: write a pod's status."""
        now = rfc3339(self.clock.now())
        status: Object = {"phase": phase, "conditions": [
            {"type": "Ready", "status": str(ready), "lastTransitionTime": now}]}
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        return await self.client.patch_status(PODS, name, "default", {"status": status})


@asynccontextmanager
async def control_plane(*kinds: Any, clock: Clock | None = None) -> AsyncIterator[ControlPlane]:
    """Run one of each of `kinds`: classes, or functions of `Tools`."""
    clock = clock or clock_here()
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        informers = Informers(api.client)
        recorder = Recorder(api.client, "test", clock=clock)
        tools = Tools(api.client, informers, recorder, clock)
        running = [tasks.create_task(kind(tools).run(), name="controller") for kind in kinds]
        running += [tasks.create_task(informers.run(), name="informers"), tasks.create_task(recorder.run(), name="recorder")]
        try:
            yield ControlPlane(api, api.client, clock)
        finally:
            for task in running:
                task.cancel()

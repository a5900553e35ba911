"""API server over TLS, node agent with its node certificate, real engine: what kubectl's user meets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import aiohttp
import pytest
from agent_node import RealNode, real_node

from wherry.kit.clock import SystemClock
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server
from wherry.testing.directory_volumes import DirectoryVolumes
from wherry.testing.fake_engine import FakeImages
from wherry.testing.ports import free_port

pytestmark = pytest.mark.node

NODE = "test"  # as `api_server` names its node certificate


@dataclass
class Cluster:
    api: TestApi
    agent: Agent
    node: RealNode
    port: int

    async def create(self, script: str, *, name: str = "web", fields: Object | None = None, **spec: Any) -> None:
        body = {"name": "app", "image": "app:1", "command": ["sh", "-c", script], **(fields or {})}
        spec = {"nodeName": NODE, "containers": [body], "terminationGracePeriodSeconds": 0, **spec}
        await self.api.client.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        )

    async def until(self, is_so: Callable[[Object], bool], *, name: str = "web") -> Object:
        found: Object = {}
        try:
            async with asyncio.timeout(20):
                while True:
                    found = await self.api.client.get(PODS, name, "default")
                    if is_so(found["status"]):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not so: {found['status']}") from None

    async def phase(self, wanted: str, *, name: str = "web") -> Object:
        return await self.until(lambda status: status.get("phase") == wanted, name=name)


async def log_of(cluster: Cluster, name: str) -> str:
    """As `kubectl logs` gets it: API server, node API, file."""
    answer = await cluster.api.raw("GET", f"/api/v1/namespaces/default/pods/{name}/log")
    body: Any = answer.body
    return str((body if isinstance(body, bytes) else b"".join([part async for part in body])).decode())


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with api_server(listen=True) as api, real_node() as (node, engines), asyncio.TaskGroup() as tasks:
        keys = api.pki
        assert keys is not None
        root = {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": keys.ca_pem.decode()}}
        await api.client.create(CONFIG_MAPS, root)
        transport = HttpTransport(
            api.url, ca=str(keys.ca_file), cert=str(keys.leaf_file("node")), key=str(keys.leaf_file("node"))
        )
        port = free_port()
        settings = AgentSettings(
            NODE, "127.0.0.1", node.folder / "agent", node.folder / "logs", port=port, listen_hosts=("127.0.0.1",)
        )
        volumes = DirectoryVolumes(node.folder / "volumes")
        await volumes.prepare()
        await volumes.create("pv1", 1 << 20)
        client = Client(transport)
        agent = Agent(
            settings, client, engines[0], FakeImages.of("app:1"), volumes, SystemClock(), tls=keys.server_tls("node-serving")
        )
        running = tasks.create_task(agent.run())
        try:
            yield Cluster(api, agent, node, port)
        finally:
            running.cancel()
            await client.close()


async def test_pod_with_its_account_token_runs_and_is_removed(cluster: Cluster) -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    await cluster.create(f"cat {path}/namespace; ls {path}; sleep infinity")
    found = await cluster.phase("Running")
    assert IPv4Address(found["status"]["podIP"]) in cluster.node.network.addresses
    async with asyncio.timeout(5):
        while (text := await log_of(cluster, "web")).split() != ["defaultca.crt", "namespace", "token"]:
            await asyncio.sleep(0.05)
    assert text.startswith("default")
    await cluster.api.client.delete(PODS, "web", "default")
    async with asyncio.timeout(10):
        while cluster.agent.pods():
            await asyncio.sleep(0.02)
    assert (await cluster.api.client.list(PODS)).items == []


async def test_strangers_are_turned_away_and_the_api_server_is_let_in(cluster: Cluster) -> None:
    await cluster.create("echo secret; sleep infinity")
    await cluster.phase("Running")
    keys = cluster.api.pki
    assert keys is not None
    url = f"https://127.0.0.1:{cluster.port}/containerLogs/default/web/app"
    async with aiohttp.ClientSession() as http:
        bare = keys.client_tls("kubelet-client").__class__(keys.client_tls("kubelet-client").protocol)
        bare.load_verify_locations(keys.ca_file)
        bare.check_hostname = False
        async with http.get(url, ssl=bare) as answer:
            assert answer.status == 401
        async with http.get(url, ssl=bare, headers={"authorization": "Bearer nonsense"}) as answer:
            assert answer.status == 401
        scheduler = keys.client_tls("scheduler")
        scheduler.check_hostname = False
        async with http.get(url, ssl=scheduler) as answer:
            assert answer.status == 403, await answer.text()
        trusted = keys.client_tls("kubelet-client")
        trusted.check_hostname = False
        async with http.get(url, ssl=trusted) as answer:
            assert (answer.status, await answer.text()) == (200, "secret\n")


def is_refusal_repeated(event: Object) -> bool:
    """The agent found the claim unbound, and again when it looked the second time: between them the pod could have started."""
    return event["reason"] == "FailedMount" and "non-bound phase" in event["message"] and event.get("count", 1) > 1


async def test_claimed_volume_keeps_its_content_between_pods(cluster: Cluster) -> None:
    size = {"storage": "1Mi"}
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pv1", "storageClassName": "", "resources": {"requests": size}},
    }  # fmt: skip
    made = await cluster.api.client.create(PERSISTENT_VOLUME_CLAIMS, claim)
    await cluster.api.client.create(
        PERSISTENT_VOLUMES,
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv1"},
            "spec": {
                "capacity": size, "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "wherry.dev/local", "volumeHandle": "pv1"},
                "claimRef": {"name": "data", "namespace": "default", "uid": made["metadata"]["uid"]},
            },
        },
    )  # fmt: skip
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    await cluster.create("echo kept > /data/x", fields=mounts, volumes=volumes, restartPolicy="Never")
    async with asyncio.timeout(10):
        while not any(is_refusal_repeated(event) for event in (await cluster.api.client.list(EVENTS)).items):
            await asyncio.sleep(0.05)
    assert (await cluster.api.client.get(PODS, "web", "default"))["status"].get("phase", "Pending") == "Pending"
    assert await cluster.agent.engine.containers() == []
    await cluster.api.client.patch_status(
        PERSISTENT_VOLUME_CLAIMS, "data", "default", {"status": {"phase": "Bound"}}
    )
    await cluster.phase("Succeeded")
    await cluster.create("grep kept /data/x", name="again", fields=mounts, volumes=volumes, restartPolicy="Never")
    await cluster.phase("Succeeded", name="again")


async def test_exec_over_websocket_gives_output_and_code(cluster: Cluster) -> None:
    await cluster.create("sleep infinity")
    await cluster.phase("Running")
    keys = cluster.api.pki
    assert keys is not None
    tls = keys.client_tls("kubelet-client")
    tls.check_hostname = False
    async with aiohttp.ClientSession() as http:
        url = f"https://127.0.0.1:{cluster.port}/exec/default/web/app?command=sh&command=-c&command=echo+hi%3B+exit+3&output=1&error=1"
        async with http.ws_connect(url, ssl=tls, protocols=("v5.channel.k8s.io",)) as ws:
            frames = [message.data async for message in ws if message.type == aiohttp.WSMsgType.BINARY]
    assert b"\x01hi\n" in frames
    assert any(frame[:1] == b"\x03" and b'"NonZeroExitCode"' in frame for frame in frames)

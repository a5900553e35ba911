"""Upstream's sample API server (wardle.example.com: flunders, fischers) behind an APIService, driven by kubectl.

It authenticates by request headers, authorizes by asking us, and keeps its objects in an etcd of its own. `make judges` builds it;
where it is not built these tests are skipped: `test_aggregation.py` holds the same layer with a backend of its own.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wherry.orchestration.apiserver import pki
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import API_SERVICES, NAMESPACES, SERVICES
from wherry.testing.api import TestApi, api_server
from wherry.testing.ports import free_port

BIN = Path(__file__).parents[2] / ".cache/judges/bin"
KUBECTL = Path(__file__).parents[2] / ".cache/clients/kubectl"
GROUP, VERSION = "wardle.example.com", "v1alpha1"
FLUNDER = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "one", "labels": {"sample": "true"}},
           "spec": {"reference": "two"}}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BIN / "sample-apiserver").exists(), reason="the sample API server is not built: make judges"),
]


@dataclass
class Sample:
    """The sample server beside an API server that knows it."""

    api: TestApi
    folder: Path
    argv: list[str]
    process: asyncio.subprocess.Process

    async def kubectl(self, *argv: str, stdin: str = "") -> tuple[int, str]:
        """Exit code and what it said; flunders are deprecated, and their warnings left out."""
        process = await asyncio.create_subprocess_exec(
            str(KUBECTL), f"--kubeconfig={self.api.kubeconfig}", f"--cache-dir={self.folder}/cache", *argv,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        async with asyncio.timeout(60):
            text, _ = await process.communicate(stdin.encode())
        lines = [line for line in text.decode().splitlines(keepends=True) if not line.startswith("Warning:")]
        return process.returncode or 0, "".join(lines)

    async def start(self) -> None:
        self.process = await started(self.argv, self.folder / "sample.log")


async def started(argv: list[str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(*argv, stdout=file, stderr=file)


async def stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def until(what: Callable[[], Awaitable[bool]], timeout_s: float = 90) -> None:
    async with asyncio.timeout(timeout_s):
        while not await what():
            await asyncio.sleep(0.1)


async def condition(client: Client, name: str) -> dict[str, Any]:
    obj = await client.get(API_SERVICES, name)
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == "Available"), {})


@pytest.fixture
async def sample(tmp_path: Path) -> AsyncIterator[Sample]:
    now = datetime.now(UTC)
    keys = pki.ensure(tmp_path / "backend", node_name="backend", names=("api.wardle.svc",), now=now)
    certificate, key = keys.leaf("apiserver")
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    ports = {name: free_port() for name in ("etcd", "peer", "secure")}
    etcd = await started([
        str(BIN / "etcd"), "--data-dir", str(tmp_path / "etcd"), "--listen-client-urls", f"http://127.0.0.1:{ports['etcd']}",
        "--advertise-client-urls", f"http://127.0.0.1:{ports['etcd']}", "--listen-peer-urls", f"http://127.0.0.1:{ports['peer']}",
        "--initial-advertise-peer-urls", f"http://127.0.0.1:{ports['peer']}",
        "--initial-cluster", f"default=http://127.0.0.1:{ports['peer']}"], tmp_path / "etcd.log")
    async with api_server(listen=True) as api:
        kubeconfig = str(api.kubeconfig)
        argv = [
            str(BIN / "sample-apiserver"), f"--secure-port={ports['secure']}", "--bind-address=127.0.0.1",
            f"--etcd-servers=http://127.0.0.1:{ports['etcd']}", f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            f"--tls-cert-file={tmp_path}/tls.crt", f"--tls-private-key-file={tmp_path}/tls.key"]
        made = Sample(api, tmp_path, argv, await started(argv, tmp_path / "sample.log"))
        try:
            await api.client.create(NAMESPACES, {"metadata": {"name": "wardle"}})
            await api.client.create(SERVICES, {"metadata": {"name": "api", "namespace": "wardle"}, "spec": {
                "type": "ExternalName", "externalName": "localhost"}}, "wardle")
            await api.client.create(API_SERVICES, {"metadata": {"name": f"{VERSION}.{GROUP}"}, "spec": {
                "group": GROUP, "version": VERSION, "groupPriorityMinimum": 2000, "versionPriority": 200,
                "service": {"namespace": "wardle", "name": "api", "port": ports["secure"]},
                "caBundle": base64.b64encode(keys.ca_pem).decode()}})
            yield made
        finally:
            await stop(made.process)
            await stop(etcd)


async def test_the_sample_api_server_runs_behind_an_api_service(sample: Sample) -> None:
    client = sample.api.client
    name = f"{VERSION}.{GROUP}"

    async def is_available() -> bool:
        return (await condition(client, name)).get("status") == "True"

    await until(is_available)
    assert (await condition(client, name))["reason"] == "Passed"

    async def is_explained() -> bool:
        return "Flunder" in (await sample.kubectl("explain", "flunder"))[1]

    await until(is_explained)
    code, text = await sample.kubectl("apply", "-f", "-", stdin=json.dumps(FLUNDER))
    assert code == 0 and "created" in text, text
    code, text = await sample.kubectl("get", "flunders", "-o", "name")
    assert (code, text.strip()) == (0, f"flunder.{GROUP}/one")
    code, text = await sample.kubectl("label", "flunder", "one", "colour=blue")
    assert code == 0, text
    code, text = await sample.kubectl("patch", "flunder", "one", "--type=merge", "-p", '{"spec":{"reference":"three"}}')
    assert code == 0, text
    code, text = await sample.kubectl("get", "flunder", "one", "-o", "jsonpath={.spec.reference} {.metadata.labels.colour}")
    assert (code, text) == (0, "three blue")
    code, text = await sample.kubectl("api-resources", f"--api-group={GROUP}", "--no-headers")
    assert code == 0 and "flunders" in text and "fischers" in text, text
    code, text = await sample.kubectl("auth", "can-i", "list", f"flunders.{GROUP}", "--as=nobody")
    assert text.strip().endswith("no"), text
    code, text = await sample.kubectl("get", "flunders", "--as=nobody")
    assert code == 1 and "Forbidden" in text, text
    code, text = await sample.kubectl("delete", "flunders", "--all")
    assert code == 0 and "deleted" in text, text


async def test_a_dead_sample_server_is_unavailable_and_comes_back(sample: Sample) -> None:
    client, name = sample.api.client, f"{VERSION}.{GROUP}"

    async def says(status: str) -> bool:
        return (await condition(client, name)).get("status") == status

    await until(lambda: says("True"))
    await stop(sample.process)
    await until(lambda: says("False"))
    assert (await condition(client, name))["reason"] == "FailedDiscoveryCheck"
    code, text = await sample.kubectl("get", "--raw", f"/apis/{GROUP}/{VERSION}/flunders")
    assert code == 1 and "(ServiceUnavailable): the server is currently unable to handle the request" in text, text
    await sample.start()
    await until(lambda: says("True"))
    code, text = await sample.kubectl("get", "flunders")
    assert code == 0 and "No resources found" in text, text

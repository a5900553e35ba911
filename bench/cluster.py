"""A real cluster for a measurement: `wherry up` in a folder and on ports of its own, purged at the end, also on failure.

    async with cluster() as one:
        await one.client.create(PODS, {...})

In:    nothing. Out: `Cluster`; its image `IMAGE` (static busybox) is in the content folder.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.assembly import settings
from wherry.assembly.images import open_images
from wherry.assembly.node import NodeSettings
from wherry.assembly.supervisor import holder, lock_path
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import SERVICE_ACCOUNTS
from wherry.testing.images import busybox_image
from wherry.testing.ports import free_port

IMAGE = "wherry.local/busybox:bench"
POD_CIDR, SERVICE_CIDR = "10.243.0.0/22", "10.93.0.0/16"
COMPONENTS = ("supervisor", "server", "agent")
READY_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """`ready_s` is what `wherry up` took, from its first instruction to its exit."""

    settings: NodeSettings
    client: Client
    ready_s: float

    def pids(self) -> dict[str, int]:
        """Component -> process."""
        return {name: holder(lock_path(self.settings, name)) for name in COMPONENTS}


async def wherry(*words: str) -> None:
    """Run the command line; leave with its own message when it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wherry.cli.main", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"wherry {' '.join(words)}:\n{out.decode()}")


@asynccontextmanager
async def cluster(*, image: bool = True) -> AsyncIterator[Cluster]:
    """Up, without the gateway; yielded as soon as `wherry up` returns."""
    with tempfile.TemporaryDirectory(prefix="wherry-bench-", dir="/var/tmp") as folder:
        data = Path(folder) / "data"
        api, node, registry = free_port(), free_port(), free_port()
        flags = [
            "--kubeconfig", f"{folder}/kubeconfig", "--no-gateway", "--pod-cidr", POD_CIDR, "--service-cidr", SERVICE_CIDR,
            "--api-port", str(api), "--node-port", str(node), "--registry-port", str(registry),
        ]  # fmt: skip
        if image:
            made = NodeSettings(data_dir=data, registry_port=registry)
            await busybox_image(open_images(made).content, IMAGE)
        try:
            began_at = time.perf_counter()
            await wherry("up", "--data-dir", str(data), *flags)
            ready_s = time.perf_counter() - began_at
            client = _admin(settings.load(data))
            try:
                yield Cluster(settings.load(data), client, ready_s)
            finally:
                await client.close()
        finally:
            await wherry("down", "--purge", "--data-dir", str(data), "--kubeconfig", f"{folder}/kubeconfig")


def _admin(made: NodeSettings) -> Client:
    key = str(made.authority_dir / "admin.pem")
    transport = HttpTransport(f"https://127.0.0.1:{made.api_port}", ca=str(made.authority_dir / "ca.crt"), cert=key, key=key)
    return Client(transport, user_agent="bench")


async def default_account(client: Client) -> None:
    """Wait until pods may be created in namespace default."""
    async with asyncio.timeout(READY_LIMIT_S):
        while not (await client.list(SERVICE_ACCOUNTS, "default")).items:
            await asyncio.sleep(0.005)


def pod(name: str, *command: str, labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """A pod of one container of `IMAGE`; it needs no readiness and dies at once."""
    body = {"name": "main", "image": IMAGE, "command": list(command or ("sleep", "100000")), **container}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": "bench"}},
        "spec": {"containers": [body], "terminationGracePeriodSeconds": 0,
                 "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]},
    }  # fmt: skip


def log_of(one: Cluster, name: str) -> str:
    """The end of a component's log, for a failure's message."""
    return (one.settings.log_dir / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-2000:]

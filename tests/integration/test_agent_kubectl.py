"""kubectl's own words against API server, node agent and real containers: what a user types."""

import asyncio
import os
from pathlib import Path

import pytest
from test_agent_cluster import Cluster, cluster

__all__ = ["cluster"]

pytestmark = [pytest.mark.node, pytest.mark.cluster]

KUBECTL = Path(__file__).parents[2] / ".cache" / "clients" / "kubectl"


class Kubectl:
    def __init__(self, cluster: Cluster) -> None:
        assert KUBECTL.exists(), f"no {KUBECTL}: run make setup"
        self.env = {**os.environ, "KUBECONFIG": str(cluster.api.kubeconfig)}

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            KUBECTL, *args, env=self.env, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )

    async def __call__(self, *args: str, stdin: bytes = b"", code: int = 0) -> str:
        process = await self.start(*args)
        async with asyncio.timeout(30):
            out, _ = await process.communicate(stdin)
        assert process.returncode == code, out.decode()
        return out.decode()


async def test_a_users_session(cluster: Cluster, tmp_path: Path) -> None:
    kubectl = Kubectl(cluster)
    serve = "echo ready; mkdir -p /tmp/www 2>/dev/null; echo page > /tmp/index.html; httpd -p 8080 -h /tmp; sleep infinity"
    await cluster.create(serve)
    await kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
    assert "ready\n" in await kubectl("logs", "web")
    assert await kubectl("exec", "web", "--", "sh", "-c", "echo out; hostname") == "out\nweb\n"
    assert "exit code 5" in await kubectl("exec", "web", "--", "sh", "-c", "exit 5", code=5)
    assert await kubectl("exec", "-i", "web", "--", "cat", stdin=b"through") == "through"
    shown = await kubectl("get", "pods", "-o", "wide")
    assert "1/1" in shown and "Running" in shown and "test" in shown
    assert "Container image" in await kubectl("describe", "pod", "web")
    forward = await kubectl.start("port-forward", "pod/web", ":8080")
    try:
        assert forward.stdout is not None
        async with asyncio.timeout(10):
            line = (await forward.stdout.readline()).decode()
        port = int(line.split(" -> ")[0].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
        async with asyncio.timeout(5):
            assert b"page" in await reader.read()
        writer.close()
    finally:
        forward.terminate()
        await forward.wait()
    await kubectl("delete", "pod", "web", "--timeout=20s")
    assert "NotFound" in await kubectl("get", "pod", "web", code=1)


async def test_crash_loop_as_shown(cluster: Cluster) -> None:
    kubectl = Kubectl(cluster)
    await cluster.create("echo attempt; exit 1")
    await cluster.until(lambda status: "CrashLoopBackOff" in str(status))
    assert "CrashLoopBackOff" in await kubectl("get", "pods")
    assert await kubectl("logs", "web", "--previous") == "attempt\n"


async def test_debug_container_joins_and_is_attached(cluster: Cluster) -> None:
    kubectl = Kubectl(cluster)
    await cluster.create("sleep infinity")
    await cluster.phase("Running")
    process = await kubectl.start("debug", "web", "-i", "--image=app:1", "--target=app", "--", "sh")
    async with asyncio.timeout(20):
        out, _ = await process.communicate(b"echo inside; exit\n")
    assert b"inside" in out, out.decode()


async def test_attach_returns_at_the_end_of_its_input_and_the_pod_goes_on(cluster: Cluster) -> None:
    """As `kubectl run -i --leave-stdin-open`: the container keeps its stdin, and who attaches next is read too."""
    kubectl = Kubectl(cluster)
    await cluster.create("cat && echo stdin closed", fields={"stdin": True})
    await cluster.phase("Running")
    for line in ("one", "two"):
        assert line in await kubectl("attach", "-i", "web", stdin=f"{line}\n".encode())
    await cluster.phase("Running")
    assert await kubectl("logs", "web") == "one\ntwo\n"

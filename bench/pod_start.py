"""How long a pod takes from create to Running on a real node: API server, agent, crun, network, volumes; image present.

Usage: python bench/pod_start.py [--pods 50] [--small] [--record]    needs root, crun, conmon and busybox-static
Prints one JSON line a figure. Each pod has the automatic token volume; pods are created one after another.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import figures  # noqa: E402
from agent_node import real_node  # noqa: E402

from wherry.kit.clock import SystemClock  # noqa: E402
from wherry.orchestration.agent.facts.settings import AgentSettings  # noqa: E402
from wherry.orchestration.agent.loop import Agent  # noqa: E402
from wherry.orchestration.apiserver.user import User  # noqa: E402
from wherry.orchestration.client.client import Client  # noqa: E402
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS  # noqa: E402
from wherry.testing.api import api_server  # noqa: E402
from wherry.testing.fake_engine import FakeImages  # noqa: E402

NODE = "bench"
LIMIT_S = 30.0


def pod(name: str) -> dict[str, Any]:
    body = {"name": "app", "image": "app:1", "command": ["sleep", "infinity"]}
    spec = {"nodeName": NODE, "containers": [body], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def until_running(client: Client, name: str, revision: str) -> None:
    async for event in client.watch(PODS, "default", revision=revision, fields=f"metadata.name={name}"):
        if (event.object.get("status") or {}).get("phase") == "Running":
            return


async def measure(count: int) -> list[float]:
    """Milliseconds, one a pod."""
    took = []
    async with api_server() as api, real_node() as (node, engines), asyncio.TaskGroup() as tasks:
        await api.client.create(
            CONFIG_MAPS, {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "x"}}
        )
        settings = AgentSettings(NODE, "127.0.0.1", node.folder / "agent", node.folder / "logs")
        user = User(f"system:node:{NODE}", "", ("system:nodes", "system:authenticated"))
        agent = Agent(settings, api.client_as(user), engines[0], FakeImages.of("app:1"), None, SystemClock())
        running = tasks.create_task(agent.run())
        while agent.node.node.get("status") is None:
            await asyncio.sleep(0.01)
        for index in range(count):
            began_at = time.perf_counter()
            made = await api.client.create(PODS, pod(f"p{index}"))
            async with asyncio.timeout(LIMIT_S):
                await until_running(api.client, f"p{index}", made["metadata"]["resourceVersion"])
            took.append((time.perf_counter() - began_at) * 1000)
        running.cancel()
    return took


async def measured(options: figures.Options) -> figures.Figures:
    return figures.spread("pod_start_by_agent", await measure(3 if options.small else options.pods), "ms")


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--pods", type=int, default=50)
    figures.run(flags, measured)

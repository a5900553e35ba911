"""Pod create -> Running in a real cluster of real processes, seen by a watch over TLS; image present, token volume mounted.

Usage: python bench/pod_start_cluster.py [--pods 100] [--small] [--record]    needs root, crun, conmon, nftables, busybox-static
One after another, then in batches of ten at once. Through API server, SQLite, scheduler, agent, network and crun.
"""

import asyncio
import time
from collections.abc import Sequence

import figures
from cluster import Cluster, cluster, default_account, pod

from wherry.orchestration.objects.kinds import PODS

BATCH = 10
LIMIT_S = 30.0


class Running:
    """When each pod was first seen Running."""

    def __init__(self) -> None:
        self._seen: dict[str, asyncio.Future[float]] = {}

    def of(self, name: str) -> asyncio.Future[float]:
        """Resolves to the moment."""
        return self._seen.setdefault(name, asyncio.get_running_loop().create_future())

    async def follow(self, one: Cluster, revision: str) -> None:
        """Until cancelled."""
        async for event in one.client.watch(PODS, "default", revision=revision):
            if (event.object.get("status") or {}).get("phase") == "Running":
                future = self.of(event.object["metadata"]["name"])
                if not future.done():
                    future.set_result(time.perf_counter())


async def start(one: Cluster, running: Running, name: str) -> float:
    """Milliseconds from the sending of the create to the event that says Running."""
    began_at = time.perf_counter()
    await one.client.create(PODS, pod(name))
    async with asyncio.timeout(LIMIT_S):
        return (await running.of(name) - began_at) * 1000


async def batch(one: Cluster, running: Running, names: Sequence[str]) -> list[float]:
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(start(one, running, name)) for name in names]
    return [task.result() for task in made]


async def clear(one: Cluster) -> None:
    """Until the agent says of the last pod that it is gone, so that each part begins on an empty, quiet node."""
    await one.client.delete_collection(PODS, "default", grace_s=1)  # with 0 the objects go before the containers
    async with asyncio.timeout(LIMIT_S * 4):
        while (await one.client.list(PODS, "default")).items:
            await asyncio.sleep(0.1)


async def measure(options: figures.Options) -> figures.Figures:
    count = 3 if options.small else options.pods
    found: dict[str, tuple[float, str]] = {}
    async with cluster() as one, asyncio.TaskGroup() as tasks:
        await default_account(one.client)
        running = Running()
        following = tasks.create_task(running.follow(one, (await one.client.list(PODS)).revision))
        await start(one, running, "first")  # unpacks the image, compiles the seccomp filter
        found |= figures.spread("pod_start", [await start(one, running, f"s{n}") for n in range(count)], "ms")
        await clear(one)
        began_at = time.perf_counter()
        took: list[float] = []
        for first in range(0, count, BATCH):
            took += await batch(one, running, [f"b{n}" for n in range(first, min(first + BATCH, count))])
        found |= figures.spread("pod_start_ten_at_once", took, "ms")
        found["pods_started"] = (count / (time.perf_counter() - began_at), "1/s")
        await clear(one)
        following.cancel()
    return found


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--pods", type=int, default=100)
    figures.run(flags, measure)

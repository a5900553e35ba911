"""Controllers and API server in one process, memory store: how fast a ReplicaSet's pods are made, and go again.

Usage: nice python bench/controllers.py [--pods 300] [--small] [--record]
Prints one JSON line a figure. No scheduler and no agent: pods stay Pending.
"""

import asyncio
import time

import figures

from wherry.kit.clock import SystemClock
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.garbage_collector.loop import Controller as Garbage
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.objects.kinds import PODS, REPLICA_SETS
from wherry.testing.api import api_server
from wherry.testing.cluster_objects import replica_set

IDLE_S = 5.0


async def measure(pods: int, idle_s: float) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        client, informers = api.client, Informers(api.client)
        recorder = Recorder(client, "bench")
        kinds = (Deployments, ReplicaSets, Garbage)
        tools = Tools(client, informers, recorder, SystemClock())
        running = [tasks.create_task(kind(tools).run()) for kind in kinds]
        running += [tasks.create_task(informers.run()), tasks.create_task(recorder.run())]
        cache = informers.of(PODS)
        await cache.wait_synced()
        began_at = time.process_time()
        await asyncio.sleep(idle_s)
        found["idle_cpu"] = ((time.process_time() - began_at) / idle_s * 100, "% of a core")
        began_at = time.perf_counter()
        await client.create(REPLICA_SETS, replica_set(replicas=pods))
        await until(lambda: len(cache.list()) == pods)
        found["pods_created"] = (pods / (time.perf_counter() - began_at), "1/s")
        began_at = time.perf_counter()
        await client.delete(REPLICA_SETS, "web", "default", propagation="Background")
        await until(lambda: not cache.list())
        found["pods_collected"] = (pods / (time.perf_counter() - began_at), "1/s")
        for task in running:
            task.cancel()
    return found


async def until(true) -> None:  # noqa: ANN001
    async with asyncio.timeout(120):
        while not true():
            await asyncio.sleep(0.002)


async def measured(options: figures.Options) -> figures.Figures:
    return await (measure(10, 0.5) if options.small else measure(options.pods, IDLE_S))


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--pods", type=int, default=300)
    figures.run(flags, measured)

"""Controllers and API server in one process, memory store: how fast a ReplicaSet's pods are made, and go again.

Usage: nice python bench/controllers.py [--pods 300] [--record]
Prints one JSON line a figure. No scheduler and no agent: pods stay Pending.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import uvloop

from wherry.kit.clock import SystemClock
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.garbage_collector.loop import Controller as Garbage
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.objects.kinds import PODS, REPLICA_SETS
from wherry.testing.api import api_server
from wherry.testing.cluster_objects import replica_set

RESULTS = Path(__file__).parent / "results" / "controllers.jsonl"
IDLE_S = 5.0


async def measure(pods: int) -> dict[str, tuple[float, str]]:
    figures: dict[str, tuple[float, str]] = {}
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        client, clock, informers = api.client, SystemClock(), Informers(api.client)
        recorder = Recorder(client, "bench")
        kinds = (Deployments, ReplicaSets, Garbage)
        running = [tasks.create_task(kind(client, informers, recorder, clock).run()) for kind in kinds]
        running += [tasks.create_task(informers.run()), tasks.create_task(recorder.run())]
        cache = informers.of(PODS)
        await cache.wait_synced()
        began_at = time.process_time()
        await asyncio.sleep(IDLE_S)
        figures["idle CPU"] = ((time.process_time() - began_at) / IDLE_S * 100, "% of a core")
        began_at = time.perf_counter()
        await client.create(REPLICA_SETS, replica_set(replicas=pods))
        await until(lambda: len(cache.list()) == pods)
        figures["pods created"] = (pods / (time.perf_counter() - began_at), "1/s")
        began_at = time.perf_counter()
        await client.delete(REPLICA_SETS, "web", "default", propagation="Background")
        await until(lambda: not cache.list())
        figures["pods collected"] = (pods / (time.perf_counter() - began_at), "1/s")
        for task in running:
            task.cancel()
    return figures


async def until(true) -> None:  # noqa: ANN001
    async with asyncio.timeout(120):
        while not true():
            await asyncio.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=300)
    parser.add_argument("--record", action="store_true", help=f"append to {RESULTS.name}")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(options.pods))
    for what, (value, unit) in figures.items():
        line = json.dumps({
            "what": what, "value": round(value, 2), "unit": unit, "pods": options.pods, "commit": commit.strip(),
            "machine": f"{platform.machine()} {os.cpu_count()} cores", "load": round(os.getloadavg()[0], 2),
        })  # fmt: skip
        print(line)
        if options.record:
            with RESULTS.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()

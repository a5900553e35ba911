"""Pods scheduled a second on 5,000 nodes: the decision alone, and the whole way through API server, informers and bindings.

Usage: python bench/scheduler.py [--nodes 5000] [--pods 2000] [--small] [--record]
Nodes as in upstream's scheduler_perf: 4 cores, 32 GiB, 110 pods, three zones; pods ask for 100m and 500 Mi. A decision is
followed by counting the pod on its node. The whole way is in one process on one core with the memory store; all pods wait in
the queue at the start.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import figures

from wherry.kit.clock import SystemClock
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import NODES, PODS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.scheduler.decide import Rotation, schedule
from wherry.orchestration.scheduler.loop import NAME, Scheduler
from wherry.orchestration.scheduler.snapshot import Snapshot
from wherry.orchestration.scheduler.volumes import Claims
from wherry.testing.api import TestApi, api_server

AT_ONCE = 64
LIMIT_S = 300.0
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
LABELS = {"app": "web"}
OWNER = [{"kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": True, "apiVersion": "apps/v1"}]


def node(index: int) -> Object:
    room = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    labels = {HOST: f"node-{index}", ZONE: f"zone{index % 3}"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{index}", "labels": labels}, "spec": {},
        "status": {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def pod(index: int, owners: list[Object] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}
    metadata = {"name": f"p{index}", "namespace": "default", "labels": LABELS, "ownerReferences": owners or []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def near(kind: str, key: str) -> Callable[[int], Object]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": LABELS}}
    return lambda index: pod(index, affinity={kind: {REQUIRED: [term]}})


def spread(index: int) -> Object:
    constraint = {"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": LABELS}}
    return pod(index, topologySpreadConstraints=[constraint])


KINDS: dict[str, Callable[[int], Object]] = {
    "decide_basic": pod,
    "decide_owned": lambda index: pod(index, OWNER),  # spread over nodes and zones by default
    "decide_pod_affinity": near("podAffinity", ZONE),
    "decide_pod_anti_affinity": near("podAntiAffinity", HOST),
    "decide_hard_spread": spread,
}


def decisions(nodes: int, pods: int, make: Callable[[int], Object]) -> float:
    """Pods a second of `schedule` and the assumption that follows."""
    snapshot, rotation, claims = Snapshot(), Rotation(), Claims()
    for index in range(nodes):
        snapshot.set_node(node(index))
    waiting = [make(index) for index in range(pods)]
    began_at = time.perf_counter()
    for one in waiting:
        decision = schedule(one, snapshot, claims, rotation)
        assert decision.node, decision.message
        snapshot.set_pod({**one, "spec": {**one["spec"], "nodeName": decision.node}})
    return pods / (time.perf_counter() - began_at)


async def create_all(api: TestApi, nodes: int, pods: int) -> None:
    async def create(waiting: Iterator[Object]) -> None:
        for obj in waiting:
            await api.client.create(NODES if obj["kind"] == "Node" else PODS, obj)
            if obj["kind"] == "Node":  # admission taints new nodes, which the node controller takes back
                await api.client.patch(NODES, name_of(obj), "", {"spec": {"taints": None}})

    waiting = iter([*map(node, range(nodes)), *map(pod, range(pods))])
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(create(waiting))


async def whole_way(nodes: int, pods: int) -> float:
    """Pods a second from the start of the scheduler's work to the last pod with a node."""
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        await create_all(api, nodes, pods)
        informers, clock = Informers(api.client), SystemClock()
        recorder = Recorder(api.client, NAME, clock=clock)
        scheduler = Scheduler(Tools(api.client, informers, recorder, clock))
        cache = informers.of(PODS)
        bound: set[str] = set()
        done = asyncio.Event()

        def seen(old: object, new: Any) -> None:
            if new and (new.get("spec") or {}).get("nodeName"):
                bound.add(name_of(new))
                if len(bound) == pods:
                    done.set()

        running = [tasks.create_task(informers.run()), tasks.create_task(recorder.run())]
        await informers.wait_synced()
        cache.subscribe(seen)
        began_at = time.perf_counter()
        running.append(tasks.create_task(scheduler.run()))
        async with asyncio.timeout(LIMIT_S):
            await done.wait()
        took_s = time.perf_counter() - began_at
        for task in running:
            task.cancel()
    return pods / took_s


async def measure(options: figures.Options) -> figures.Figures:
    nodes, pods = (50, 20) if options.small else (options.nodes, options.pods)
    found = {name: (decisions(nodes, pods, make), "pods/s") for name, make in KINDS.items()}
    found["schedule_basic"] = (await whole_way(nodes, pods), "pods/s")
    return found


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--nodes", type=int, default=5000)
    flags.add_argument("--pods", type=int, default=2000)
    figures.run(flags, measure)

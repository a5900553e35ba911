"""Start every controller: one set of informers, one sink of events, each kept running on its own.

In:    a client with the rights of system:kube-controller-manager, settings, the clock, the machine's volumes.
Out:   runs until cancelled. `CONTROLLERS` has upstream's names (kube-controller-manager --controllers).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wherry.kit.clock import Clock
from wherry.kit.supervise import keep_running
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.cronjob.loop import Controller as CronJobs
from wherry.orchestration.controllers.daemonset.loop import Controller as DaemonSets
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.garbage_collector.loop import Controller as GarbageCollector
from wherry.orchestration.controllers.job.loop import Controller as Jobs
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.replicationcontroller.loop import Controller as ReplicationControllers
from wherry.orchestration.controllers.statefulset.loop import Controller as StatefulSets

COMPONENT = "controller-manager"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What the controllers of one cluster must know. `root_ca` is PEM; addresses are this machine's, for LoadBalancers."""

    root_ca: str
    cluster_cidr: str
    load_balancer_addresses: tuple[str, ...]


class Running(Protocol):
    """A controller: `run` until cancelled."""

    async def run(self) -> None: ...


Factory = Callable[[Client, Informers, Recorder, Clock], Running]
CONTROLLERS: dict[str, Factory] = {
    "replicaset": ReplicaSets,
    "replicationcontroller": ReplicationControllers,
    "deployment": Deployments,
    "statefulset": StatefulSets,
    "daemonset": DaemonSets,
    "job": Jobs,
    "cronjob": CronJobs,
    "garbagecollector": GarbageCollector,
}


async def run_all(client: Client, settings: ControllerSettings, clock: Clock, volumes: object) -> None:
    """Run every controller until cancelled."""
    informers = Informers(client)
    recorder = Recorder(client, COMPONENT, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run(), name="informers")
        tasks.create_task(recorder.run(), name="events")
        for name, make in CONTROLLERS.items():
            controller = make(client, informers, recorder, clock)
            tasks.create_task(keep_running(name, controller.run), name=name)

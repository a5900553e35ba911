"""The component `scheduler`: upstream's kube-scheduler, under its account.

In:    the node's settings, the cluster's authority. Out: pods bound to nodes, by one scheduler of the cluster.
"""

import asyncio
import contextlib

from wherry.assembly.authority import authority
from wherry.assembly.election import candidate
from wherry.assembly.shared import Process
from wherry.orchestration.apiserver.serving.components import SCHEDULER
from wherry.orchestration.apiserver.user import SCHEDULER as SCHEDULER_USER
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.scheduler.loop import NAME, Scheduler

LEASE = "kube-scheduler"


async def run(process: Process) -> None:
    """Run until cancelled."""
    client = await process.client_as(SCHEDULER_USER, authority(process.node), "scheduler")
    informers = Informers(client)
    recorder = Recorder(client, NAME, clock=process.clock)
    scheduler = Scheduler(Tools(client, informers, recorder, process.clock))
    election = candidate(process, client, LEASE, recorder)
    server = await process.server()
    with server.components.running(SCHEDULER) if server else contextlib.nullcontext():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informers.run(), name="informers")
            tasks.create_task(recorder.run(), name="recorder")
            tasks.create_task(election.lead(scheduler.run), name="scheduler")

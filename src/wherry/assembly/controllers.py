"""The component `controllers`: upstream's kube-controller-manager, under its account.

In:    the node's settings, the cluster's authority (its CA goes into every namespace).
Out:   controllers that run, on one node of the cluster.
"""

import asyncio
import contextlib
from functools import partial

from wherry.assembly.address import node_address
from wherry.assembly.authority import authority
from wherry.assembly.election import candidate
from wherry.assembly.node import REGISTRY_NAME, WORKER
from wherry.assembly.perimeter import reserved
from wherry.assembly.shared import Process
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.orchestration.apiserver.pki.certificates import sign_request
from wherry.orchestration.apiserver.serving.components import CONTROLLERS
from wherry.orchestration.apiserver.user import CONTROLLER_MANAGER
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.run import COMPONENT, ControllerSettings, run_all

LEASE = "kube-controller-manager"


async def run(process: Process) -> None:
    """Run until cancelled."""
    settings, keys = process.node, authority(process.node)
    client = await process.client_as(CONTROLLER_MANAGER, keys, "controller-manager")
    chosen = ControllerSettings(
        root_ca=keys.ca_pem.decode(),
        sign=partial(sign_request, keys.ca),
        cluster_cidr=settings.cluster.pod_cidr,
        node_cidr_mask_size=settings.cluster.node_cidr_mask_size,
        load_balancer_addresses=(node_address(settings),),
        reserved=reserved(settings),
        own_names=frozenset({"localhost", REGISTRY_NAME}),
        storage_node=settings.node_name if WORKER in settings.roles else "",
    )
    recorder = Recorder(client, COMPONENT, clock=process.clock)
    election, volumes = candidate(process, client, LEASE, recorder), LoopVolumes(settings.data_dir / "volumes")
    server = await process.server()
    with server.components.running(CONTROLLERS) if server else contextlib.nullcontext():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(recorder.run(), name="recorder")
            tasks.create_task(election.lead(lambda: run_all(client, chosen, process.clock, volumes)), name="controllers")

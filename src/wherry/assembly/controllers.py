"""The component `controllers`: upstream's kube-controller-manager, under its account.

In:    the node's settings, the cluster's authority (its CA goes into every namespace). Out: controllers that run.
"""

import contextlib
from functools import partial

from wherry.assembly.address import node_address
from wherry.assembly.authority import authority
from wherry.assembly.node import REGISTRY_NAME, WORKER
from wherry.assembly.perimeter import reserved
from wherry.assembly.shared import Process
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.orchestration.apiserver.auth.user import CONTROLLER_MANAGER
from wherry.orchestration.apiserver.components import CONTROLLERS
from wherry.orchestration.apiserver.pki.certificates import sign_request
from wherry.orchestration.controllers.run import ControllerSettings, run_all


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
    server = await process.server()
    with server.components.running(CONTROLLERS) if server else contextlib.nullcontext():
        await run_all(client, chosen, process.clock, LoopVolumes(settings.data_dir / "volumes"))

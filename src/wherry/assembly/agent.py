"""The component `agent`: upstream's kubelet with its container engine.

In:    the node's settings and identity. Out: pods as containers, the node's API.
"""

import asyncio
from pathlib import Path

from wherry.assembly.address import node_address
from wherry.assembly.images import Images
from wherry.assembly.networks import network_settings
from wherry.assembly.node import NodeSettings
from wherry.assembly.node_range import node_range
from wherry.assembly.perimeter import listen_hosts, reserved
from wherry.assembly.shared import Process
from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import processes
from wherry.infrastructure.network import foreign_filters
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.kit.supervise import keep_running
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent

PODS_CGROUP = "kubepods"  # below the engine's own; the name dashboards know


def default_pids_max() -> int:
    """For all pods together: the machine keeps a tenth of what its kernel allows."""
    return processes.pids_max() * 9 // 10


def runtime_settings(settings: NodeSettings) -> RuntimeSettings:
    """The engine's part of the settings."""
    return RuntimeSettings(
        run_dir=settings.run_dir / "e", data_dir=settings.data_dir / "runtime", cgroup_root=f"wherry-{settings.id}",
        limited_cgroup=PODS_CGROUP, pids_max=settings.node_pids_max or default_pids_max(),
    )  # fmt: skip


def agent_settings(settings: NodeSettings, node_cidr: str = "") -> AgentSettings:
    """The node agent's part of the settings."""
    return AgentSettings(
        node_name=settings.node_name,
        node_ip=node_address(settings),
        data_dir=settings.data_dir,
        log_dir=Path(settings.pod_log_dir),
        log_links_dir=Path(settings.container_log_dir),
        log_journal_dir=settings.log_dir / "pods",
        pod_cidr=node_cidr,
        cluster_dns=(settings.cluster.dns_address,),
        cluster_domain=settings.cluster.cluster_domain,
        port=settings.node_port,
        reserved=reserved(settings),
        listen_hosts=listen_hosts(settings),
        pod_pids_max=settings.pod_pids_max,
        cgroup_root=PODS_CGROUP,
    )


def engine_for(settings: NodeSettings, images: Images, node_cidr: str = "") -> CrunEngine:
    """The engine over this cluster's folders; sandboxes get addresses of `node_cidr`."""
    return CrunEngine(runtime_settings(settings), SandboxNetwork(network_settings(settings, node_cidr)), images.layers)


async def run(process: Process) -> None:
    """Run until cancelled; containers and mounts stay."""
    settings, images = process.node, process.images
    volumes = LoopVolumes(settings.data_dir / "volumes")
    async with asyncio.TaskGroup() as tasks:  # the range takes a registration and an answer of the controllers
        asked = tasks.create_task(node_range(settings, process.node_client, agent_settings(settings)), name="node range")
        await volumes.prepare()
        await process.linked()
    node_cidr = asked.result()
    engine = engine_for(settings, images, node_cidr)
    agent = Agent(
        agent_settings(settings, node_cidr), process.node_client, engine, images.service, volumes, process.clock,
        tls=process.node_tls, layers=images.layers,
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_running("agent", agent.run), name="agent")
        network = network_settings(settings)
        opening = keep_running("foreign firewalls", lambda: foreign_filters.keep_open_for(network))
        tasks.create_task(opening, name="foreign firewalls")
        tasks.create_task(keep_running("image collection", images.service.keep_collected), name="image collection")

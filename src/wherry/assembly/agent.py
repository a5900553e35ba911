"""The agent process: node agent, container engine, image registry, service proxy, cluster DNS.

In:    the cluster's settings.
Out:   pods as containers, Services as nftables rules, names as answers. `teardown` takes all of it away again.
"""

import asyncio
import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from wherry.assembly import start
from wherry.assembly.address import fallback, node_address
from wherry.assembly.images import Images, mounted_layers, open_images, serve_registry
from wherry.assembly.perimeter import listen_hosts, reserved
from wherry.assembly.settings import ClusterSettings
from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import processes
from wherry.infrastructure.network import foreign_filters, nft
from wherry.infrastructure.network.node_link import NodeLink
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.kit.clock import SystemClock
from wherry.kit.supervise import keep_running
from wherry.orchestration.agent.logs import places
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.agent.settings import AgentSettings
from wherry.orchestration.apiserver.pki import keep_renewed
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.dns.forward import Forwarder, machine_resolvers
from wherry.orchestration.dns.loop import ZoneKeeper
from wherry.orchestration.dns.server import DnsServer
from wherry.orchestration.dns.zone import Zone
from wherry.orchestration.proxy.loop import Proxy
from wherry.orchestration.proxy.settings import ProxySettings

PODS_CGROUP = "kubepods"  # below the engine's own; the name dashboards know
STOP_GRACE_S = 10.0  # for containers on `wherry down`; databases want to end in order
PURGE_GRACE_S = 1.0  # nothing they could still write is kept


def network_settings(settings: ClusterSettings) -> NetworkSettings:
    """The sandbox network's part of the cluster's settings."""
    address = node_address(settings)
    return NetworkSettings(
        cluster=settings.id,
        journal=settings.run_dir / "network.json",
        addresses=IPv4Network(settings.pod_cidr),
        not_masqueraded=(IPv4Network(settings.pod_cidr), IPv4Network(settings.service_cidr)),
        node_address=IPv4Address(address),
        reserved=reserved(settings),
    )


def default_pids_max() -> int:
    """For all pods together: the machine keeps a tenth of what its kernel allows."""
    return processes.pids_max() * 9 // 10


def runtime_settings(settings: ClusterSettings) -> RuntimeSettings:
    """The engine's part of the cluster's settings."""
    return RuntimeSettings(
        run_dir=settings.run_dir / "e", data_dir=settings.data_dir / "runtime", cgroup_root=f"wherry-{settings.id}",
        limited_cgroup=PODS_CGROUP, pids_max=settings.node_pids_max or default_pids_max(),
    )  # fmt: skip


def proxy_settings(settings: ClusterSettings) -> ProxySettings:
    """The service proxy's part of the cluster's settings."""
    return ProxySettings(
        table=f"wherry-{settings.id}-svc",
        node_name=settings.node_name,
        node_addresses=(node_address(settings),),
        service_cidr=settings.service_cidr,
        pod_cidrs=(settings.pod_cidr,),
        link_prefix=network_settings(settings).link_prefix,
        reserved=reserved(settings),
    )


def agent_settings(settings: ClusterSettings) -> AgentSettings:
    """The node agent's part of the cluster's settings."""
    return AgentSettings(
        node_name=settings.node_name,
        node_ip=node_address(settings),
        data_dir=settings.data_dir,
        log_dir=Path(settings.pod_log_dir),
        log_links_dir=Path(settings.container_log_dir),
        log_journal_dir=settings.log_dir / "pods",
        pod_cidr=settings.pod_cidr,
        cluster_dns=(settings.dns_address,),
        cluster_domain=settings.cluster_domain,
        port=settings.node_port,
        reserved=reserved(settings),
        listen_hosts=listen_hosts(settings),
        pod_pids_max=settings.pod_pids_max,
        cgroup_root=PODS_CGROUP,
    )


def engine_for(settings: ClusterSettings, images: Images) -> CrunEngine:
    """The engine over this cluster's folders."""
    return CrunEngine(runtime_settings(settings), SandboxNetwork(network_settings(settings)), images.layers)


async def run(settings: ClusterSettings) -> None:
    """Run until cancelled; containers, rules and mounts stay."""
    clock = SystemClock()
    keys = start.pki(settings)
    images = open_images(settings, pulls=True, in_use=lambda: mounted_layers(settings))
    engine = engine_for(settings, images)
    volumes = LoopVolumes(settings.data_dir / "volumes")
    await volumes.prepare()
    await _ensure_link(settings)
    transport = HttpTransport(
        f"https://127.0.0.1:{settings.api_port}", ca=str(keys.ca_file),
        cert=str(keys.leaf_file("node")), key=str(keys.leaf_file("node")),
    )  # fmt: skip
    client = Client(transport, user_agent="wherry/agent")
    tls = keys.server_tls("node-serving")
    agent = Agent(agent_settings(settings), client, engine, images.service, volumes, clock, tls=tls, layers=images.layers)
    informers = Informers(client)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("agent", agent.run))
            tasks.create_task(informers.run())
            tasks.create_task(keep_running("service proxy", Proxy(proxy_settings(settings), informers, nft).run))
            tasks.create_task(keep_running("foreign firewalls", lambda: foreign_filters.keep_open_for(network_settings(settings))))
            tasks.create_task(keep_running("dns", lambda: _dns(settings, informers, clock)))
            tasks.create_task(keep_running("image collection", images.service.keep_collected))
            tasks.create_task(keep_running("registry", lambda: serve_registry(settings, tls, images)))
            tasks.create_task(keep_running("certificate renewal", lambda: keep_renewed(
                lambda: start.pki(settings), [("node-serving", tls.load_cert_chain), ("node", transport.use_pair)], clock)))
    finally:
        await client.close()


async def _ensure_link(settings: ClusterSettings) -> None:
    own = {IPv4Address(settings.dns_address)}
    if node_address(settings) == fallback(settings):
        own.add(IPv4Address(fallback(settings)))
    await NodeLink(network_settings(settings)).ensure(sorted(own))


async def _dns(settings: ClusterSettings, informers: Informers, clock: SystemClock) -> None:
    zone = Zone(settings.cluster_domain, settings.dns_address, (settings.service_cidr, settings.pod_cidr))
    forwarder = Forwarder(machine_resolvers(frozenset({settings.dns_address})), clock)
    server = DnsServer((settings.dns_address,), zone, forwarder)
    await ZoneKeeper(zone, informers, server.zone_changed).start()
    await server.run()


async def teardown(settings: ClusterSettings, *, grace_s: float = STOP_GRACE_S) -> None:
    """Take everything of the cluster off this machine but its data: containers first, asked to end in order."""
    engine = engine_for(settings, open_images(settings))
    await engine.restore()
    async with asyncio.TaskGroup() as tasks:
        for status in await engine.containers():
            tasks.create_task(engine.stop_container(status.id, grace_s=grace_s))
    await engine.destroy_all()
    await LoopVolumes(settings.data_dir / "volumes").unmount_all()
    await asyncio.to_thread(_unmount_pods, settings)
    await NodeLink(network_settings(settings)).remove()
    await nft.delete_table(proxy_settings(settings).table)


def remove_logs(settings: ClusterSettings) -> None:
    """Take the pods' logs of this cluster away from where collectors look. Only for `wherry down --purge`."""
    places.remove_all(agent_settings(settings))


def _unmount_pods(settings: ClusterSettings) -> None:
    from wherry.infrastructure.linux import mounts

    mounts.unmount_below(str(settings.data_dir))
    # What pods had of their own is made again when they start again.
    shutil.rmtree(settings.data_dir / "pods", ignore_errors=True)

"""The component `apiserver`: the API over HTTPS, its store, the copies of it, the objects every cluster begins with.

In:    the node's settings, the cluster's authority.
Out:   HTTPS on the API port; the server itself for the components of the same process.
"""

import asyncio
import contextlib
import json
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network

from wherry.assembly import addons
from wherry.assembly.address import node_address
from wherry.assembly.authority import authority
from wherry.assembly.cluster import CONFIG_KEY, CONFIG_NAME, CONFIG_NAMESPACE, ClusterSettings
from wherry.assembly.node import NodeSettings
from wherry.assembly.perimeter import listen_hosts, reserved
from wherry.assembly.shared import Process
from wherry.kit.http.server import serve
from wherry.kit.supervise import keep_running
from wherry.orchestration.apiserver.aggregation.backends import FrontProxy
from wherry.orchestration.apiserver.pki import FRONT_PROXY_CLIENT, Authority, keep_renewed
from wherry.orchestration.apiserver.serving.server import ApiServer
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.user import AUTHENTICATED, MASTERS, User
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, STORAGE_CLASSES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.backups import keep_backed_up
from wherry.orchestration.store.sqlite import SqliteStore

ADDONS = User("system:wherry-addons", groups=(MASTERS, AUTHENTICATED))


def api_settings(settings: NodeSettings, keys: Authority) -> ApiServerSettings:
    """The API server's part of the settings."""
    cluster = settings.cluster
    return ApiServerSettings(
        service_cidr=IPv4Network(cluster.service_cidr),
        advertise_address=IPv4Address(node_address(settings)),
        advertise_port=settings.api_port,
        cluster_domain=cluster.cluster_domain,
        encryption_key=keys.encryption_key,
        reserved=reserved(settings),
        allows_external_ips=cluster.external_ips,
        unenforced_policies=cluster.unenforced_policies,
    )


def shared_settings(cluster: ClusterSettings) -> Object:
    """What a machine that joins must know of the cluster, and may read with its token."""
    metadata = {"name": CONFIG_NAME, "namespace": CONFIG_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {CONFIG_KEY: json.dumps(asdict(cluster))}}


async def run(process: Process) -> None:
    """Run until cancelled."""
    settings, clock = process.node, process.clock
    keys = authority(settings)
    store = await SqliteStore.open(settings.database)
    tls = keys.server_tls("apiserver")
    agent_tls = keys.client_tls("kubelet-client")
    server = ApiServer(
        api_settings(settings, keys), store, clock, service_account_key=keys.account_key, agent_tls=agent_tls,
        front_proxy=FrontProxy(keys.leaf_file(FRONT_PROXY_CLIENT), keys.authentication_config_map()))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.run(), name="api server")
            await server.ready.wait()
            async with serve(server.handle, host=listen_hosts(settings), port=settings.api_port, tls=tls):
                process.serves(server)
                tasks.create_task(keep_running("certificate renewal", lambda: keep_renewed(
                    lambda: authority(settings),
                    [("apiserver", tls.load_cert_chain), ("kubelet-client", agent_tls.load_cert_chain),
                     (FRONT_PROXY_CLIENT, server.backends.renew)])),
                    name="certificate renewal")
                tasks.create_task(keep_running("backups", lambda: keep_backed_up(
                    store, settings.backup_dir, clock, period_s=settings.backup_hours * 3600, kept=settings.backups_kept)),
                    name="backups")
                client = Client(LocalTransport(server.handle, ADDONS), user_agent=f"wherry/{ADDONS.name}")
                tasks.create_task(addons.keep_applied(
                    client, (STORAGE_CLASSES, addons.local_class(settings.node_name)),
                    (CONFIG_MAPS, shared_settings(settings.cluster))), name="addons")
                await asyncio.Event().wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await store.close()

"""The server process: API server, controllers, scheduler.

In:    the cluster's settings.
Out:   HTTPS on the API port; controllers and scheduler as in-process clients with identities of their own.
"""

import asyncio
import contextlib
from ipaddress import IPv4Address, IPv4Network

from wherry.assembly import addons, start
from wherry.assembly.address import node_address
from wherry.assembly.perimeter import listen_hosts, reserved
from wherry.assembly.settings import ClusterSettings
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.kit.clock import SystemClock
from wherry.kit.http.message import Handler
from wherry.kit.http.server import serve
from wherry.kit.supervise import keep_running
from wherry.orchestration.apiserver.auth.user import User
from wherry.orchestration.apiserver.components import CONTROLLERS, SCHEDULER
from wherry.orchestration.apiserver.pki import Pki, keep_renewed
from wherry.orchestration.apiserver.server import ApiServer
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.run import ControllerSettings, run_all
from wherry.orchestration.scheduler.loop import NAME as SCHEDULER_NAME
from wherry.orchestration.scheduler.loop import Scheduler
from wherry.orchestration.store.backups import keep_backed_up
from wherry.orchestration.store.sqlite import SqliteStore

AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"


def local_client(handler: Handler, name: str, *groups: str) -> Client:
    """A client in this process with an identity of its own."""
    return Client(LocalTransport(handler, User(name, "", (*groups, AUTHENTICATED), {})), user_agent=f"wherry/{name}")


def api_settings(settings: ClusterSettings, keys: Pki) -> ApiServerSettings:
    """The API server's part of the cluster's settings."""
    return ApiServerSettings(
        service_cidr=IPv4Network(settings.service_cidr),
        advertise_address=IPv4Address(node_address(settings)),
        advertise_port=settings.api_port,
        cluster_domain=settings.cluster_domain,
        encryption_key=keys.encryption_key,
        reserved=reserved(settings),
        allows_external_ips=settings.external_ips,
        unenforced_policies=settings.unenforced_policies,
    )


async def run(settings: ClusterSettings) -> None:
    """Run until cancelled."""
    clock = SystemClock()
    keys = start.pki(settings)
    store = await SqliteStore.open(settings.database)
    tls = keys.server_tls("apiserver")
    agent_tls = keys.client_tls("kubelet-client")
    server = ApiServer(api_settings(settings, keys), store, clock, service_account_key=keys.account_key, agent_tls=agent_tls)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.run(), name="api server")
            await server.ready.wait()
            async with serve(server.handle, host=listen_hosts(settings), port=settings.api_port, tls=tls):
                tasks.create_task(keep_running("certificate renewal", lambda: keep_renewed(
                    lambda: start.pki(settings),
                    [("apiserver", tls.load_cert_chain), ("kubelet-client", agent_tls.load_cert_chain)], clock)))
                tasks.create_task(keep_running("controllers", lambda: _controllers(settings, keys, server, clock)))
                tasks.create_task(keep_running("backups", lambda: _backups(settings, store, clock)), name="backups")
                tasks.create_task(keep_running("scheduler", lambda: _scheduler(server, clock)))
                client = local_client(server.handle, "system:wherry-addons", MASTERS)
                tasks.create_task(addons.keep_applied(client, clock), name="addons")
                await asyncio.Event().wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await store.close()


async def _controllers(settings: ClusterSettings, keys: Pki, server: ApiServer, clock: SystemClock) -> None:
    client = local_client(server.handle, "system:kube-controller-manager", MASTERS)
    controllers = ControllerSettings(
        root_ca=keys.ca_pem.decode(),
        cluster_cidr=settings.pod_cidr,
        load_balancer_addresses=(node_address(settings),),
        reserved=reserved(settings),
    )
    with server.components.running(CONTROLLERS):
        await run_all(client, controllers, clock, LoopVolumes(settings.data_dir / "volumes"))


async def _backups(settings: ClusterSettings, store: SqliteStore, clock: SystemClock) -> None:
    period_s = settings.backup_hours * 3600
    await keep_backed_up(store, settings.backup_dir, clock, period_s=period_s, kept=settings.backups_kept)


async def _scheduler(server: ApiServer, clock: SystemClock) -> None:
    client = local_client(server.handle, "system:kube-scheduler")
    informers = Informers(client)
    recorder = Recorder(client, SCHEDULER_NAME, clock=clock)
    scheduler = Scheduler(client, informers, recorder, clock)
    with server.components.running(SCHEDULER):
        await _scheduling(informers, recorder, scheduler)


async def _scheduling(informers: Informers, recorder: Recorder, scheduler: Scheduler) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run())
        tasks.create_task(recorder.run())
        tasks.create_task(scheduler.run())

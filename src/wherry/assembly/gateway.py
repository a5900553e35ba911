"""The gateway process: the control plane that turns routes into Envoy's configuration.

In:    the cluster's settings.
Out:   delta ADS on a unix socket; the Envoy workload, which the agent runs and which serves on when this process dies.
"""

import asyncio
import logging

from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.settings import GatewaySettings
from wherry.assembly import start
from wherry.assembly.address import node_address
from wherry.assembly.images import cache_dir, open_images
from wherry.assembly.perimeter import gateway_ready_port, reserved
from wherry.assembly.settings import ClusterSettings
from wherry.container.assemble.assemble import assemble_recipe, find_recipe
from wherry.kit.clock import SystemClock
from wherry.kit.supervise import keep_running
from wherry.orchestration.apiserver.pki import keep_renewed
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport

log = logging.getLogger(__name__)


def gateway_settings(settings: ClusterSettings) -> GatewaySettings:
    """The gateway's part of the cluster's settings."""
    return GatewaySettings(
        run_dir=settings.run_dir / "gateway",
        taken_file=settings.data_dir / "gateway-routes.json",
        addresses=(node_address(settings),),
        http_port=settings.gateway_http_port,
        https_port=settings.gateway_https_port,
        ready_port=gateway_ready_port(settings),
        reserved_ports=frozenset(port for protocol, port in reserved(settings).plain_ports() if protocol == "tcp"),
    )


async def run(settings: ClusterSettings) -> None:
    """Run until cancelled."""
    keys = start.pki(settings)
    leaf = str(keys.leaf_file("gateway"))
    transport = HttpTransport(f"https://127.0.0.1:{settings.api_port}", ca=str(keys.ca_file), cert=leaf, key=leaf)
    client = Client(transport, user_agent="wherry/gateway")
    try:
        async with asyncio.TaskGroup() as tasks:
            has_image = asyncio.Event()
            tasks.create_task(keep_running("envoy image", lambda: _have_image(settings, has_image)), name="envoy image")
            tasks.create_task(keep_running("certificate renewal", lambda: keep_renewed(
                lambda: start.pki(settings), [("gateway", transport.use_pair)], SystemClock())))
            tasks.create_task(keep_running("gateway", lambda: GatewayController(
                client, gateway_settings(settings), SystemClock(), has_image=has_image).run()), name="gateway")
    finally:
        await client.close()


async def _have_image(settings: ClusterSettings, has_image: asyncio.Event) -> None:
    """Envoy's image is made here at the first start, from the wheel and a few packages; nothing can be pulled."""
    opened = open_images(settings)
    if await opened.service.present(gateway_settings(settings).image) is None:
        log.info("image %s is being made; the gateway's pod waits for it", gateway_settings(settings).image)
        await assemble_recipe(find_recipe("envoy"), content=opened.content, cache_dir=cache_dir(settings))
        log.info("image %s assembled", gateway_settings(settings).image)
    has_image.set()
    await asyncio.Event().wait()

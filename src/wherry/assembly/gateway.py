"""The component `gateway`: the control plane that turns routes into Envoy's configuration.

In:    the node's settings and the gateway's identity.
Out:   delta ADS on a unix socket; the Envoy workload, which the agent runs and which serves on when this process dies.
"""

import asyncio
import logging

from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.assembly.address import node_address
from wherry.assembly.identity import client, identity
from wherry.assembly.images import cache_dir, open_images
from wherry.assembly.node import NodeSettings
from wherry.assembly.perimeter import gateway_ready_port, reserved
from wherry.assembly.shared import Process
from wherry.container.assemble.assemble import assemble_recipe, find_recipe
from wherry.kit.supervise import keep_running

log = logging.getLogger(__name__)


def gateway_settings(settings: NodeSettings) -> GatewaySettings:
    """The gateway's part of the settings."""
    return GatewaySettings(
        run_dir=settings.run_dir / "gateway",
        taken_file=settings.data_dir / "gateway-routes.json",
        addresses=(node_address(settings),),
        http_port=settings.gateway_http_port,
        https_port=settings.gateway_https_port,
        ready_port=gateway_ready_port(settings),
        reserved_ports=frozenset(port for protocol, port in reserved(settings).plain_ports() if protocol == "tcp"),
    )


async def run(process: Process) -> None:
    """Run until cancelled."""
    settings, own = process.node, identity(process.node, "gateway")
    transport = own.transport()
    process.keep_fresh(own, transport.use_pair)
    gateway = client(transport, "gateway")
    try:
        async with asyncio.TaskGroup() as tasks:
            has_image = asyncio.Event()
            tasks.create_task(keep_running("envoy image", lambda: _have_image(settings, has_image)), name="envoy image")
            tasks.create_task(keep_running("gateway", lambda: GatewayController(
                gateway, gateway_settings(settings), process.clock, has_image=has_image).run()), name="gateway")
    finally:
        await gateway.close()


async def _have_image(settings: NodeSettings, has_image: asyncio.Event) -> None:
    """Envoy's image is made here at the first start, from the wheel and a few packages; nothing can be pulled."""
    opened = open_images(settings)
    if await opened.service.present(gateway_settings(settings).image) is None:
        log.info("image %s is being made; the gateway's pod waits for it", gateway_settings(settings).image)
        await assemble_recipe(find_recipe("envoy"), content=opened.content, cache_dir=cache_dir(settings))
        log.info("image %s assembled", gateway_settings(settings).image)
    has_image.set()
    await asyncio.Event().wait()

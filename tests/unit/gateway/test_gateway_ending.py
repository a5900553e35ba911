"""A certificate that ends is told when it ends, and not with the next change: no object changes here but by the gateway."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_objects import gateway, ingress, listener, rule
from test_gateway_told import ENDS, secret

from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.model.kinds import GATEWAYS
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import EVENTS, INGRESSES, SECRETS
from wherry.testing.api import api_server
from wherry.testing.envoy import envoy_settings
from wherry.testing.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time

PATIENCE_S = 20.0
HOUR_S = 3600.0


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Once it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.1)


async def resolved(client: Client) -> str:
    """What the Gateway's listener says of its references."""
    held = await client.get(GATEWAYS, "gw", "default")
    return " ".join(c.get("message", "") for entry in (held.get("status") or {}).get("listeners") or ()
                    for c in entry["conditions"] if c["type"] == "ResolvedRefs")


async def told(client: Client) -> set[str]:
    """Who has an Event of a certificate that ended."""
    events = (await client.list(EVENTS, "default")).items
    return {event["involvedObject"]["kind"] for event in events if event.get("reason") == "CertificateExpired"}


async def test_the_end_of_a_certificate_is_told_when_it_comes(tmp_path: Path) -> None:
    clock = VirtualClock(ENDS - datetime.timedelta(hours=2))
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(GatewayController(api.client, envoy_settings(tmp_path), clock).run())

        async def is_installed() -> bool:
            try:
                await api.client.list(GATEWAYS, "default")
            except NotFound:
                return False
            return True

        async def says(text: str) -> bool:
            return text in await resolved(api.client)

        async def has_events() -> bool:
            return await told(api.client) == {"Gateway", "Ingress"}

        await until(is_installed)
        await api.client.create(SECRETS, secret(ec.generate_private_key(ec.SECP256R1())))
        secure = listener("s", 443, "HTTPS", tls={"certificateRefs": [{"name": "s"}]})
        await api.client.create(GATEWAYS, gateway("gw", secure))
        await api.client.create(INGRESSES, ingress(
            "web", rule("b.test", ("Prefix", "/", "web")), tls=[{"hosts": ["b.test"], "secretName": "s"}]))
        await until(lambda: says("default/s is valid until"))
        await asyncio.sleep(HOUR_S)
        assert await told(api.client) == set() and await says("default/s is valid until")
        await asyncio.sleep(HOUR_S)
        await until(lambda: says("default/s was valid until"))
        await until(has_events)
        running.cancel()

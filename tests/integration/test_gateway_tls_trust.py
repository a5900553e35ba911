"""Who must show a certificate to whom: clients to the gateway, backends to the gateway. Asked of a real Envoy."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gateway_rig import RESOURCES, Rig, gateway, gateway_rig, http_route, tls_request, tls_secret, to

from wherry.application.gateway.model.kinds import BACKEND_TLS_POLICIES
from wherry.orchestration.objects.kinds import CONFIG_MAPS
from wherry.testing.ports import free_port

pytestmark = pytest.mark.cluster


def secure(ca: str) -> dict[str, Any]:
    found = gateway({"name": "s", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "server"}]}})
    found["spec"]["tls"] = {"frontend": {"default": {"validation": {
        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": ca}]}}}}
    return found


def authority(name: str, secret: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
            "data": {"ca.crt": secret["stringData"]["tls.crt"]}}


def write_pair(folder: Path, secret: dict[str, Any]) -> tuple[str, str]:
    pair = (folder / "pair.crt", folder / "pair.key")
    for path, entry in zip(pair, ("tls.crt", "tls.key"), strict=True):
        path.write_text(secret["stringData"][entry])
    return str(pair[0]), str(pair[1])


async def asked_with(rig: Rig, context: ssl.SSLContext) -> int:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", rig.settings.https_port, ssl=context, server_hostname="a.test")
    writer.write(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
    await writer.drain()
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


def trusting_nobody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_a_client_without_the_certificate_a_gateway_asks_for_gets_no_answer() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        client = tls_secret("client", "client.test")
        await rig.create(tls_secret("server", "a.test"))
        await rig.client.create(CONFIG_MAPS, authority("clients", client))
        await rig.create(secure("clients"), http_route("r", to("one")))
        await rig.status("Gateway", "gw", lambda s: any(
            c["type"] == "Programmed" and c["status"] == "True" for c in s.get("conditions", ())))
        known = trusting_nobody()
        known.load_cert_chain(*write_pair(rig.folder, client))
        async with asyncio.timeout(10):
            while True:
                try:
                    if await asked_with(rig, known) == 200:
                        break
                except (OSError, IndexError):
                    await asyncio.sleep(0.01)
        with pytest.raises((OSError, IndexError)):
            await tls_request(rig.settings.https_port, "a.test", "a.test")


async def test_a_gateway_whose_authorities_are_not_there_opens_no_listener_and_says_so() -> None:
    async with gateway_rig() as rig:
        await rig.create(tls_secret("server", "a.test"), secure("absent"))
        status = await rig.status("Gateway", "gw", lambda s: s.get("listeners"))
        found = {c["type"]: (c["status"], c["reason"]) for c in status["listeners"][0]["conditions"]}
        assert found["Accepted"] == ("False", "NoValidCACertificate")
        assert found["ResolvedRefs"] == ("False", "InvalidCACertificateRef")
        assert found["Programmed"][0] == "False"


def policy(ca: str, hostname: str = "backend.test") -> dict[str, Any]:
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "one"}], "validation": {
                "hostname": hostname, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": ca}]}}}


async def _answer(_: web.Request) -> web.Response:
    return web.Response(text="secure")


async def secure_backend(rig: Rig, secret: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(rig.folder, secret))
    app = web.Application()
    app.router.add_get("/", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    rig.stack.push_async_callback(runner.cleanup)
    port = free_port()
    await web.TCPSite(runner, "0.0.0.0", port, ssl_context=context).start()
    await rig.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "namespace": "default"},
                      "spec": {"ports": [{"name": "http", "port": 80}]}}, rig.slice_of("one", "one-0", port))


async def test_a_backend_tls_policy_is_followed_and_another_authority_or_name_reaches_nobody() -> None:
    async with gateway_rig() as rig:
        server = tls_secret("server", "backend.test")
        await secure_backend(rig, server)
        await rig.client.create(CONFIG_MAPS, authority("right", server))
        await rig.client.create(CONFIG_MAPS, authority("wrong", tls_secret("x", "backend.test")))
        await rig.client.create(BACKEND_TLS_POLICIES, policy("right"))
        await rig.create(gateway(), http_route("r", to("one")))
        assert (await rig.eventually("/", 200)).text == "secure"
        RESOURCES["BackendTLSPolicy"] = BACKEND_TLS_POLICIES
        status = await rig.status("BackendTLSPolicy", "p", lambda s: s.get("ancestors"))
        assert {(c["type"], c["status"]) for c in status["ancestors"][0]["conditions"]} == {
            ("Accepted", "True"), ("ResolvedRefs", "True")}
        for wrong in (policy("wrong"), policy("right", "other.test")):
            await rig.replace(wrong)
            await rig.eventually("/", 503)
        await rig.replace(policy("absent"))
        await rig.eventually("/", 500)
        await rig.status("BackendTLSPolicy", "p", lambda s: s["ancestors"][0]["conditions"][0]["reason"] == "NoValidCACertificate")

"""What Envoy refuses costs the object it comes from, which is told, and nobody else. A real Envoy, a real API server."""

import asyncio
import datetime
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway_rig import Rig, gateway, gateway_rig, http_route, ingress, rule, tls_secret, to

from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.model.contract import Part
from wherry.application.gateway.model.values import Backend, BackendTls, Forward, Listener, PathKind, PathMatch, Route, Target
from wherry.kit.clock import SystemClock
from wherry.orchestration.objects.kinds import EVENTS

pytestmark = pytest.mark.cluster
TLS = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}}


class Spoilt:
    """A dialect whose routes with `spoilt` in their path are spoilt after every check of ours."""

    def __init__(self, dialect: Any, spoil: Any) -> None:
        self.name, self.watched, self._dialect, self._spoil = dialect.name, dialect.watched, dialect, spoil

    def compile(self, snapshot: Any, rejected: dict[str, str]) -> Part:
        part: Part = self._dialect.compile(snapshot, rejected)
        return replace(part, listeners=tuple(map(self._listener, part.listeners)))

    def _listener(self, listener: Listener) -> Listener:
        hosts = (replace(host, routes=tuple(map(self._route, host.routes))) for host in listener.hosts)
        return replace(listener, hosts=tuple(hosts))

    def _route(self, route: Route) -> Route:
        return self._spoil(route) if "spoilt" in route.match.path.value else route  # type: ignore[no-any-return]


def bad_expression(route: Route) -> Route:
    return replace(route, match=replace(route.match, path=PathMatch(PathKind.REGEX, "/spoilt(")))


def bad_authorities(route: Route) -> Route:
    assert isinstance(route.action, Forward)
    tls = BackendTls("a.test", authorities=b"no certificate")
    return replace(route, action=replace(route.action, targets=(Target(Backend("default", "web", 80, tls=tls)),)))


async def begin_spoilt(rig: Rig, spoil: Any) -> None:
    """The control plane with spoiling dialects, in place of the rig's own."""
    await rig.stop_controller()
    dialects = [Spoilt(dialect, spoil) for dialect in dialects_for(rig.settings)]
    rig.controller = GatewayController(rig.client, rig.settings, SystemClock(), dialects=dialects)
    rig.running = rig.tasks.create_task(rig.controller.run())


async def begin_with_a_refused_change(rig: Rig) -> None:
    """Routes `other` and `r` are served; then `r` is changed to what Envoy refuses."""
    await begin_spoilt(rig, bad_expression)
    await rig.backend("web")
    await rig.create(gateway(), http_route("other", to("web", path="/other")), http_route("r", to("web", path="/first")))
    await rig.eventually("/first", 200)
    await rig.eventually("/other", 200)
    await rig.replace(http_route("r", to("web", path="/spoilt")))
    await rig.status("HTTPRoute", "r", lambda s: accepted(s)[0] == "False")


def accepted(status: dict[str, Any]) -> tuple[str, str, str]:
    found = [c for parent in status.get("parents", ()) for c in parent["conditions"] if c["type"] == "Accepted"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")


def programmed(status: dict[str, Any]) -> tuple[str, str]:
    found = [c for entry in status.get("listeners", ()) for c in entry["conditions"] if c["type"] == "Programmed"]
    return (found[0]["status"], found[0]["message"]) if found else ("", "")


async def test_a_route_envoy_refuses_costs_itself_and_is_told_in_its_status() -> None:
    async with gateway_rig() as rig:
        await begin_spoilt(rig, bad_expression)
        await rig.backend("web")
        await rig.create(gateway(), *(http_route(f"r{n}", to("web", path=f"/r{n}")) for n in range(7)))
        await rig.eventually("/r0", 200)
        await rig.create(http_route("bad", to("web", path="/spoilt")), http_route("later", to("web", path="/later")))
        told = accepted(await rig.status("HTTPRoute", "bad", lambda s: accepted(s)[0] == "False"))
        assert told[1] == "Invalid" and "Envoy refused it" in told[2] and "spoilt(" in told[2]
        await rig.eventually("/later", 200)
        for number in range(7):
            assert (await rig.get(f"/r{number}")).status == 200
        assert programmed(await rig.status("Gateway", "gw", lambda s: programmed(s)[0] == "True"))[0] == "True"
        assert accepted(await rig.status("HTTPRoute", "later", lambda s: accepted(s)[0] == "True"))[1] == "Accepted"


async def test_a_refused_change_leaves_the_route_as_it_was_and_a_good_one_ends_the_refusal() -> None:
    async with gateway_rig() as rig:
        await begin_with_a_refused_change(rig)
        await rig.replace(http_route("other", to("web", path="/changed")))
        await rig.eventually("/changed", 200)
        assert (await rig.get("/first")).status == 200, "the last good version stays"
        await rig.replace(http_route("r", to("web", path="/second")))
        await rig.status("HTTPRoute", "r", lambda s: accepted(s)[0] == "True")
        await rig.eventually("/second", 200)


async def test_a_refused_route_after_a_restart_is_found_and_nothing_that_is_served_stops() -> None:
    async with gateway_rig() as rig:
        await begin_spoilt(rig, bad_expression)
        await rig.backend("web")
        await rig.create(gateway(), *(http_route(f"r{n}", to("web", path=f"/r{n}")) for n in range(5)))
        await rig.create(http_route("bad", to("web", path="/spoilt")))
        await rig.status("HTTPRoute", "bad", lambda s: accepted(s)[0] == "False")
        await rig.eventually("/r4", 200)
        await begin_spoilt(rig, bad_expression)
        await rig.create(http_route("new", to("web", path="/new")))
        answers = set()
        while (await rig.get("/new")).status != 200:
            answers.update([(await rig.get(f"/r{number}")).status for number in range(5)])
        assert answers <= {200}


async def test_the_last_good_version_of_a_refused_route_outlives_the_control_plane() -> None:
    async with gateway_rig() as rig:
        await begin_with_a_refused_change(rig)
        for number in range(2):  # the second start knows of it from the first one's file only
            await begin_spoilt(rig, bad_expression)
            await rig.create(http_route(f"new{number}", to("web", path=f"/new{number}")))
            await rig.eventually(f"/new{number}", 200)
            assert [(await rig.get(path)).status for path in ("/first", "/other")] == [200, 200]
            told = accepted(await rig.status("HTTPRoute", "r", lambda s: accepted(s)[0] == "False"))
            assert "Envoy refused it" in told[2]
        await rig.replace(http_route("r", to("web", path="/second")))
        await rig.eventually("/second", 200)


@pytest.mark.parametrize("is_away", [
    pytest.param(True, id="while nobody was there to see it"),
    pytest.param(False, id="after a start at which nothing had to be sent"),
])
async def test_a_change_that_is_refused_after_a_restart_costs_no_version_that_worked(is_away: bool) -> None:
    async with gateway_rig() as rig:
        await begin_spoilt(rig, bad_expression)
        await rig.backend("web")
        await rig.create(gateway(), http_route("other", to("web", path="/other")), http_route("r", to("web", path="/first")))
        await rig.eventually("/first", 200)
        await rig.eventually("/other", 200)
        await rig.controller.feed.wait_applied()
        await rig.stop_controller()
        if not is_away:
            await begin_spoilt(rig, bad_expression)
            async with asyncio.timeout(10):
                await rig.controller.feed.wait_applied()
        await rig.replace(http_route("r", to("web", path="/spoilt")))
        if is_away:
            await begin_spoilt(rig, bad_expression)
        await rig.status("HTTPRoute", "r", lambda s: accepted(s)[0] == "False")
        await rig.create(http_route("new", to("web", path="/new")))
        await rig.eventually("/new", 200)
        assert [(await rig.get(path)).status for path in ("/first", "/other")] == [200, 200]


async def test_a_cluster_envoy_refuses_is_told_to_the_routes_that_need_it_and_the_others_go_on() -> None:
    async with gateway_rig() as rig:
        await begin_spoilt(rig, bad_authorities)
        await rig.backend("web")
        await rig.create(gateway(), http_route("bad", to("web", path="/spoilt")), http_route("good", to("web", path="/good")))
        await rig.eventually("/good", 200)
        told = accepted(await rig.status("HTTPRoute", "bad", lambda s: accepted(s)[0] == "False"))
        assert told[1] == "Invalid" and "Envoy refused it" in told[2]
        assert accepted(await rig.status("HTTPRoute", "good", lambda s: accepted(s)[0] == "True"))[0] == "True"
        await rig.replace(http_route("bad", to("web", path="/mended")))
        await rig.status("HTTPRoute", "bad", lambda s: accepted(s)[0] == "True")


async def test_an_ingress_whose_route_envoy_refuses_gets_an_event() -> None:
    async with gateway_rig() as rig:
        await begin_spoilt(rig, bad_expression)
        await rig.backend("web")
        await rig.create(ingress("bad", rules=[rule("b.test", ("Prefix", "/spoilt", "web"))]))
        await rig.create(ingress("good", rules=[rule("a.test", ("Prefix", "/", "web"))]))
        await rig.eventually("/", 200)
        assert "Envoy refused it" in await event(rig, "bad", "Invalid")


async def test_a_certificate_envoy_refuses_is_told_to_its_listener_and_another_on_the_port_serves() -> None:
    async with gateway_rig() as rig:
        await rig.backend("web")
        await rig.create(stapled("staple", "s.test"), tls_secret("cert", "a.test"))
        spoilt = {**TLS, "hostname": "s.test", "tls": {"certificateRefs": [{"name": "staple"}]}}
        await rig.create(gateway(spoilt, name="bad"), gateway({**TLS, "hostname": "a.test"}))
        await rig.create(http_route("r", to("web")))
        status, message = programmed(await rig.status("Gateway", "bad", lambda s: "Envoy refused it" in programmed(s)[1]))
        assert status == "False" and message.startswith("Envoy refused it")
        await rig.status("Gateway", "gw", lambda s: programmed(s)[0] == "True")
        await rig.until(lambda: rig.answers_by_tls("a.test"))  # Envoy has confirmed it; it listens some milliseconds later


async def test_tls_of_an_ingress_with_an_unusable_secret_gets_an_event() -> None:
    async with gateway_rig() as rig:
        await rig.backend("web")
        await rig.create(ingress("web", tls=[{"hosts": ["a.test"], "secretName": "absent"}],
                                 rules=[rule("a.test", ("Prefix", "/", "web"))]))
        told = await event(rig, "web", "InvalidCertificateRef")
        assert told == "not served by TLS: a.test: secret default/absent of type kubernetes.io/tls not found"


async def event(rig: Rig, name: str, reason: str) -> str:
    """The message of the first such Event."""
    found: list[str] = []

    async def look() -> bool:
        listed = await rig.client.list(EVENTS, "default")
        found[:] = [str(e.get("message") or e.get("note")) for e in listed.items
                    if (e.get("involvedObject") or e.get("regarding") or {}).get("name") == name and e["reason"] == reason]
        return bool(found)

    await rig.until(look)
    return found[0]


def stapled(name: str, host: str) -> dict[str, Any]:
    """A secret whose certificate must come with a stapled answer of its authority, which nobody has here."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
        .sign(key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {**tls_secret(name, host),
            "stringData": {"tls.crt": made.public_bytes(serialization.Encoding.PEM).decode(), "tls.key": pem.decode()}}

"""A whole gateway for tests: a real API server, the control plane, a real Envoy, and echo servers as backends.

Everything lives in one process but Envoy, on free ports, with sockets in a temporary folder; the block's end removes it.
"""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wherry.application.gateway.loop import GatewayController
from wherry.application.gateway.model.kinds import GATEWAYS, HTTP_ROUTES, REFERENCE_GRANTS
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.kit.clock import SystemClock
from wherry.kit.errors import Conflict, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, INGRESSES, SECRETS, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import api_server
from wherry.testing.envoy import envoy_settings, running_envoy, wait_until_ready
from wherry.testing.ports import free_port

RESOURCES = {
    resource.kind: resource
    for resource in (GATEWAYS, HTTP_ROUTES, REFERENCE_GRANTS, ENDPOINT_SLICES, INGRESSES, SECRETS, SERVICES)
}
EVENTUALLY_S = 10.0


def machine_address() -> str:
    """An address of this machine that is not loopback: the API server refuses loopback endpoints."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.254", 9))  # sends nothing
        address: str = probe.getsockname()[0]
        return address


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `seen` is what the backend saw, {} when no backend was asked."""

    status: int
    headers: dict[str, str]
    seen: dict[str, Any]
    text: str


@dataclass(slots=True)
class Rig:
    """See the module docstring."""

    client: Client
    settings: GatewaySettings
    folder: Path
    http: aiohttp.ClientSession
    controller: GatewayController
    tasks: asyncio.TaskGroup
    stack: AsyncExitStack
    running: "asyncio.Task[None]"
    mirrored: list[str] = field(default_factory=list)

    async def backend(self, name: str, *, namespace: str = "default", copies: int = 1, app_protocol: str = "") -> None:
        """A Service on port 80 with echo servers behind it."""
        port = {"name": "http", "port": 80} | ({"appProtocol": app_protocol} if app_protocol else {})
        await self.create(_object("Service", name, namespace, spec={"ports": [port]}))
        for copy in range(copies):
            number = await self.serve(f"{name}-{copy}")
            await self.create(self.slice_of(name, f"{name}-{copy}", number, namespace=namespace))

    async def serve(self, name: str) -> int:
        """An echo server; its port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._echo(name))
        runner = web.AppRunner(app)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        port = free_port()
        await web.TCPSite(runner, "0.0.0.0", port).start()
        return port

    def slice_of(self, service: str, name: str, port: int, *, namespace: str = "default", ready: bool = True) -> Object:
        """An EndpointSlice with one endpoint on this machine."""
        return _object(
            "EndpointSlice", name, namespace, labels={"kubernetes.io/service-name": service}, addressType="IPv4",
            ports=[{"name": "http", "port": port}], endpoints=[{"addresses": [machine_address()], "conditions": {"ready": ready}}])

    async def create(self, *objects: Object) -> None:
        """Create them."""
        for obj in objects:
            await self.client.create(RESOURCES[obj["kind"]], obj)

    async def replace(self, obj: Object) -> None:
        """Bring an existing object's spec to `obj`'s."""
        metadata = obj["metadata"]
        resource = RESOURCES[obj["kind"]]
        while True:
            held = await self.client.get(resource, metadata["name"], metadata.get("namespace", ""))
            try:
                await self.client.update(resource, {**held, **{key: obj[key] for key in obj if key != "metadata"}})
                return
            except Conflict:
                continue

    async def get(self, path: str, host: str = "a.test", *, method: str = "GET", headers: dict[str, str] | None = None,
                  body: bytes = b"") -> Answer:
        """One plain request."""
        url = f"http://127.0.0.1:{self.settings.http_port}{path}"
        sent = {"host": host, **(headers or {})}
        async with self.http.request(method, url, headers=sent, data=body or None, allow_redirects=False) as response:
            text = await response.text()
            seen = await response.json() if response.headers.get("x-echo") else {}
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, seen, text)

    async def eventually(self, path: str, status: int, host: str = "a.test", **more: Any) -> Answer:
        """The first answer with that status."""
        last: Any = None
        async with asyncio.timeout(EVENTUALLY_S):
            try:
                while True:
                    try:
                        last = await self.get(path, host, **more)
                        if last.status == status:
                            return last
                    except aiohttp.ClientError as error:
                        last = error
                    await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                raise AssertionError(f"{host}{path}: wanted {status}, last saw {last}") from None

    async def status(self, kind: str, name: str, reached: Any, namespace: str = "default") -> Object:
        """The object's status, once `reached(status)` holds."""
        status: Object = {}
        async with asyncio.timeout(EVENTUALLY_S):
            try:
                while True:
                    try:
                        status = (await self.client.get(RESOURCES[kind], name, namespace)).get("status") or {}
                    except NotFound:
                        status = {}
                    if reached(status):
                        return status
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                raise AssertionError(f"{kind} {name}: last saw {status}") from None

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Return once it holds."""
        async with asyncio.timeout(EVENTUALLY_S):
            while not await holds():
                await asyncio.sleep(0.01)

    async def answers_by_tls(self, host: str, name: str = "") -> bool:
        """The host is served by TLS just now, with a certificate of that name or else its own."""
        try:
            return await tls_request(self.settings.https_port, host, host) == (200, name or host)
        except (OSError, IndexError):
            return False

    async def stop_controller(self) -> None:
        """End the control plane, as a crash would for Envoy: the socket goes."""
        self.running.cancel()
        await asyncio.wait([self.running])

    def start_controller(self) -> None:
        """Begin again with nothing remembered."""
        self.controller = GatewayController(self.client, self.settings, SystemClock())
        self.running = self.tasks.create_task(self.controller.run())

    def _echo(self, name: str) -> Any:
        async def echo(request: web.Request) -> web.StreamResponse:
            if request.headers.get("upgrade", "").lower() == "websocket":
                return await _websocket_echo(request)
            body = await request.read()
            self.mirrored.append(name)
            seen = {"backend": name, "path": request.path_qs, "host": request.host, "method": request.method,
                    "headers": {key.lower(): ",".join(request.headers.getall(key)) for key in request.headers}, "bytes": len(body)}
            if "delay" in request.query:
                await asyncio.sleep(float(request.query["delay"]))
            return web.json_response(seen, headers={"x-echo": "1", "x-from-backend": "yes", "server": "echo"})

        return echo


async def _websocket_echo(request: web.Request) -> web.WebSocketResponse:
    socket_ = web.WebSocketResponse()
    await socket_.prepare(request)
    async for message in socket_:
        await socket_.send_str(f"echo {message.data}")
    return socket_


def _object(kind: str, name: str, namespace: str, *, labels: dict[str, str] | None = None, **rest: Any) -> Object:
    return {"apiVersion": RESOURCES[kind].api_version, "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, **rest}


def ingress(name: str, **spec: Any) -> Object:
    """An Ingress of our class."""
    return _object("Ingress", name, "default", spec={"ingressClassName": "wherry", **spec})


def rule(host: str, *paths: tuple[str, str, str]) -> Object:
    """A rule of an Ingress; paths are (type, path, service)."""
    return {"host": host, "http": {"paths": [
        {"path": path, "pathType": kind, "backend": {"service": {"name": name, "port": {"number": 80}}}}
        for kind, path, name in paths]}}


def gateway(*listeners: Object, name: str = "gw") -> Object:
    """A Gateway of our class with a plain listener for everybody unless others are given."""
    plain = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return _object("Gateway", name, "default", spec={"gatewayClassName": "wherry", "listeners": list(listeners) or [plain]})


def http_route(name: str, *rules: Object, hosts: tuple[str, ...] = ("a.test",), parent: str = "gw") -> Object:
    """An HTTPRoute of that Gateway."""
    return _object("HTTPRoute", name, "default", spec={
        "parentRefs": [{"name": parent}], "hostnames": list(hosts), "rules": list(rules)})


def to(*names: str, path: str = "/", kind: str = "PathPrefix", **rest: Any) -> Object:
    """A rule of an HTTPRoute."""
    return {"matches": [{"path": {"type": kind, "value": path}}],
            "backendRefs": [{"name": name, "port": 80} for name in names], **rest}


def tls_secret(name: str, *hosts: str) -> Object:
    """A Secret with a fresh certificate for `hosts`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {**_object("Secret", name, "default"), "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate.public_bytes(serialization.Encoding.PEM).decode(), "tls.key": pem.decode()}}


async def tls_request(port: int, server_name: str, host: str, path: str = "/") -> tuple[int, str]:
    """(status, common name of the certificate) of a request made with that server name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    try:
        raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        name = x509.load_der_x509_certificate(raw).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        return status, str(name)
    finally:
        writer.close()


@asynccontextmanager
async def gateway_rig(*, has_envoy: bool = True, **given: Any) -> AsyncIterator[Rig]:
    """A running gateway with nothing behind it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="wherry-gw-")))
        settings = envoy_settings(folder, **given)
        api = await stack.enter_async_context(api_server())
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        servers = await stack.enter_async_context(AsyncExitStack())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        controller = GatewayController(api.client, settings, SystemClock())
        rig = Rig(api.client, settings, folder, http, controller, tasks, servers, tasks.create_task(controller.run()))
        stack.callback(lambda: rig.running.cancel())
        if has_envoy:
            await stack.enter_async_context(running_envoy(settings))
            await wait_until_ready(settings)
        yield rig

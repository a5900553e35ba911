"""An API server in this process, for tests: real code, a memory store, a client; on request a TLS port and a kubeconfig.

    async with api_server() as api:
        await api.client.create(CONFIG_MAPS, {...}, namespace="default")

Nothing is left behind: the block's end stops it, and the certificates are in a temporary folder.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from wherry.kit.clock import Clock
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.server import serve
from wherry.kit.http.splice import whole
from wherry.orchestration.apiserver import pki
from wherry.orchestration.apiserver.aggregation.backends import FrontProxy
from wherry.orchestration.apiserver.serving.server import ApiServer
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.user import ADMIN, User
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.objects.kinds import NAMESPACES, SERVICE_ACCOUNTS
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.store.contract import Store
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.faults import Faults, FaultyTransport
from wherry.testing.virtual_time import clock_here

START_TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True)
class TestApi:
    """`client` is the administrator's. `url` and `kubeconfig` are set when it listens."""

    __test__ = False

    server: ApiServer
    client: Client
    url: str = ""
    kubeconfig: Path = Path()
    pki: "pki.Authority | None" = None

    async def create_namespace(self, name: str) -> None:
        """A namespace with its default service account, which the controllers would make."""
        await self.client.create(NAMESPACES, {"metadata": {"name": name}})
        await self.create_default_account(name)

    async def create_default_account(self, namespace: str) -> None:
        """What pods need to be created in `namespace`."""
        await self.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}}, namespace)

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Copies of the newest known objects, by key; at once."""
        return self.server.source.list(resource, namespace)

    def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        """A copy of one object, or None; at once. `namespace` counts for namespaced resources."""
        return self.server.source.get(resource, namespace if resource.namespaced else "", name)

    def hang_up(self) -> None:
        """End every open watch."""
        for cache in self.server.registry.caches():
            for watcher in [*cache.watchers]:
                watcher.cut()

    async def forget(self) -> None:
        """Compact all history: open watches end, and those that resume from before now are answered 410."""
        await self.server.registry.fresh()
        await self.server.registry.store.compact(self.server.registry.revision)
        await self.server.registry.load()

    def settled_client(self) -> Client:
        """The administrator's client; what it has written is in `all` and `find` when it returns."""

        async def handle(request: Request) -> Response | Upgrade:
            response = await self.server.handle(request)
            await self.server.registry.settled()
            return response

        return Client(LocalTransport(handle, ADMIN))

    def client_as(self, user: User) -> Client:
        """A client for another user."""
        return Client(LocalTransport(self.server.handle, user))

    def client_through(self, faults: Faults, user: User = ADMIN) -> Client:
        """A client whose way to the server breaks as told."""
        return Client(FaultyTransport(LocalTransport(self.server.handle, user), faults))

    async def call(
        self, method: str, path: str, body: object = None, *, user: User = ADMIN, content_type: str = "application/json",
        accept: str = "application/json", headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """(status, decoded answer) of a raw request; `path` may have a query. For answers that end."""
        response = await self.raw(
            method, path, body, user=user, content_type=content_type, accept=accept, headers=headers)
        data = await whole(response, ANSWER_BYTES_MAX)
        is_json = any(value.startswith("application/json") for name, value in response.headers if name == "content-type")
        return response.status, orjson.loads(data) if is_json and data else data

    async def raw(
        self, method: str, path: str, body: object = None, *, user: User = ADMIN, content_type: str = "application/json",
        accept: str = "application/json", headers: dict[str, str] | None = None,
    ) -> Response:
        """The response itself."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        request = request_for(method, path, data, user)
        request.headers = {"content-type": content_type, "accept": accept, "user-agent": "test/1", **(headers or {})}
        response = await self.server.handle(request)
        assert isinstance(response, Response)
        return response


@contextmanager
def _ungrouped() -> Iterator[None]:
    """A failure of the block shows as itself, not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def request_for(method: str, target: str, body: bytes, user: User) -> Request:
    """A request of an in-process caller."""
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), target, parse_qs(parts.query, keep_blank_values=True), {}, body,
                   identity=user)


@asynccontextmanager
async def api_server(
    *, store: Store | None = None, clock: Clock | None = None, settings: ApiServerSettings | None = None,
    listen: bool = False, folder: Path | None = None, default_account: bool = True,
) -> AsyncIterator[TestApi]:
    """A running API server. `listen` adds a TLS port on loopback and a kubeconfig of the administrator.

    `default_account` makes the service account that Pods in namespace default run as.
    """
    clock = clock or clock_here()
    async with AsyncExitStack() as stack:
        stack.enter_context(_ungrouped())
        if listen and folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="wherry-api-")))
        keys = pki.ensure(folder, node_name="test", now=clock.now()) if listen and folder is not None else None
        settings = settings or ApiServerSettings()
        if keys is not None and not settings.encryption_key:
            settings = replace(settings, encryption_key=keys.encryption_key)
        server = ApiServer(
            settings, store or MemoryStore(), clock, service_account_key=keys.account_key if keys else None,
            agent_tls=keys.client_tls("kubelet-client") if keys else None,
            front_proxy=FrontProxy(keys.leaf_file(pki.FRONT_PROXY_CLIENT), keys.authentication_config_map()) if keys else None)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(server.run(), name="server")
        stack.callback(running.cancel)
        async with asyncio.timeout(START_TIMEOUT_S):
            await server.ready.wait()
        api = TestApi(server, Client(LocalTransport(server.handle, ADMIN)), pki=keys)
        if default_account and server.source.get(SERVICE_ACCOUNTS, "default", "default") is None:
            await api.create_default_account("default")
        if keys is not None and folder is not None:
            front = await stack.enter_async_context(serve(server.handle, tls=keys.server_tls("apiserver")))
            api.url = f"https://127.0.0.1:{front.port}"
            api.kubeconfig = folder / "kubeconfig"
            certificate, key = keys.leaf("admin")
            pki.kubeconfig.write(api.kubeconfig, pki.document(
                api.url, ca_pem=keys.ca_pem, certificate_pem=certificate, key_pem=key))
        yield api

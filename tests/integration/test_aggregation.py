"""The aggregation layer with a backend over real TLS that tells what it was sent and whom it believes."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import Server, serve
from wherry.kit.http.tls import server_context
from wherry.orchestration.apiserver import pki
from wherry.orchestration.apiserver.registry.cache import Cached, ResourceCache
from wherry.orchestration.apiserver.user import AUTHENTICATED, User
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.errors import NotFound
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.garbage_collector.loop import Controller as Collector
from wherry.orchestration.objects.kinds import (
    API_SERVICES,
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    ENDPOINT_SLICES,
    NAMESPACES,
    SECRETS,
    SERVICES,
)
from wherry.orchestration.store.contract import NoSpace
from wherry.testing.api import TestApi, api_server

GROUP, VERSION = "wardle.example.com", "v1"
NAME = f"{VERSION}.{GROUP}"
ROOT = f"/apis/{GROUP}/{VERSION}"
JSON = [("content-type", "application/json")]
KUBECTL = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
GEARS = {"metadata": {"name": "gears.example.com"}, "spec": {
    "group": "example.com", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}
EVENTS = [{"type": "ADDED", "object": {"metadata": {"name": str(number)}}} for number in range(3)]


@dataclass
class Backend:
    """`asked`: (path, query, headers, common name of the certificate) of every request for a resource."""

    api: TestApi
    keys: pki.Authority
    server: Server
    asked: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)

    async def register(self, **more: Any) -> None:
        ca = base64.b64encode(self.keys.ca_pem).decode()
        await self.api.client.create(API_SERVICES, {"metadata": {"name": NAME}, "spec": {
            "group": GROUP, "version": VERSION, "groupPriorityMinimum": 1500, "versionPriority": 10, "caBundle": ca,
            "service": {"namespace": "wardle", "name": "api", "port": self.server.port}, **more}})

    async def condition(self) -> dict[str, Any]:
        obj = await self.api.client.get(API_SERVICES, NAME)
        return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == "Available"), {})

    async def until_says(self, status: str, reason: str) -> None:
        async def is_so() -> bool:
            found = await self.condition()
            return (found.get("status"), found.get("reason")) == (status, reason)

        await until(is_so)

    async def version_shown(self) -> dict[str, Any]:
        _, document = await self.api.call("GET", "/apis", accept=KUBECTL)
        return next((v for item in document["items"] if item["metadata"].get("name") == GROUP for v in item["versions"]), {})


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await what():
            await asyncio.sleep(0.02)


def own_address() -> str:
    """An address of this machine that is not loopback: endpoints may have no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    keys = pki.ensure(tmp_path / "backend", node_name="backend", names=("api.wardle.svc",), now=datetime.now(UTC))
    made: list[Backend] = []

    async def answer(request: Request) -> Response:
        if request.path == ROOT:
            return Response(200, JSON, orjson.dumps({"kind": "APIResourceList", "groupVersion": f"{GROUP}/{VERSION}", "resources": [
                {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder",
                 "verbs": ["get", "list", "watch", "delete"]}]}))
        if request.path in made[0].documents:
            kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            return Response(200, [("content-type", kind)], orjson.dumps(made[0].documents[request.path]))
        if not request.path.startswith(f"{ROOT}/"):
            return Response(404)
        assert request.peer_certificate is not None
        names = x509.load_der_x509_certificate(request.peer_certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        made[0].asked.append((request.path, request.raw_target.partition("?")[2], dict(request.headers), str(names[0].value)))
        if "watch" in request.query:
            return Response(200, JSON, watched())
        return Response(200, JSON, orjson.dumps(
            {"kind": "FlunderList", "items": made[0].objects, **({"metadata": {"resourceVersion": "1"}} if made[0].objects else {})}))

    async def watched() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield orjson.dumps(event) + b"\n"
            await asyncio.sleep(0)

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(api_server(listen=True))
        assert api.pki is not None
        trusted = tmp_path / "front-proxy-ca.crt"
        trusted.write_bytes(api.pki.front_proxy_ca.certificate_pem)
        tls = server_context(keys.leaf_file("apiserver"), trusted)
        server = await stack.enter_async_context(serve(answer, host="0.0.0.0", tls=tls))
        made.append(Backend(api, keys, server))
        await api.client.create(NAMESPACES, {"metadata": {"name": "wardle"}})
        await api.client.create(SERVICES, {"metadata": {"name": "api"}, "spec": {
            "ports": [{"name": "https", "port": server.port}]}}, "wardle")
        yield made[0]


async def put_endpoints(client: Client, port: int) -> None:
    await client.create(ENDPOINT_SLICES, {
        "metadata": {"name": "api-1", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": [own_address()]}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}, "wardle")


async def test_requests_go_to_the_backend_as_their_user_with_our_certificate(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    user = User("jane", "7", ("system:masters", "a,b", AUTHENTICATED), {"example.com/team": ("x", "y")})
    forged = {"x-remote-user": "root", "x-remote-group": "system:masters", "authorization": "Bearer secret",
              "x-remote-extra-scopes": "all", "x-own": "kept"}
    status, body = await backend.api.call("GET", f"{ROOT}/namespaces/default/flunders?limit=5", user=user, headers=forged)
    assert (status, body) == (200, {"kind": "FlunderList", "items": []})
    path, query, headers, name = backend.asked[-1]
    assert (path, query, name) == (f"{ROOT}/namespaces/default/flunders", "limit=5", "front-proxy-client")
    assert headers["x-remote-user"] == "jane" and headers["x-remote-uid"] == "7" and headers["x-own"] == "kept"
    assert headers["x-remote-group"] == "system:masters, a,b, system:authenticated"
    assert headers["x-remote-extra-example.com%2fteam"] == "x, y"
    assert "authorization" not in headers and "x-remote-extra-scopes" not in headers


async def test_who_may_not_is_refused_before_the_backend_is_asked(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    before = len(backend.asked)
    status, body = await backend.api.call("GET", f"{ROOT}/flunders", user=User("nobody", groups=(AUTHENTICATED,)))
    assert status == 403 and body["reason"] == "Forbidden" and "flunders" in body["message"]
    status, _ = await backend.api.call("GET", f"{ROOT}/namespaces/a/../../../secrets")
    assert status == 404 and len(backend.asked) == before


@pytest.mark.parametrize("path", ["//flunders", "/namespaces//flunders/x", "//"])
async def test_what_is_neither_a_resource_nor_the_document_is_not_passed_on(backend: Backend, path: str) -> None:
    """Everybody may read documents: a path that looks like one must not reach objects."""
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    status, _ = await backend.api.call("GET", f"{ROOT}{path}", user=User("nobody", groups=(AUTHENTICATED,)))
    assert status in (403, 404) and not backend.asked
    status, document = await backend.api.call("GET", ROOT, user=User("nobody", groups=(AUTHENTICATED,)))
    assert status == 200 and document["kind"] == "APIResourceList"


async def test_a_backend_whose_documents_are_rubbish_is_served_without_them(backend: Backend) -> None:
    backend.documents = {"/apis": [], "/openapi/v3": {"paths": []}, "/openapi/v2": {"paths": 3}}
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    assert (await backend.api.call("GET", f"{ROOT}/flunders"))[0] == 200
    assert not (await backend.version_shown())["resources"]
    assert (await backend.api.call("GET", "/openapi/v2"))[0] == 200


async def test_a_write_that_fails_is_tried_again(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    put, failures = backend.api.server.registry.put, [NoSpace("full"), NoSpace("full")]

    async def failing(cache: ResourceCache, *args: Any, **more: Any) -> Cached:
        if cache.plural == "apiservices" and failures:
            raise failures.pop()
        return await put(cache, *args, **more)

    async def has_one() -> bool:
        return backend.api.find(API_SERVICES, "v1.example.com", "") is not None

    monkeypatch.setattr(backend.api.server.registry, "put", failing)
    await backend.api.client.create(CUSTOM_RESOURCE_DEFINITIONS, GEARS)
    await until(has_one)
    assert not failures


async def test_a_server_that_shows_another_objects_uid_gets_nothing_collected(backend: Backend) -> None:
    client = backend.api.client

    async def owner_and_child(name: str) -> str:
        uid = str((await client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "default"))["metadata"]["uid"])
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": True}
        await client.create(SECRETS, {"metadata": {"name": f"{name}-child", "ownerReferences": [reference]}}, "default")
        return uid

    async def is_collected() -> bool:
        return "other-child" not in [s["metadata"]["name"] for s in (await client.list(SECRETS, "default")).items]

    async def is_looked_at() -> bool:
        return any(path == f"{ROOT}/flunders" and "watch=" in query for path, query, _, _ in backend.asked)

    backend.objects = [{"metadata": {
        "name": "owner", "namespace": "default", "uid": await owner_and_child("owner"), "resourceVersion": "1",
        "finalizers": ["foregroundDeletion"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}]
    await put_endpoints(client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    clock, informers = backend.api.server.clock, Informers(client)
    collector = Collector(Tools(client, informers, Recorder(client, "test", clock=clock), clock), (CONFIG_MAPS, SECRETS))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(informers.run(), name="informers"), tasks.create_task(collector.run(), name="collector")]
        await until(is_looked_at)
        await owner_and_child("other")
        await client.delete(CONFIG_MAPS, "other", "default")
        await until(is_collected)
        for task in running:
            task.cancel()
    assert await client.get(SECRETS, "owner-child", "default")


async def test_a_watch_streams_through(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    response = await backend.api.raw("GET", f"{ROOT}/flunders?watch=1")
    assert isinstance(response.body, AsyncIterator)
    text = b"".join([part async for part in response.body])
    assert [orjson.loads(line) for line in text.splitlines()] == EVENTS


async def test_discovery_shows_it_and_marks_it_stale_when_it_goes(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")

    async def is_shown(freshness: str) -> bool:
        shown = await backend.version_shown()
        names = [entry["resource"] for entry in shown.get("resources") or ()]
        return (names, shown.get("freshness")) == (["flunders"], freshness)

    await until(lambda: is_shown("Current"))
    _, groups = await backend.api.call("GET", "/apis")
    assert GROUP in [group["name"] for group in groups["groups"]]
    status, plain = await backend.api.call("GET", ROOT)
    assert status == 200 and plain["resources"][0]["name"] == "flunders"
    await backend.api.client.delete(ENDPOINT_SLICES, "api-1", "wardle")
    await backend.until_says("False", "EndpointsNotFound")
    await until(lambda: is_shown("Stale"))
    response = await backend.api.raw("GET", f"{ROOT}/flunders")
    assert (response.status, response.body) == (503, b"service unavailable\n")
    status, text = await backend.api.call("GET", "/metrics")
    assert f'aggregator_unavailable_apiservice{{name="{NAME}"}} 1' in text.decode()
    assert f'aggregator_unavailable_apiservice_total{{name="{NAME}",reason="EndpointsNotFound"}} 1' in text.decode()
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.until_says("True", "Passed")
    await until(lambda: is_shown("Current"))


@pytest.mark.parametrize(("more", "reason"), [
    ({"caBundle": "", "insecureSkipTLSVerify": False}, "FailedDiscoveryCheck"),
    ({"service": {"namespace": "wardle", "name": "api", "port": 1}}, "ServicePortError"),
    ({"service": {"namespace": "wardle", "name": "nothing", "port": 443}}, "ServiceNotFound"),
])
async def test_what_cannot_be_trusted_or_found_is_not_available(backend: Backend, more: dict[str, Any], reason: str) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register(**more)
    await backend.until_says("False", reason)
    status, text = await backend.api.call("GET", f"{ROOT}/flunders")
    assert (status, text) == (503, b"service unavailable\n") and not backend.asked


async def test_verification_is_skipped_only_where_it_says_so(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register(caBundle="", insecureSkipTLSVerify=True)
    await backend.until_says("True", "Passed")


async def test_without_its_api_service_a_group_is_nobodys(backend: Backend) -> None:
    await put_endpoints(backend.api.client, backend.server.port)
    await backend.register()
    await backend.until_says("True", "Passed")
    await backend.api.client.delete(API_SERVICES, NAME)

    async def is_gone() -> bool:
        return (await backend.api.call("GET", f"{ROOT}/flunders"))[0] == 404

    await until(is_gone)
    assert not await backend.version_shown()
    assert f'unavailable_apiservice{{name="{NAME}"}}' not in (await backend.api.call("GET", "/metrics"))[1].decode()


async def test_custom_resources_get_an_api_service_and_lose_it(backend: Backend) -> None:
    client = backend.api.client
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, GEARS)

    async def has_one() -> bool:
        try:
            found = await client.get(API_SERVICES, "v1.example.com")
        except NotFound:
            return False
        return bool(found["status"]["conditions"][0]["reason"] == "Local"
                    and found["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "true")

    async def has_none() -> bool:
        return not await has_one()

    await until(has_one)
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "gears.example.com")
    await until(has_none)


async def test_backends_find_whom_to_trust_in_the_cluster(backend: Backend) -> None:
    assert backend.api.pki is not None
    found = await backend.api.client.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
    assert found["data"]["requestheader-client-ca-file"] == backend.api.pki.front_proxy_ca.certificate_pem.decode()
    assert found["data"]["client-ca-file"] == backend.api.pki.ca_pem.decode()
    assert found["data"]["requestheader-allowed-names"] == '["front-proxy-client"]'

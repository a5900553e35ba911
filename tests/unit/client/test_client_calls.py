"""The client over the in-process transport and over HTTP, against the real API server in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from wherry.kit.errors import Expired, Invalid, NotFound, Unsupported
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.server import serve
from wherry.orchestration.apiserver.user import ADMIN
from wherry.orchestration.client import errors, kubeconfig
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.meta import Object, name_of, revision_of
from wherry.testing.api import api_server


def config_map(name: str, **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.fixture(params=["local", "http"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with api_server() as api:
        if request.param == "local":
            yield api.client
            return

        async def handle(request: Request) -> Response | Upgrade:
            request.identity = ADMIN
            return await api.server.handle(request)

        async with serve(handle) as front:
            client = Client(HttpTransport(f"http://127.0.0.1:{front.port}"))
            yield client
            await client.close()


async def test_created_object_is_read_back_with_its_kind(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", x="1"))
    found = await client.get(CONFIG_MAPS, "a", "default")
    assert found == made
    assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")


async def test_list_pages_carry_on_and_items_have_their_kind(client: Client) -> None:
    for name in "abc":
        await client.create(CONFIG_MAPS, config_map(name))
    first = await client.list(CONFIG_MAPS, "default", limit=2)
    second = await client.list(CONFIG_MAPS, "default", limit=2, continue_=first.continue_)
    assert [name_of(o) for o in first.items + second.items] == ["a", "b", "c"]
    assert not second.continue_ and second.items[0]["kind"] == "ConfigMap"


async def test_failures_become_the_error_of_their_kind(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(errors.AlreadyExists):
        await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(NotFound) as caught:
        await client.get(CONFIG_MAPS, "b", "default")
    assert isinstance(caught.value, errors.ApiError) and caught.value.reason == "NotFound"
    await client.patch(CONFIG_MAPS, "a", "default", {"data": {"x": "2"}})
    with pytest.raises(errors.Conflict):
        await client.update(CONFIG_MAPS, made)


async def test_status_patch_leaves_the_spec(client: Client) -> None:
    spec = {"nodeName": "n", "containers": [{"name": "main", "image": "app:1"}]}
    await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    done = await client.patch_status(PODS, "p", "default", {"spec": {"nodeName": "x"}, "status": {"phase": "Running"}})
    assert done["spec"]["nodeName"] == "n" and done["status"]["phase"] == "Running"


async def test_delete_with_another_uid_is_a_conflict(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(errors.Conflict):
        await client.delete(CONFIG_MAPS, "a", "default", uid="other")
    await client.delete(CONFIG_MAPS, "a", "default")
    assert not (await client.list(CONFIG_MAPS, "default")).items


async def test_watch_delivers_changes_after_its_revision(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    revision = (await client.list(CONFIG_MAPS)).revision
    seen = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:

        async def change() -> None:
            await client.create(CONFIG_MAPS, config_map("b"))
            await client.delete(CONFIG_MAPS, "b", "default")

        tasks.create_task(change())
        async for event in client.watch(CONFIG_MAPS, revision=revision):
            seen.append((event.type, name_of(event.object)))
            if len(seen) == 2:
                break
    assert seen == [("ADDED", "b"), ("DELETED", "b")]


async def test_watch_from_a_forgotten_revision_is_expired() -> None:
    async with api_server() as api:
        made = await api.client.create(CONFIG_MAPS, config_map("a"))
        await api.client.create(CONFIG_MAPS, config_map("b"))
        await api.forget()
        with pytest.raises(Expired):
            async for _ in api.client.watch(CONFIG_MAPS, revision=revision_of(made)):
                pass


async def test_no_server_is_unreachable() -> None:
    client = Client(HttpTransport("http://127.0.0.1:9"))
    with pytest.raises(errors.Unreachable):
        await client.get(CONFIG_MAPS, "a", "default")
    await client.close()


async def test_a_rotated_token_file_is_read_again(tmp_path) -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["authorization"])
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    token = tmp_path / "token"
    client = Client(HttpTransport(f"http://127.0.0.1:{runner.addresses[0][1]}", token_file=token))
    try:
        for text in ("one", "two"):
            fresh = tmp_path / "fresh"
            fresh.write_text(text)
            fresh.replace(token)
            await client.get(PODS, "p", "default")
    finally:
        await client.close()
        await runner.cleanup()
    assert seen == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(("body", "message"), [
    pytest.param(b'{"kind":"Status","message":"no","reason":"Forbidden","code":403}', "no", id="status"),
    pytest.param(b"<html>gateway</html>", "<html>gateway</html>", id="not a status"),
    pytest.param(b"", "the server answered 403", id="nothing"),
])  # fmt: skip
def test_error_text_comes_from_the_answer(body: bytes, message: str) -> None:
    error = errors.from_reply(403, body)
    assert isinstance(error, errors.Forbidden) and str(error) == message


def test_kubeconfig_gives_the_current_contexts_server(tmp_path) -> None:
    (tmp_path / "config").write_text(
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'http://10.0.0.1:8080'}}]\nusers: [{name: u, user: {token: t}}]\n"
    )
    assert kubeconfig.load(tmp_path / "config").url == "http://10.0.0.1:8080"


@pytest.mark.parametrize(("text", "error"), [
    pytest.param("[", Invalid, id="not YAML"),
    pytest.param("contexts: []", Invalid, id="no current context"),
    pytest.param("current-context: a", NotFound, id="unknown context"),
    pytest.param(
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 's'}}]\nusers: [{name: u, user: {exec: {command: x}}}]",
        Unsupported, id="exec plugin",
    ),
])  # fmt: skip
def test_unusable_kubeconfig_is_refused(tmp_path, text: str, error: type[Exception]) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(error):
        kubeconfig.load(tmp_path / "config")

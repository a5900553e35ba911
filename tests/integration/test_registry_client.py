"""Our registry client against Debian's docker-registry, our own registry, and servers that misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.image.layer_tar import Entry
from wherry.container.image.reference import parse
from wherry.container.image.service import Credentials
from wherry.container.registry.client import RegistryClient
from wherry.container.registry.push import push_image
from wherry.container.registry.settings import ClientSettings
from wherry.kit.errors import Forbidden, NotFound, Unavailable
from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve
from wherry.testing.images import busybox_image, content_in, image_of
from wherry.testing.ports import free_port
from wherry.testing.registry import client_for, serving

DOCKER_REGISTRY = Path("/usr/bin/docker-registry")


async def until_listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise AssertionError(f"nothing listens on {port}")


@asynccontextmanager
async def docker_registry(folder: Path) -> AsyncIterator[str]:
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(json.dumps({
        "version": 0.1, "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": str(folder / "peer")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }))
    process = await asyncio.create_subprocess_exec(
        str(DOCKER_REGISTRY), "serve", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until_listening(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_in(tmp_path / "content")


@pytest.fixture
def other(tmp_path: Path) -> Content:
    return content_in(tmp_path / "other")


@pytest.mark.skipif(not DOCKER_REGISTRY.exists(), reason="needs docker-registry")
@pytest.mark.parametrize("kind", ["zstd", "gzip"])
async def test_an_image_goes_through_dockers_registry_and_comes_back_the_same(content, other, tmp_path, kind):
    entries = [Entry("bin/tool", mode=0o755, data=b"x" * 500_000), Entry("etc/empty")]
    image = await image_of(content, "app:1", [entries, [Entry("b", data=b"2")]], kind=kind, config={"User": "7"})
    async with docker_registry(tmp_path) as host, client_for(host) as client:
        digest = await push_image(client, content, "app:1", f"{host}/team/app:1")
        lines: list[str] = []
        await push_image(client, content, "app:1", f"{host}/team/app:2", progress=lines.append)
        assert all("already exists" in line for line in lines) and len(lines) == 3
        images = ContentImages(other, client)
        pulled = await images.pull(f"{host}/team/app:1")
        assert (pulled.id, pulled.user, pulled.digests) == (image.id, "7", (f"{host}/team/app@{digest}",))
        assert (await images.pull(f"{host}/team/app@{digest}")).id == image.id
        assert await client.tags(parse(f"{host}/team/app")) == ["1", "2"]
        with pytest.raises(NotFound):
            await images.pull(f"{host}/team/app:none")
        await client.delete_manifest(parse(f"{host}/team/app@{digest}"))


async def test_what_refers_to_an_image_is_pushed_with_it(content, other, tmp_path):
    from wherry.container.content import builder

    await image_of(content, "app:1", [[Entry("a", data=b"1")]])
    made = await builder.attach(content, "app:1", b"{}", media_type="application/spdx+json", name="app.spdx.json")
    async with serving(other) as ours, docker_registry(tmp_path) as theirs, client_for(ours, theirs) as client:
        for host in (ours, theirs):
            digest = await push_image(client, content, "app:1", f"{host}/app:1")
            index = await client.referrers(parse(f"{host}/app:1"), digest)
            assert [entry.digest for entry in index.manifests] == [made]


async def test_pushing_into_the_own_registry_only_gives_a_name(tmp_path):
    content = content_in(tmp_path / "own", registry="registry.test:5050", registry_aliases=("localhost:5050",))
    image = await busybox_image(content)
    async with client_for() as client:
        await push_image(client, content, "wherry.local/busybox:1.35", "localhost:5050/tools/busybox:1")
    assert (await ContentImages(content).pull("registry.test:5050/tools/busybox:1")).id == image.id
    with pytest.raises(NotFound, match="push it there first"):
        await ContentImages(content).pull("registry.test:5050/tools/none:1")


async def test_credentials_are_used_once_asked_for(content, other, tmp_path):
    await image_of(content, "app:1", [[Entry("a", data=b"1")]])
    password = tmp_path / "password"
    password.write_text("s3cret")
    async with serving(other, password_file=password) as host, client_for(host) as client:
        with pytest.raises(Forbidden):
            await push_image(client, content, "app:1", f"{host}/app:1")
        login = ((host, Credentials("wherry", "s3cret")),)
        await push_image(client, content, "app:1", f"{host}/app:1", login)
        third = content_in(tmp_path / "third")
        assert (await ContentImages(third, client).pull(f"{host}/app:1", login)).size_bytes > 0
        with pytest.raises(Forbidden):
            await ContentImages(content_in(tmp_path / "fourth"), client).pull(f"{host}/app:1", ((host, Credentials("wherry", "no")),))


async def test_concurrent_pulls_of_one_image_are_one_pull(content, other, tmp_path):
    await image_of(content, "app:1", [[Entry("a", data=b"1" * 100_000)]])
    seen: list[str] = []
    async with serving(content, domain="docker.io/library") as inner:
        async def counting(request: Request) -> Response:
            seen.append(request.path)
            return await _forward(inner, request)

        async with serve(counting) as server, client_for(f"127.0.0.1:{server.port}") as client:
            images = ContentImages(other, client)
            name = f"127.0.0.1:{server.port}/app:1"
            found = await asyncio.gather(*(images.pull(name) for _ in range(5)))
    assert len({image.id for image in found}) == 1
    assert len(seen) == len(set(seen)) == 3


@pytest.mark.slow
async def test_a_transfer_that_breaks_off_goes_on_where_it_was(content, other):
    await image_of(content, "app:1", [[Entry("a", data=bytes(range(256)) * 4000)]], kind="")
    ranges: list[str] = []
    async with serving(content, domain="docker.io/library") as inner:
        async def breaking(request: Request) -> Response:
            answer = await _forward(inner, request)
            if "/blobs/" in request.path and len(answer.body) > 500_000:
                ranges.append(request.headers.get("range", ""))
                length = [header for header in answer.headers if header[0] == "content-length"]
                assert isinstance(answer.body, bytes)
                return Response(answer.status, [*answer.headers, *([] if length else [("content-length", str(len(answer.body)))])],
                                _only(answer.body[:400_000]))
            return answer

        async with serve(breaking) as server, client_for(f"127.0.0.1:{server.port}") as client:
            image = await ContentImages(other, client).pull(f"127.0.0.1:{server.port}/app:1")
    assert image.size_bytes > 1_000_000
    assert ranges[0] == "" and ranges[1].startswith("bytes=") and ranges[1] != "bytes=0-"


async def test_credentials_do_not_follow_a_redirect_to_another_host(content, other):
    await image_of(content, "app:1", [[Entry("a", data=b"1")]])
    leaked: list[str] = []
    async with serving(content, domain="docker.io/library") as inner:
        async def storage(request: Request) -> Response:
            leaked.append(request.headers.get("authorization", ""))
            return await _forward(inner, request)

        async with serve(storage) as elsewhere:
            async def front(request: Request) -> Response:
                if request.headers.get("authorization") != "Basic dTpw":
                    return Response(401, [("www-authenticate", 'Basic realm="x"')])
                if "/blobs/" in request.path:
                    return Response(307, [("location", f"http://127.0.0.1:{elsewhere.port}{request.path}")])
                return await _forward(inner, request)

            async with serve(front) as server, client_for(f"127.0.0.1:{server.port}") as client:
                host = f"127.0.0.1:{server.port}"
                await ContentImages(other, client).pull(f"{host}/app:1", ((host, Credentials("u", "p")),))
    assert leaked == ["", ""]


async def test_a_token_is_fetched_for_the_scope_asked_for_and_used_again(content, other):
    await image_of(content, "app:1", [[Entry("a", data=b"1")]])
    asked: list[tuple[str, list[str], str]] = []
    async with serving(content, domain="docker.io/library") as inner:
        async def tokens(request: Request) -> Response:
            asked.append((request.param("service"), request.query["scope"], request.headers.get("authorization", "")))
            return Response(200, [], json.dumps({"token": "t0k", "expires_in": 300}).encode())

        async with serve(tokens) as token_server:
            async def front(request: Request) -> Response:
                if request.headers.get("authorization") != "Bearer t0k":
                    realm = f'Bearer realm="http://127.0.0.1:{token_server.port}/token",service="reg",scope="repository:app:pull"'
                    return Response(401, [("www-authenticate", realm)])
                return await _forward(inner, request)

            async with serve(front) as server, client_for(f"127.0.0.1:{server.port}") as client:
                host = f"127.0.0.1:{server.port}"
                await ContentImages(other, client).pull(f"{host}/app:1", ((host, Credentials("u", "p")),))
    assert asked == [("reg", ["repository:app:pull"], "Basic dTpw")]


async def test_a_registry_that_lies_about_a_blob_is_not_believed(content, other):
    await image_of(content, "app:1", [[Entry("a", data=b"1")]])
    async with serving(content, domain="docker.io/library") as inner:
        async def lying(request: Request) -> Response:
            answer = await _forward(inner, request)
            if "/blobs/" in request.path:
                assert isinstance(answer.body, bytes)
                answer.body = bytes(len(answer.body))
            return answer

        async with serve(lying) as server, client_for(f"127.0.0.1:{server.port}") as client:
            images = ContentImages(other, client)
            images._clock = _NoWait()
            from wherry.kit.errors import Invalid

            with pytest.raises(Invalid, match="digest mismatch"):
                await images.pull(f"127.0.0.1:{server.port}/app:1")
            assert await images.present(f"127.0.0.1:{server.port}/app:1") is None


async def test_a_mirror_is_asked_first_and_need_not_have_everything(content, other, tmp_path):
    await image_of(content, "docker.io/team/app:1", [[Entry("a", data=b"1")]])
    async with serving(content) as mirror, serving(content_in(tmp_path / "empty")) as empty:
        folder = tmp_path / "hosts" / "docker.io"
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(
            f'server = "http://{empty}"\n[host."http://{empty}"]\ncapabilities = ["pull", "resolve"]\n[host."http://{mirror}"]\n')
        async with RegistryClient(ClientSettings(hosts_dirs=(tmp_path / "hosts",), docker_config=None)) as client:
            assert (await ContentImages(other, client).pull("team/app:1")).tags == ("docker.io/team/app:1",)
            with pytest.raises(NotFound):
                await ContentImages(other, client).pull("team/none:1")


async def test_a_registry_that_is_away_is_unavailable(other):
    host = f"127.0.0.1:{free_port()}"
    async with client_for(host) as client:
        with pytest.raises(Unavailable):
            await ContentImages(other, client).pull(f"{host}/app:1")


class _NoWait:
    def now(self):
        raise NotImplementedError

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def _only(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise ConnectionResetError


async def _forward(host: str, request: Request) -> Response:
    """Pass a GET on to our registry; bodies whole."""
    import aiohttp

    headers = {name: request.headers[name] for name in ("range", "accept") if name in request.headers}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        async with session.request(request.method, f"http://{host}{request.raw_target}", headers=headers) as reply:
            kept = [(name.lower(), value) for name, value in reply.headers.items()
                    if name.lower() in ("content-type", "docker-content-digest", "content-range")]
            return Response(reply.status, kept, await reply.read())

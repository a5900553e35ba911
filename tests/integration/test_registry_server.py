"""Our registry by plain HTTP: the distribution specification's steps, its errors, hostile input."""

import base64
import hashlib
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.image import documents
from wherry.container.image.layer_tar import Entry
from wherry.testing.images import content_in, image_of
from wherry.testing.registry import DOMAIN, serving


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Peer:
    def __init__(self, session: aiohttp.ClientSession, host: str, content: Content) -> None:
        self.session, self.base, self.content = session, f"http://{host}", content

    async def __call__(self, method: str, path: str, data: bytes | None = None, **headers: str) -> tuple[int, dict, bytes]:
        url = path if path.startswith("http") else self.base + path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, url, data=data, headers=named, allow_redirects=False) as reply:
            return reply.status, {k.lower(): v for k, v in reply.headers.items()}, await reply.read()

    async def push_blob(self, name: str, data: bytes) -> str:
        status, headers, _ = await self("POST", f"/v2/{name}/blobs/uploads/")
        assert status == 202
        status, headers, _ = await self("PUT", f"{headers['location']}?digest={sha(data)}", data)
        assert status == 201 and headers["docker-content-digest"] == sha(data)
        return sha(data)

    async def push_manifest(self, name: str, reference: str, **more: object) -> tuple[int, dict, bytes]:
        config = await self.push_blob(name, b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}')
        size = self.content.blobs.size(config)
        manifest = {"schemaVersion": 2, "mediaType": documents.OCI_MANIFEST,
                    "config": {"mediaType": documents.OCI_CONFIG, "digest": config, "size": size}, "layers": [], **more}
        data = json.dumps(manifest, indent=3).encode()
        reference = sha(data) if reference == "digest" else reference
        status, headers, body = await self("PUT", f"/v2/{name}/manifests/{reference}", data, content_type=documents.OCI_MANIFEST)
        return status, headers, data if status == 201 else body


@asynccontextmanager
async def peer_of(content: Content, **more):
    async with serving(content, **more) as host, aiohttp.ClientSession() as session:
        yield Peer(session, host, content)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_in(tmp_path / "content", registry=DOMAIN)


async def test_manifest_bytes_come_back_exactly_and_by_both_names(content):
    async with peer_of(content) as peer:
        status, headers, data = await peer.push_manifest("team/app", "v1")
        assert status == 201 and headers["docker-content-digest"] == sha(data)
        for reference in ("v1", sha(data)):
            status, headers, body = await peer("GET", f"/v2/team/app/manifests/{reference}")
            assert (status, body, headers["content-type"]) == (200, data, documents.OCI_MANIFEST)
            status, headers, body = await peer("HEAD", f"/v2/team/app/manifests/{reference}")
            assert (status, body, headers["content-length"]) == (200, b"", str(len(data)))
        assert (await ContentImages(content).present(f"{DOMAIN}/team/app:v1")).digests == (f"{DOMAIN}/team/app@{sha(data)}",)


async def test_chunks_must_come_in_order_and_an_upload_can_be_gone_on_with(content):
    async with peer_of(content) as peer:
        _, headers, _ = await peer("POST", "/v2/a/blobs/uploads/")
        place = headers["location"]
        status, headers, _ = await peer("PATCH", place, b"01234", content_range="0-4")
        assert (status, headers["range"]) == (202, "0-4")
        status, headers, _ = await peer("PATCH", place, b"789", content_range="7-9")
        assert (status, headers["range"]) == (416, "0-4")
        status, headers, _ = await peer("GET", place)
        assert (status, headers["range"]) == (204, "0-4")
        status, _, _ = await peer("PATCH", place, b"56789", content_range="5-9")
        assert status == 202
        status, _, _ = await peer("PUT", f"{place}?digest={sha(b'0123456789')}")
        assert status == 201
        status, headers, body = await peer("GET", f"/v2/a/blobs/{sha(b'0123456789')}", range="bytes=3-5")
        assert (status, body, headers["content-range"]) == (206, b"345", "bytes 3-5/10")
        status, headers, _ = await peer("GET", f"/v2/a/blobs/{sha(b'0123456789')}", range="bytes=10-")
        assert (status, headers["content-range"]) == (416, "bytes */10")
        assert (await peer("GET", place))[0] == 404


async def test_uploads_survive_a_restart_of_the_registry(content):
    data = b"x" * 3_000_000
    async with peer_of(content) as peer:
        _, headers, _ = await peer("POST", "/v2/a/blobs/uploads/")
        place = headers["location"]
        await peer("PATCH", place, data[:2_000_000])
    async with peer_of(content) as peer:
        assert (await peer("PATCH", place, data[2_000_000:], content_range="2000000-2999999"))[0] == 202
        assert (await peer("PUT", f"{place}?digest={sha(data)}"))[0] == 201


async def test_an_upload_can_be_cancelled_and_a_wrong_digest_ends_it(content):
    async with peer_of(content) as peer:
        _, headers, _ = await peer("POST", "/v2/a/blobs/uploads/")
        assert (await peer("DELETE", headers["location"]))[0] == 204
        assert (await peer("DELETE", headers["location"]))[0] == 404
        _, headers, _ = await peer("POST", "/v2/a/blobs/uploads/")
        status, _, body = await peer("PUT", f"{headers['location']}?digest={sha(b'other')}", b"bytes")
        assert status == 400 and json.loads(body)["errors"][0]["code"] == "DIGEST_INVALID"
        assert (await peer("POST", f"/v2/a/blobs/uploads/?digest={sha(b'one')}", b"one"))[0] == 201
    assert list(content.settings.uploads_dir.iterdir()) == []


async def test_mounting_takes_what_is_there_and_else_begins_an_upload(content):
    async with peer_of(content) as peer:
        digest = await peer.push_blob("a", b"blob")
        assert (await peer("HEAD", f"/v2/b/blobs/{digest}"))[0] == 404
        assert (await peer("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=c"))[0] == 202
        assert (await peer("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a"))[0] == 201
        assert (await peer("HEAD", f"/v2/b/blobs/{digest}"))[0] == 200
        assert (await peer("POST", f"/v2/b/blobs/uploads/?mount={sha(b'no')}"))[0] == 202
        assert (await peer("DELETE", f"/v2/b/blobs/{digest}"))[0] == 202
        assert (await peer("GET", f"/v2/b/blobs/{digest}"))[0] == 404
        assert (await peer("GET", f"/v2/a/blobs/{digest}"))[2] == b"blob"


async def test_tags_come_sorted_in_pages(content):
    async with peer_of(content) as peer:
        assert (await peer("GET", "/v2/a/tags/list"))[0] == 404
        for tag in ("v2", "v10", "v1", "Z"):
            await peer.push_manifest("a", tag)
        _, headers, body = await peer("GET", "/v2/a/tags/list?n=3")
        assert json.loads(body) == {"name": "a", "tags": ["Z", "v1", "v10"]}
        next_page = headers["link"][1:].partition(">")[0]
        _, headers, body = await peer("GET", next_page)
        assert json.loads(body)["tags"] == ["v2"] and "link" not in headers
        _, headers, body = await peer("GET", "/v2/a/tags/list?n=0")
        assert json.loads(body)["tags"] == [] and "link" not in headers
        assert json.loads((await peer("GET", "/v2/_catalog"))[2]) == {"repositories": ["a"]}


async def test_referrers_are_listed_also_for_a_subject_that_is_not_there(content):
    subject = {"mediaType": documents.OCI_MANIFEST, "digest": sha(b"none"), "size": 4}
    async with peer_of(content) as peer:
        status, headers, data = await peer.push_manifest(
            "a", "digest", subject=subject, artifactType="application/x.sbom", annotations={"k": "v"})
        assert (status, headers["oci-subject"]) == (201, sha(b"none"))
        _, headers, body = await peer("GET", f"/v2/a/referrers/{sha(b'none')}?artifactType=application/x.sbom")
        (entry,) = json.loads(body)["manifests"]
        assert (entry["digest"], entry["artifactType"], entry["annotations"]) == (sha(data), "application/x.sbom", {"k": "v"})
        assert headers["oci-filters-applied"] == "artifactType" and headers["content-type"] == documents.OCI_INDEX
        assert json.loads((await peer("GET", f"/v2/a/referrers/{sha(b'none')}?artifactType=x"))[2])["manifests"] == []
        assert json.loads((await peer("GET", f"/v2/a/referrers/{sha(b'x')}"))[2])["manifests"] == []
        assert (await peer("GET", "/v2/a/referrers/sha256:x"))[0] == 400


async def test_deleting_a_tag_keeps_the_manifest_and_deleting_the_manifest_takes_its_tags(content):
    async with peer_of(content) as peer:
        _, _, data = await peer.push_manifest("a", "v1")
        await peer.push_manifest("a", "v2")
        assert (await peer("DELETE", "/v2/a/manifests/v1"))[0] == 202
        assert (await peer("GET", f"/v2/a/manifests/{sha(data)}"))[0] == 200
        assert (await peer("DELETE", f"/v2/a/manifests/{sha(data)}"))[0] == 202
        assert (await peer("GET", "/v2/a/manifests/v2"))[0] == 404
        assert (await peer("DELETE", "/v2/a/manifests/v2"))[0] == 404


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), [
    pytest.param("GET", "/v2/a/manifests/none", b"", 404, "MANIFEST_UNKNOWN", id="manifest that is not there"),
    pytest.param("GET", "/v2/a/blobs/sha256:zz", b"", 400, "DIGEST_INVALID", id="digest that is none"),
    pytest.param("GET", "/v2/UPPER/tags/list", b"", 400, "NAME_INVALID", id="name in capitals"),
    pytest.param("GET", "/v2/..%2f..%2fetc/tags/list", b"", 400, "NAME_INVALID", id="name with dots"),
    pytest.param("PUT", "/v2/a/manifests/v1", b"{", 400, "MANIFEST_INVALID", id="manifest that is no JSON"),
    pytest.param("PUT", "/v2/a/manifests/v1", b'{"schemaVersion":1}', 400, "MANIFEST_INVALID", id="schema 1"),
    pytest.param("PUT", f"/v2/a/manifests/sha256:{'0' * 64}", b'{"schemaVersion":2,"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json"}',
                 400, "DIGEST_INVALID", id="manifest of another digest"),
    pytest.param("PUT", "/v2/a/manifests/v1", b"x" * 5_000_000, 413, "SIZE_INVALID", id="manifest too long"),
    pytest.param("PATCH", "/v2/a/blobs/uploads/" + "0" * 32, b"x", 404, "BLOB_UPLOAD_UNKNOWN", id="upload that is not known"),
    pytest.param("GET", "/v2/a/blobs/uploads/..%2f..%2fx", b"", 404, "UNSUPPORTED", id="upload by a path"),
    pytest.param("POST", "/v2/a/tags/list", b"", 405, "UNSUPPORTED", id="wrong method"),
])
async def test_refusals_name_their_code(content, method, path, body, status, code):
    async with peer_of(content) as peer:
        got, headers, answer = await peer(method, path, body, content_type="")
        assert (got, json.loads(answer)["errors"][0]["code"]) == (status, code)


async def test_a_manifest_whose_layer_is_missing_is_refused(content):
    layer = {"mediaType": documents.LAYER_GZIP, "digest": sha(b"missing"), "size": 7}
    async with peer_of(content) as peer:
        status, _, body = await peer.push_manifest("a", "v1", layers=[layer])
        assert status == 404 and json.loads(body)["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


async def test_only_the_password_lets_in(content, tmp_path):
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    async with peer_of(content, password_file=file) as peer:
        status, headers, body = await peer("GET", "/v2/")
        assert status == 401 and headers["www-authenticate"].startswith("Basic") and b"s3cret" not in body
        for word, wanted in (("s3cret", 200), ("wrong", 401), ("", 401)):
            login = base64.b64encode(f"wherry:{word}".encode()).decode()
            assert (await peer("GET", "/v2/", authorization=f"Basic {login}"))[0] == wanted
        file.unlink()
        assert (await peer("GET", "/v2/", authorization="Basic " + base64.b64encode(b"wherry:").decode()))[0] == 401


async def test_an_image_built_here_can_be_pulled_from_the_registry_without_a_push(content):
    image = await image_of(content, f"{DOMAIN}/shop/users:v1", [[Entry("a", data=b"1")]])
    async with peer_of(content) as peer:
        status, _, body = await peer("GET", "/v2/shop/users/manifests/v1")
        assert status == 200
        manifest = documents.parse(body)
        assert sha((await peer("GET", f"/v2/shop/users/blobs/{manifest.layers[0].digest}"))[2]) == manifest.layers[0].digest
        assert sha((await peer("GET", f"/v2/shop/users/blobs/{image.id}"))[2]) == image.id


async def test_images_of_other_domains_can_be_read_as_from_a_mirror(content):
    await image_of(content, "wherry.local/app:1", [[Entry("a", data=b"1")]])
    async with peer_of(content) as peer:
        assert (await peer("GET", "/v2/app/manifests/1"))[0] == 404
        assert (await peer("GET", "/v2/app/manifests/1?ns=wherry.local"))[0] == 200
        assert (await peer("DELETE", "/v2/app/manifests/1?ns=wherry.local"))[0] == 405

"""The registry's blobs: HEAD, GET with ranges, DELETE, and uploads in all their forms.

Spec: OCI distribution-spec 1.1, end-2, end-4 to end-6, end-10, end-11, end-13, end-14; RFC 9110 section 14.
"""

import asyncio
import re
from collections.abc import AsyncIterator

from wherry.container.content.content import Content
from wherry.container.image import digest as digests
from wherry.container.image import documents
from wherry.container.image import reference as references
from wherry.container.registry.problems import Problem
from wherry.container.registry.routes import Route
from wherry.container.registry.settings import RegistrySettings
from wherry.container.registry.uploads import Uploads
from wherry.kit.errors import WherryError
from wherry.kit.http.message import Request, Response

PART_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_CHUNK = re.compile(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?\Z")


class BlobApi:
    """Handlers by method; `repository` is the full name, domain included."""

    def __init__(self, content: Content, settings: RegistrySettings) -> None:
        self._content = content
        self._settings = settings
        self._uploads = Uploads(content, settings)

    async def blob(self, request: Request, route: Route, repository: str) -> Response:
        """GET, HEAD, DELETE of one blob."""
        if not await asyncio.to_thread(self._has, repository, route.item):
            raise Problem("BLOB_UNKNOWN", f"blob {route.item} is not in {route.name}")
        if request.method == "DELETE":
            return await asyncio.to_thread(self._delete, repository, route)
        if request.method not in ("GET", "HEAD"):
            raise Problem("UNSUPPORTED", f"{request.method} is not a method of blobs")
        size = self._content.blobs.size(route.item) or 0
        headers = [
            ("docker-content-digest", route.item), ("content-type", "application/octet-stream"), ("accept-ranges", "bytes"),
            ("etag", f'"{route.item}"'), ("cache-control", "max-age=31536000, immutable"),
        ]  # fmt: skip
        start, end, status = _range(request.headers.get("range", ""), size)
        if status == 206:
            headers.append(("content-range", f"bytes {start}-{end - 1}/{size}"))
        headers.append(("content-length", str(end - start)))
        if request.method == "HEAD":
            return Response(200, headers)
        return Response(status, headers, self._send(route.item, start, end))

    async def upload(self, request: Request, route: Route, repository: str) -> Response:
        """POST to begin, PATCH, PUT, GET, DELETE of one upload."""
        if request.method == "POST" and not route.item:
            return await self._begin(request, route, repository)
        match request.method:
            case "PATCH":
                size = await self._uploads.append(repository, route.item, request.body, _chunk_start(request))
                return self._accepted(202, route, route.item, size)
            case "PUT":
                return await self._finish(request, route, repository)
            case "GET":
                return self._accepted(204, route, route.item, self._uploads.size(repository, route.item))
            case "DELETE":
                self._uploads.cancel(repository, route.item)
                return Response(204)
        raise Problem("UNSUPPORTED", f"{request.method} is not a method of uploads")

    async def _begin(self, request: Request, route: Route, repository: str) -> Response:
        if mounted := request.param("mount"):
            source = request.param("from")
            if await asyncio.to_thread(self._mount, repository, mounted, source):
                return _created(route, mounted)
        if algorithm := request.param("digest-algorithm"):
            digests.hasher(algorithm)
        session = self._uploads.begin(repository)
        if not request.param("digest"):
            return self._accepted(202, route, session, 0)
        digest = _checked(request.param("digest"))
        await self._uploads.append(repository, session, request.body, None)
        return await self._stored(route, repository, session, digest)

    async def _finish(self, request: Request, route: Route, repository: str) -> Response:
        digest = _checked(request.param("digest"))
        await self._uploads.append(repository, route.item, request.body, _chunk_start(request))
        return await self._stored(route, repository, route.item, digest)

    async def _stored(self, route: Route, repository: str, session: str, digest: str) -> Response:
        await self._uploads.finish(repository, session, digest)
        await asyncio.to_thread(self._content.index.link, repository, digest)
        return _created(route, digest)

    def _accepted(self, status: int, route: Route, session: str, size: int) -> Response:
        location = f"/v2/{route.name}/blobs/uploads/{session}"
        headers = [("location", location), ("range", f"0-{max(size - 1, 0)}"), ("docker-upload-uuid", session)]
        return Response(status, [*headers, ("content-length", "0")] if status != 204 else headers)

    def _mount(self, repository: str, digest: str, source: str) -> bool:
        if not digests.is_digest(digest) or not self._content.blobs.keep(digest):
            return False
        if source and not (references.is_path(source) and self._has(f"{self._settings.domain}/{source}", digest)):
            return False
        self._content.index.link(repository, digest)
        return True

    def _has(self, repository: str, digest: str) -> bool:
        """Linked by an upload or mount, or named by a manifest that came in another way (a local build, a pull)."""
        if self._content.blobs.size(digest) is None:
            return False
        if self._content.index.is_linked(repository, digest):
            return True
        for manifest in self._content.index.manifests(repository):
            if digest == manifest.digest or digest in self._named_by(manifest.digest):
                self._content.index.link(repository, digest)
                return True
        return False

    def _named_by(self, manifest: str) -> set[str]:
        try:
            document = documents.parse(self._content.blobs.read(manifest))
        except WherryError:
            return set()
        return {blob.digest for blob in document.blobs} if isinstance(document, documents.Manifest) else set()

    def _delete(self, repository: str, route: Route) -> Response:
        for manifest in self._content.index.manifests(repository):
            if route.item in self._named_by(manifest.digest):
                raise Problem("UNSUPPORTED", f"blob {route.item} is used by manifest {manifest.digest}; delete that first")
        self._content.index.unlink(repository, route.item)
        return Response(202, [("content-length", "0")])

    async def _send(self, digest: str, start: int, end: int) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._content.blobs.open, digest)
        try:
            file.seek(start)
            while start < end:
                part = await asyncio.to_thread(file.read, min(PART_BYTES, end - start))
                if not part:
                    return
                start += len(part)
                yield part
        finally:
            file.close()


def _created(route: Route, digest: str) -> Response:
    location = f"/v2/{route.name}/blobs/{digest}"
    return Response(201, [("location", location), ("docker-content-digest", digest), ("content-length", "0")])


def _checked(digest: str) -> str:
    if not digests.is_digest(digest):
        raise Problem("DIGEST_INVALID", f"digest {digest[:200]!r} is missing or not a digest")
    return digest


def _chunk_start(request: Request) -> int | None:
    text = request.headers.get("content-range", "")
    if not text:
        return None
    match = _CHUNK.match(text)
    if match is None or int(match[2]) < int(match[1]):
        raise Problem("BLOB_UPLOAD_INVALID", f"Content-Range {text[:100]!r} is not <start>-<end>")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) != int(match[2]) - int(match[1]) + 1:
        raise Problem("SIZE_INVALID", f"Content-Range {text[:100]!r} is not of the Content-Length {length}", status=400)
    return int(match[1])


def _range(text: str, size: int) -> tuple[int, int, int]:
    """Start, end and status. Several ranges, or other units, are answered in full, as RFC 9110 allows."""
    match = _RANGE.match(text)
    if match is None or match[0] == "bytes=-":
        return 0, size, 200
    if not match[1]:
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    if start >= end:
        whole = (("content-range", f"bytes */{size}"),)
        raise Problem("RANGE_INVALID", f"range {text[:100]!r} is not within {size} bytes", headers=whole)
    return start, end, 206

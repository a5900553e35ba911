"""The registry's manifests, tags, catalog and referrers.

Spec: OCI distribution-spec 1.1, end-3, end-7 to end-9, end-12; `_catalog` as in Docker's registry.
"""

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import quote

from wherry.container.content.content import Content
from wherry.container.content.index import StoredManifest
from wherry.container.image import digest as digests
from wherry.container.image import documents
from wherry.container.image import reference as references
from wherry.container.image.documents import Descriptor, Index, Manifest
from wherry.container.image.reference import Reference
from wherry.container.registry.problems import Problem
from wherry.container.registry.routes import Route
from wherry.container.registry.settings import RegistrySettings
from wherry.kit.errors import Invalid, Unsupported, WherryError
from wherry.kit.http.message import Request, Response

JSON = ("content-type", "application/json")
TAGS_IN_PUT_MAX = 10
_FOREIGN = ("foreign", "nondistributable")


class ManifestApi:
    """Handlers; `repository` is the full name, domain included."""

    def __init__(self, content: Content, settings: RegistrySettings) -> None:
        self._content = content
        self._settings = settings

    async def manifest(self, request: Request, route: Route, repository: str) -> Response:
        """GET, HEAD, PUT, DELETE by tag or digest."""
        match request.method:
            case "GET" | "HEAD":
                return await asyncio.to_thread(self._get, request, route, repository)
            case "PUT":
                body = await request.read(documents.DOCUMENT_BYTES_MAX)
                return await asyncio.to_thread(self._put, request, route, repository, body)
            case "DELETE":
                return await asyncio.to_thread(self._delete, route, repository)
        raise Problem("UNSUPPORTED", f"{request.method} is not a method of manifests")

    def tags(self, request: Request, route: Route, repository: str) -> Response:
        """The tags of a repository, in pages."""
        if not self._content.index.manifests(repository):
            raise Problem("NAME_UNKNOWN", f"repository name not known to registry: {route.name}")
        found, headers = self._page(request, self._content.index.tags(repository), f"/v2/{route.name}/tags/list")
        return Response(200, [JSON, *headers], json.dumps({"name": route.name, "tags": found}).encode())

    def catalog(self, request: Request) -> Response:
        """The repositories, in pages."""
        found, headers = self._page(request, self._content.index.repositories(self._settings.domain), "/v2/_catalog")
        return Response(200, [JSON, *headers], json.dumps({"repositories": found}).encode())

    def referrers(self, request: Request, route: Route, repository: str) -> Response:
        """What has the manifest as its subject: always an index, maybe empty."""
        wanted = request.param("artifactType")
        found = self._content.index.referrers(repository, route.item)
        entries = [self._entry(one).document() for one in found if not wanted or one.artifact_type == wanted]
        body = documents.dump({"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": entries})
        headers = [("content-type", documents.OCI_INDEX)]
        if wanted:
            headers.append(("oci-filters-applied", "artifactType"))
        return Response(200, headers, body)

    def _get(self, request: Request, route: Route, repository: str) -> Response:
        digest = route.item if ":" in route.item else self._content.index.tag(repository, route.item)
        stored = self._content.index.manifest(repository, digest) if digest else None
        if stored is None or self._content.blobs.size(stored.digest) is None:
            raise Problem("MANIFEST_UNKNOWN", f"manifest {route.item!r} is not in {route.name}")
        headers = [("content-type", stored.media_type), ("docker-content-digest", digest), ("etag", f'"{digest}"')]
        if request.method == "HEAD":
            return Response(200, [*headers, ("content-length", str(stored.size))])
        return Response(200, headers, self._content.blobs.read(digest))

    def _put(self, request: Request, route: Route, repository: str, body: bytes) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        document = _parsed(body, media_type)
        is_digest = ":" in route.item
        digest = digests.of(body, route.item.partition(":")[0] if is_digest else "sha256")
        if is_digest and digest != route.item:
            raise Problem("DIGEST_INVALID", f"manifest has the digest {digest}, not {route.item}")
        self._check_parts(document, repository)
        tags = request.query.get("tag", []) if is_digest else [route.item]
        if len(tags) > TAGS_IN_PUT_MAX or not all(references.is_tag(tag) for tag in tags):
            raise Problem("TAG_INVALID", f"want at most {TAGS_IN_PUT_MAX} tags, each of at most 128 letters, digits, '.', '_', '-'")
        self._content.blobs.add(body, digest.partition(":")[0])
        target = Reference(*_split(repository), "", digest)
        self._content.record(target, digest, tags=tags, media_type=media_type)
        headers = [("location", f"/v2/{route.name}/manifests/{route.item}"), ("docker-content-digest", digest)]
        if document.subject is not None:
            headers.append(("oci-subject", document.subject.digest))
        if is_digest:
            headers += [("oci-tag", tag) for tag in tags]
        return Response(201, [*headers, ("content-length", "0")])

    def _check_parts(self, document: Manifest | Index, repository: str) -> None:
        """Everything a manifest names must be here; its subject need not be."""
        if isinstance(document, Index):
            for entry in document.manifests:
                if self._content.index.manifest(repository, entry.digest) is None:
                    raise Problem("MANIFEST_BLOB_UNKNOWN", f"manifest {entry.digest} is not in the repository; push it first")
            return
        for blob in document.blobs:
            if any(word in blob.media_type for word in _FOREIGN):
                continue
            if not self._content.blobs.keep(blob.digest):
                raise Problem("MANIFEST_BLOB_UNKNOWN", f"blob {blob.digest} is not in the registry; push it first")
            if self._content.blobs.size(blob.digest) != blob.size:
                raise Problem("MANIFEST_INVALID", f"blob {blob.digest} has not the {blob.size} bytes the manifest says")

    def _delete(self, route: Route, repository: str) -> Response:
        if ":" in route.item:
            gone = self._content.index.delete_manifest(repository, route.item)
        else:
            gone = self._content.index.delete_tag(repository, route.item)
        if not gone:
            raise Problem("MANIFEST_UNKNOWN", f"manifest {route.item!r} is not in {route.name}")
        return Response(202, [("content-length", "0")])

    def _entry(self, stored: StoredManifest) -> Descriptor:
        try:
            annotations = documents.parse(self._content.blobs.read(stored.digest)).annotations
        except WherryError:
            annotations = {}
        return Descriptor(stored.media_type, stored.digest, stored.size, annotations, artifact_type=stored.artifact_type)

    def _page(self, request: Request, names: Sequence[str], path: str) -> tuple[list[str], list[tuple[str, str]]]:
        asked = request.param("n")
        if asked and not asked.isdigit():
            raise Problem("PAGINATION_NUMBER_INVALID", f"n={asked[:40]!r} is not a number")
        count = min(int(asked), self._settings.page_max) if asked else self._settings.page_max
        last = request.param("last")
        rest = [name for name in names if name > last] if last else list(names)
        page = rest[:count]
        if not page or len(rest) == len(page):
            return page, []
        return page, [("link", f'<{path}?n={count}&last={quote(page[-1], safe="")}>; rel="next"')]


def _parsed(body: bytes, media_type: str) -> Manifest | Index:
    try:
        document = documents.parse(body, media_type)
    except (Invalid, Unsupported) as error:
        raise Problem("MANIFEST_INVALID", str(error)) from error
    said = documents.load(body).get("mediaType")
    if said and media_type and said != media_type:
        raise Problem("MANIFEST_INVALID", f"Content-Type is {media_type[:100]!r}, the manifest says {said[:100]!r}")
    return document


def _split(repository: str) -> tuple[str, str]:
    domain, _, path = repository.partition("/")
    return domain, path

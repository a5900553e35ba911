"""Talk to any registry: manifests, blobs, pushes, referrers.

In:    references, descriptors, credentials.
Out:   bytes; verified where a digest is known. Implements `content.source.ImageSource`.
Spec:  OCI distribution-spec 1.1.
Never: stores anything (`content` does) or sends credentials to a host it was redirected to.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from urllib.parse import quote, urljoin

from wherry.container.content.source import Login
from wherry.container.image import digest as digests
from wherry.container.image import documents
from wherry.container.image.documents import Descriptor
from wherry.container.image.reference import Reference
from wherry.container.registry.exchange import Exchange, Reply
from wherry.container.registry.hosts import Endpoint, endpoints
from wherry.container.registry.settings import ClientSettings
from wherry.kit.errors import Forbidden, Invalid, NotFound, Unavailable, WherryError

log = logging.getLogger(__name__)

PART_BYTES = 256 * 1024
ACCEPT = ", ".join((documents.OCI_MANIFEST, documents.OCI_INDEX, documents.DOCKER_MANIFEST, documents.DOCKER_LIST, "*/*;q=0.1"))


class RegistryClient:
    """One for a process. Close it, or use it as an async context manager."""

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self.settings = settings or ClientSettings()
        self.exchange = Exchange(self.settings)

    async def __aenter__(self) -> "RegistryClient":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close idle connections. Idempotent."""
        await self.exchange.close()

    async def manifest(self, reference: Reference, login: Login = ()) -> tuple[Descriptor, bytes]:
        """See `ImageSource`. Mirrors are asked first; the registry itself decides when they do not have it."""
        wanted = reference.digest or reference.tagged().tag
        last: WherryError = NotFound(f"{reference.familiar}: no registry may be asked for it; see hosts.toml")
        for endpoint in endpoints(reference.domain, self.settings):
            if not endpoint.can & {"resolve", "pull"} or (not reference.digest and "resolve" not in endpoint.can):
                continue
            try:
                url = manifest_url(endpoint, reference, wanted)
                async with self.exchange.send("GET", url, endpoint, reference, login, headers={"Accept": ACCEPT}) as reply:
                    self._check(reply, reference)
                    data = await reply.read(documents.DOCUMENT_BYTES_MAX)
                    return _described(reply, data, reference), data
            except (NotFound, Forbidden, Unavailable) as error:
                log.debug("manifest %s at %s: %s", reference, endpoint.base, error)
                last = error if isinstance(last, NotFound) or not isinstance(error, NotFound) else last
        raise last

    async def blob(
        self, reference: Reference, blob: Descriptor, *, offset: int = 0, login: Login = ()
    ) -> AsyncIterator[bytes]:
        """See `ImageSource`."""
        last: WherryError = NotFound(f"blob {blob.digest} of {reference.familiar}: not found")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        for endpoint in endpoints(reference.domain, self.settings):
            if "pull" not in endpoint.can:
                continue
            started = False
            try:
                url = blob_url(endpoint, reference, blob.digest)
                async with self.exchange.send("GET", url, endpoint, reference, login, headers=headers) as reply:
                    self._check(reply, reference)
                    started = True
                    if offset and reply.status != 206:
                        yield b""  # the server starts at 0
                    async for part in reply.parts(PART_BYTES):
                        yield part
                return
            except (NotFound, Forbidden, Unavailable) as error:
                if started:
                    raise  # the caller goes on at another offset
                last = error
        raise last

    async def has_blob(self, reference: Reference, digest: str, login: Login = ()) -> bool:
        """Whether the registry itself has a blob."""
        endpoint, url = await self._own(reference, lambda one: blob_url(one, reference, digest))
        async with self.exchange.send("HEAD", url, endpoint, reference, login, write=True) as reply:
            return reply.status == 200

    async def has_manifest(self, reference: Reference, digest: str, login: Login = ()) -> bool:
        """Whether the registry itself has a manifest."""
        endpoint, url = await self._own(reference, lambda one: manifest_url(one, reference, digest))
        async with self.exchange.send("HEAD", url, endpoint, reference, login, write=True, headers={"Accept": ACCEPT}) as reply:
            return reply.status == 200

    async def put_manifest(self, reference: Reference, data: bytes, media_type: str, login: Login = ()) -> bool:
        """Store a manifest under the reference's tag, or its digest. Whether the registry saw its subject, if it has one."""
        wanted = reference.tag or reference.digest or digests.of(data)
        endpoint, url = await self._own(reference, lambda one: manifest_url(one, reference, wanted))
        headers = {"Content-Type": media_type}
        async with self.exchange.send("PUT", url, endpoint, reference, login, write=True, headers=headers, body=data) as reply:
            self._check_written(reply, reference)
            return "oci-subject" in reply.headers

    async def mount(self, reference: Reference, digest: str, source: str, login: Login = ()) -> str:
        """Begin an upload by asking to take the blob from another repository. "" when that worked, else where to upload."""
        endpoint, url = await self._own(reference, lambda one: f"{one.base}/{reference.path}/blobs/uploads/")
        if source:
            url += f"?mount={quote(digest, safe=':')}&from={quote(source, safe='')}"
        async with self.exchange.send("POST", url, endpoint, reference, login, write=True, other=source) as reply:
            self._check_written(reply, reference)
            if reply.status == 201:
                return ""
            location = reply.headers.get("location", "")
            if not location:
                raise Unavailable(f"{endpoint.host}: an upload was accepted without a Location")
            return urljoin(url, location)

    async def upload(
        self, reference: Reference, location: str, digest: str, size: int, parts: AsyncIterator[bytes], login: Login = ()
    ) -> None:
        """Send a whole blob to where `mount` said."""
        endpoint, _ = await self._own(reference, lambda one: one.base)
        url = location + ("&" if "?" in location else "?") + f"digest={quote(digest, safe=':')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        async with self.exchange.send("PUT", url, endpoint, reference, login, write=True, headers=headers, stream=parts) as reply:
            self._check_written(reply, reference)

    async def referrers(self, reference: Reference, digest: str, login: Login = ()) -> documents.Index:
        """What refers to a manifest, by the API or by the tag that stands in for it at older registries."""
        endpoint, url = await self._own(reference, lambda one: f"{one.base}/{reference.path}/referrers/{digest}")
        async with self.exchange.send("GET", url, endpoint, reference, login) as reply:
            if reply.status == 200:
                found = documents.parse(await reply.read(documents.DOCUMENT_BYTES_MAX), documents.OCI_INDEX)
                if isinstance(found, documents.Index):
                    return found
            elif reply.status != 404:
                self._check(reply, reference)
        try:
            stand_in = Reference(reference.domain, reference.path, digest.replace(":", "-", 1))
            found = documents.parse((await self.manifest(stand_in, login))[1])
            return found if isinstance(found, documents.Index) else documents.Index(documents.OCI_INDEX, ())
        except NotFound:
            return documents.Index(documents.OCI_INDEX, ())

    async def tags(self, reference: Reference, login: Login = ()) -> list[str]:
        """All tags of a repository."""
        endpoint, url = await self._own(reference, lambda one: f"{one.base}/{reference.path}/tags/list?n=1000")
        found: list[str] = []
        for _ in range(1000):
            async with self.exchange.send("GET", url, endpoint, reference, login) as reply:
                self._check(reply, reference)
                found += documents.load(await reply.read(documents.DOCUMENT_BYTES_MAX)).get("tags") or []
                link = reply.headers.get("link", "")
            if 'rel="next"' not in link or not link.startswith("<"):
                break
            url = urljoin(url, link[1:].partition(">")[0])
        return sorted(found)  # Docker's registry gives them in any order

    async def delete_manifest(self, reference: Reference, login: Login = ()) -> None:
        """Delete a manifest by digest, or only a tag. `NotFound` when it is not there."""
        wanted = reference.digest or reference.tag
        endpoint, url = await self._own(reference, lambda one: manifest_url(one, reference, wanted))
        async with self.exchange.send("DELETE", url, endpoint, reference, login, write=True) as reply:
            self._check_written(reply, reference)

    async def _own(self, reference: Reference, url: Callable[[Endpoint], str]) -> tuple[Endpoint, str]:
        """The registry itself, not a mirror; of HTTPS and HTTP on loopback the one that answers."""
        own = [one for one in endpoints(reference.domain, self.settings) if not one.namespace]
        if len(own) > 1:
            own = [await self.exchange.answering(own)]
        return own[0], url(own[0])

    def _check_written(self, reply: Reply, reference: Reference) -> None:
        if reply.status not in (401, 403):
            self._check(reply, reference)
            return
        mend = "log in with an account that may push"
        if self.settings.docker_config:
            mend += f"; logins are read from {self.settings.docker_config}, where `docker login {reference.domain}` writes them"
        raise Forbidden(f"push access denied for {reference.familiar}: {reply.host}: {reply.message()}; {mend}")

    def _check(self, reply: Reply, reference: Reference) -> None:
        if reply.status < 300:
            return
        said = f"{reply.host}: {reference.familiar}: {reply.message()}"
        if reply.status == 404:
            raise NotFound(f"{reference}: not found")
        if reply.status in (401, 403):
            raise Forbidden(f"pull access denied for {reference.familiar}, or it does not exist: {said}")
        if reply.status == 429 or reply.status >= 500:
            raise Unavailable(said)
        raise Invalid(said)


def manifest_url(endpoint: Endpoint, reference: Reference, wanted: str) -> str:
    """Where a manifest is."""
    return f"{endpoint.base}/{reference.path}/manifests/{wanted}" + _namespace(endpoint)


def blob_url(endpoint: Endpoint, reference: Reference, digest: str) -> str:
    """Where a blob is."""
    return f"{endpoint.base}/{reference.path}/blobs/{digest}" + _namespace(endpoint)


def _namespace(endpoint: Endpoint) -> str:
    return f"?ns={quote(endpoint.namespace, safe=':')}" if endpoint.namespace else ""


def _described(reply: Reply, data: bytes, reference: Reference) -> Descriptor:
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
    announced = reference.digest or reply.headers.get("docker-content-digest", "")
    algorithm = announced.partition(":")[0] if digests.is_digest(announced) else "sha256"
    found = digests.of(data, algorithm)
    if digests.is_digest(announced) and found != announced:
        raise Unavailable(f"{reply.host}: {reference.familiar}: want {announced}, the manifest it sends is {found}")
    parsed = documents.parse(data, media_type)
    return Descriptor(parsed.media_type, found, len(data))


async def read_parts(path: str) -> AsyncIterator[bytes]:
    """A file as parts, read in a thread."""
    file = await asyncio.to_thread(open, path, "rb")
    try:
        while part := await asyncio.to_thread(file.read, 1 << 20):
            yield part
    finally:
        file.close()

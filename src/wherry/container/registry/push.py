"""Send an image, and what refers to it, from the content store to a registry.

In:    an image in the store, the name to push it as, credentials.
Out:   the digest it has there; blobs the registry has already are not sent.
Spec:  OCI distribution-spec 1.1 "Pushing manifests", "Mounting a blob", "Pushing manifests with subject".
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from wherry.container.content.content import Content
from wherry.container.content.source import Login
from wherry.container.image import documents
from wherry.container.image.documents import Descriptor, Index, Manifest
from wherry.container.image.reference import Reference
from wherry.container.registry.client import RegistryClient, read_parts
from wherry.kit.errors import NotFound, Unavailable, WherryError

UPLOADS_MAX = 4
BLOB_TRIES_MAX = 3
DEPTH_MAX = 4
Progress = Callable[[str], None]


async def push_image(
    client: RegistryClient,
    content: Content,
    source: str,
    target: str,
    login: Login = (),
    *,
    progress: Progress = lambda line: None,
    with_referrers: bool = True,
) -> str:
    """Push the image `source` (a name or id in the store) as `target`. Return the digest of its manifest or index.

    Into the registry that serves this very folder nothing is sent: the image gets the other name.
    """
    digest = await asyncio.to_thread(content.digest_of, source)
    reference = content.parse(target)
    if reference.domain == content.settings.registry:
        await asyncio.to_thread(content.record, reference, digest)
        return digest
    work = _Push(client, content, reference, login, progress)
    await work.send(digest, DEPTH_MAX, tag=reference.tag)
    if with_referrers:
        named = content.index.repositories_of(digest)
        for found in {one.digest: one for name in named for one in content.index.referrers(name, digest)}.values():
            await work.send_referrer(found.digest, digest)
    return digest


class _Push:
    def __init__(self, client: RegistryClient, content: Content, reference: Reference, login: Login, progress: Progress) -> None:
        self._client = client
        self._content = content
        self._reference = replace(reference, tag="", digest="")
        self._login = login
        self._progress = progress
        self._limit = asyncio.Semaphore(UPLOADS_MAX)

    async def send(self, digest: str, depth: int, *, tag: str = "") -> bool:
        """Blobs first, then children, then the manifest itself. Whether the registry knows about subjects."""
        data = await asyncio.to_thread(self._content.blobs.read, digest)
        document = documents.parse(data)
        if isinstance(document, Index):
            for entry in document.manifests:
                if depth and self._content.blobs.size(entry.digest) is not None:
                    await self.send(entry.digest, depth - 1)
        else:
            await self._send_blobs(document)
        target = replace(self._reference, tag=tag, digest="" if tag else digest)
        return await self._client.put_manifest(target, data, document.media_type, self._login)

    async def send_referrer(self, digest: str, subject: str) -> None:
        """An artifact about the image; at registries without the referrers API also listed under the stand-in tag."""
        if await self.send(digest, 0):
            return
        stand_in = replace(self._reference, tag=subject.replace(":", "-", 1))
        try:
            index = documents.load((await self._client.manifest(stand_in, self._login))[1])
        except NotFound:
            index = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": []}
        if any(entry.get("digest") == digest for entry in index["manifests"]):
            return
        document = documents.parse(self._content.blobs.read(digest))
        size = self._content.blobs.size(digest) or 0
        entry = Descriptor(document.media_type, digest, size, document.annotations, artifact_type=document.artifact_type)
        index["manifests"].append(entry.document())
        await self._client.put_manifest(stand_in, documents.dump(index), documents.OCI_INDEX, self._login)

    async def _send_blobs(self, manifest: Manifest) -> None:
        wanted = {blob.digest: blob for blob in manifest.blobs}
        try:
            async with asyncio.TaskGroup() as tasks:
                for blob in wanted.values():
                    tasks.create_task(self._send_blob(blob), name=f"push {blob.digest}")
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _send_blob(self, blob: Descriptor) -> None:
        async with self._limit:
            if await self._client.has_blob(self._reference, blob.digest, self._login):
                self._progress(f"{blob.digest[7:19]}: layer already exists")
                return
            for tries_left in reversed(range(BLOB_TRIES_MAX)):
                try:
                    await self._upload(blob)
                    return
                except Unavailable:
                    if not tries_left:
                        raise
                    await asyncio.sleep(0.5 * (BLOB_TRIES_MAX - tries_left))

    async def _upload(self, blob: Descriptor) -> None:
        location = await self._client.mount(self._reference, blob.digest, self._mountable(blob.digest), self._login)
        if not location:
            self._progress(f"{blob.digest[7:19]}: mounted")
            return
        self._progress(f"{blob.digest[7:19]}: pushing {blob.size / 1e6:.1f} MB")
        if self._content.blobs.size(blob.digest) is None:
            raise NotFound(f"blob {blob.digest} is not in the store; pull or build the image again")
        parts = read_parts(str(self._content.blobs.path(blob.digest)))
        await self._client.upload(self._reference, location, blob.digest, blob.size, parts, self._login)

    def _mountable(self, digest: str) -> str:
        """Another repository of that registry which, by what is known here, has the blob."""
        lead = f"{self._reference.domain}/"
        for manifest in self._content.index.manifests():
            if not manifest.repository.startswith(lead) or manifest.repository == self._reference.repository:
                continue
            try:
                document = documents.parse(self._content.blobs.read(manifest.digest))
            except WherryError:
                continue
            if isinstance(document, Manifest) and any(blob.digest == digest for blob in document.blobs):
                return manifest.repository.removeprefix(lead)
        return ""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

"""The node's images: present, pull, list, remove. Implements `image.service.ImageService`.

In:    image names, credentials; a source of what is not here.
Out:   images whose blobs are all here and whose layers are unpacked, so that a container starts at once.
Never: talks HTTP (the source does) or chooses when to collect garbage other than after `remove`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wherry.container.content.blobs import Partial
from wherry.container.content.collect import collect, prune
from wherry.container.content.content import Content, as_id
from wherry.container.content.index import StoredImage
from wherry.container.content.snapshots import Unpacker
from wherry.container.content.source import ImageSource, Login
from wherry.container.image import documents, platform
from wherry.container.image.documents import Descriptor, Index, Manifest
from wherry.container.image.reference import Reference
from wherry.container.image.service import Image
from wherry.kit.clock import Clock, SystemClock
from wherry.kit.errors import Forbidden, Invalid, NotFound, Unavailable, Unsupported

log = logging.getLogger(__name__)

BLOB_TRIES_MAX = 5
OTHER_PULL_POLL_S = 0.1
NESTED_INDEX_MAX = 4
COLLECT_INTERVAL_S = 1800.0
Progress = Callable[[str, int, int], None]  # digest, bytes so far, bytes in all


@dataclass(slots=True)
class _Pull:
    """One pull and everybody who waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers: int = 0
    image: Image | None = None


class ContentImages:
    """See `ImageService`. `source` None: nothing can be pulled. `in_use` names layer folders that must stay."""

    def __init__(
        self,
        content: Content,
        source: ImageSource | None = None,
        *,
        clock: Clock | None = None,
        in_use: Callable[[], Iterable[str]] = lambda: (),
        progress: Progress = lambda digest, done, size: None,
    ) -> None:
        self.content = content
        self.unpacker = Unpacker(content)
        self._source = source
        self._clock = clock or SystemClock()
        self._in_use = in_use
        self._progress = progress
        self._pulls: dict[tuple[str, Login], _Pull] = {}

    async def present(self, reference: str) -> Image | None:
        """The image for a name, name@digest or id; never asks the network."""
        return await asyncio.to_thread(self._present, reference)

    async def images(self) -> list[Image]:
        """All of them that have a name."""
        return await asyncio.to_thread(self._images)

    async def pull(self, reference: str, credentials: Login = ()) -> Image:
        """Fetch what is missing, unpack it and return the image. Concurrent pulls of one reference are one pull."""
        name = self.content.parse(reference)
        key = (str(name), credentials)
        pull = self._pulls.setdefault(key, _Pull())
        pull.callers += 1
        try:
            async with pull.lock:
                if pull.image is None:  # nobody finished it while this caller waited
                    pull.image = await self._pull_or_say_why(name, credentials)
                return pull.image
        finally:
            pull.callers -= 1
            if not pull.callers:
                del self._pulls[key]

    async def remove(self, reference: str) -> None:
        """Drop a name, or with an id all names of an image, and then what nothing needs. Idempotent."""
        await asyncio.to_thread(self._remove, reference)
        await self.collect()

    async def keep_collected(self) -> None:
        """Collect now and then, for ever: builds and broken-off pulls leave content that no `remove` is about."""
        while True:
            await asyncio.sleep(COLLECT_INTERVAL_S)
            await self.collect()

    async def prune(self, older_than_s: float) -> int:
        """Remove images without a tag that are older than that; see `collect.prune`. How many there were."""
        before = self._clock.now().timestamp() - older_than_s
        forgotten = await asyncio.to_thread(lambda: prune(self.content, before=before))
        await self.collect()
        return forgotten

    async def collect(self) -> None:
        """Remove what nothing refers to and nobody touched within the grace period."""
        now = self._clock.now().timestamp()
        await asyncio.to_thread(lambda: collect(self.content, now=now, in_use=frozenset(self._in_use())))

    def _present(self, reference: str) -> Image | None:
        if as_id(reference):
            for stored in self.content.index.images(as_id(reference)):
                if self.content.available(stored.digest):
                    return self.content.image(stored)
            return None
        self.content.parse(reference)
        try:
            digest = self.content.digest_of(reference)
        except NotFound:
            return None
        found = self.content.available(digest)
        return self.content.image(found) if found else None

    def _images(self) -> list[Image]:
        by_id = {stored.id: stored for stored in self.content.index.images()}
        here = (stored for _, stored in sorted(by_id.items()) if self.content.available(stored.digest))
        found = (self.content.image(stored) for stored in here)
        return [image for image in found if image.tags or image.digests]

    def _remove(self, reference: str) -> None:
        index = self.content.index
        if image_id := as_id(reference):
            for stored in index.images(image_id):
                for repository in index.repositories_of(stored.digest):
                    index.delete_manifest(repository, stored.digest)
            return
        name = self.content.parse(reference)
        if name.digest:
            index.delete_manifest(name.repository, name.digest)
            return
        digest = index.tag(name.repository, name.tag)
        index.delete_tag(name.repository, name.tag)
        if digest and not any(repository == name.repository for repository, _ in index.tags_of(digest)):
            index.delete_manifest(name.repository, digest)

    async def _pull_or_say_why(self, name: Reference, login: Login) -> Image:
        try:
            return await self._pull(name, login)
        except OSError as error:
            raise Unavailable(f'failed to pull and unpack image "{name}": {error}') from error

    async def _pull(self, name: Reference, login: Login) -> Image:
        if self.content.is_local(name):
            return await self._pull_local(name)
        if self._source is None:
            raise Unavailable(f"image {name.familiar!r}: there is no registry to pull it from")
        try:
            top, data = await self._source.manifest(name, login)
        except (NotFound, Forbidden, Unavailable) as error:
            kind = next(kind for kind in (NotFound, Forbidden, Unavailable) if isinstance(error, kind))
            why = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {error}'
            raise kind(why) from error
        self._store_document(top, data)
        manifest = await self._manifest_for_host(name, top, data, login)
        await self._fetch_all(name, manifest, login)
        stored = await asyncio.to_thread(self.content.record, name, top.digest)
        if stored is None:
            raise Unavailable(f"image {name.familiar!r} is incomplete after its pull; pull it again")
        return await self._unpacked(stored)

    async def _pull_local(self, name: Reference) -> Image:
        found = await self.present(str(name))
        if found is None:
            is_pushed = name.domain == self.content.settings.registry
            made = "push it there first" if is_pushed else f"make it with `wherry assemble {name.path.rpartition('/')[2]}`"
            raise NotFound(f"image {name.familiar!r} not found; {self.content.settings.absent_mend or made}")
        await self.unpacker.layers(found.id)
        return found

    async def _unpacked(self, stored: StoredImage) -> Image:
        await self.unpacker.layers(stored.id)
        return await asyncio.to_thread(self.content.image, stored)

    async def _manifest_for_host(self, name: Reference, top: Descriptor, data: bytes, login: Login) -> Manifest:
        assert self._source is not None
        document = documents.parse(data, top.media_type)
        for _ in range(NESTED_INDEX_MAX):
            if isinstance(document, Manifest):
                if document.config.media_type not in documents.CONFIG_TYPES:
                    raise Unsupported(f"{name.familiar!r} is an artifact of type {document.config.media_type!r}, not an image")
                return document
            document = await self._child(name, document, login)
        raise Invalid(f"image {name.familiar!r}: indexes are nested more than {NESTED_INDEX_MAX} deep")

    async def _child(self, name: Reference, index: Index, login: Login) -> Manifest | Index:
        assert self._source is not None
        chosen = platform.choose(index, platform.host())
        if self.content.blobs.keep(chosen.digest):
            return documents.parse(self.content.blobs.read(chosen.digest), chosen.media_type)
        by_digest = Reference(name.domain, name.path, "", chosen.digest)
        found, data = await self._source.manifest(by_digest, login)
        self._store_document(found, data)
        return documents.parse(data, found.media_type)

    def _store_document(self, descriptor: Descriptor, data: bytes) -> None:
        algorithm = descriptor.digest.partition(":")[0]
        stored = self.content.blobs.add(data, algorithm)
        if stored.digest != descriptor.digest:
            raise Invalid(f"manifest: digest mismatch: want {descriptor.digest}, the content is {stored.digest}")

    async def _fetch_all(self, name: Reference, manifest: Manifest, login: Login) -> None:
        limit = asyncio.Semaphore(self.content.settings.downloads_max)
        wanted = {blob.digest: blob for blob in manifest.blobs}
        try:
            async with asyncio.TaskGroup() as tasks:
                for blob in wanted.values():
                    tasks.create_task(self._fetch(name, blob, login, limit), name=f"pull {blob.digest}")
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _fetch(self, name: Reference, blob: Descriptor, login: Login, limit: asyncio.Semaphore) -> None:
        if blob.size > self.content.settings.blob_bytes_max:
            raise Invalid(f"blob {blob.digest} has {blob.size} bytes, over the limit of {self.content.settings.blob_bytes_max}")
        async with limit:
            partial = self.content.blobs.partial(blob.digest)
            while not await asyncio.to_thread(self.content.blobs.keep, blob.digest):
                if not await asyncio.to_thread(partial.begin):
                    await asyncio.sleep(OTHER_PULL_POLL_S)
                    continue
                try:
                    await self._download(name, blob, login, partial)
                    return
                finally:
                    partial.close()

    async def _download(self, name: Reference, blob: Descriptor, login: Login, partial: Partial) -> None:
        for tries_left in reversed(range(BLOB_TRIES_MAX)):
            try:
                await self._append(name, blob, login, partial)
                await asyncio.to_thread(partial.finish, self.content.blobs)
                return
            except (Unavailable, Invalid) as error:
                if not tries_left:
                    raise
                log.warning("blob %s of %s at %d of %d bytes: %s", blob.digest, name, partial.offset, blob.size, error)
                await asyncio.sleep(0.2 * 2 ** (BLOB_TRIES_MAX - tries_left))

    async def _append(self, name: Reference, blob: Descriptor, login: Login, partial: Partial) -> None:
        assert self._source is not None
        if partial.offset > blob.size:
            partial.restart()
        if partial.offset == blob.size:
            return
        async for part in self._source.blob(name, blob, offset=partial.offset, login=login):
            if not part:
                partial.restart()
                continue
            if partial.offset + len(part) > blob.size:
                partial.restart()
                raise Invalid(f"blob {blob.digest}: the registry sends more than the {blob.size} bytes it announced")
            await asyncio.to_thread(partial.write, part)
            self._progress(blob.digest, partial.offset, blob.size)
        if partial.offset < blob.size:
            raise Unavailable(f"blob {blob.digest}: the transfer ended after {partial.offset} of {blob.size} bytes")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

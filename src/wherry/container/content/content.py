"""One content folder: its blobs, its index, and the step that makes stored bytes an image.

In:    the folder's settings.
Out:   `Content`; `record` makes a stored manifest visible under names, in one step, when all it needs is here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.container.content.blobs import BlobStore
from wherry.container.content.index import ImageIndex, StoredImage, StoredManifest
from wherry.container.content.settings import ContentSettings
from wherry.container.image import documents, platform
from wherry.container.image import reference as references
from wherry.container.image.documents import Descriptor, Index, Manifest
from wherry.container.image.reference import Reference
from wherry.container.image.service import Image
from wherry.kit.errors import NotFound

INDEX_DEPTH_MAX = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """A stored layer: the digest of its tar, and the blob that holds it."""

    diff_id: str
    blob: Descriptor


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image with its documents read. `config` is the whole config document; treat it as frozen."""

    id: str
    manifest_digest: str
    manifest: Manifest
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


class Content:
    """What everything about images works on. Blocking calls of well under a millisecond unless said otherwise."""

    def __init__(self, settings: ContentSettings) -> None:
        self.settings = settings
        self.blobs = BlobStore(settings)
        self.index = ImageIndex(settings)
        settings.layers_dir.mkdir(parents=True, exist_ok=True)
        settings.layers_dir.chmod(0o700)  # images hold set-user-ID files that only containers shall meet
        settings.uploads_dir.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Idempotent."""
        self.index.close()

    def parse(self, text: str) -> Reference:
        """An image name, with a tag or digest, and with the own registry under its one name."""
        reference = references.parse(text).tagged()
        if reference.domain in self.settings.registry_aliases:
            return Reference(self.settings.registry, reference.path, reference.tag, reference.digest)
        return reference

    def is_local(self, reference: Reference) -> bool:
        """Whether images of that name can only come from this folder."""
        return reference.domain == self.settings.registry or reference.domain in self.settings.local_domains

    def digest_of(self, text: str) -> str:
        """The manifest or index digest behind an image name or id, or `NotFound`."""
        if image_id := as_id(text):
            found = self.index.images(image_id)
            if found:
                return found[0].manifest
            raise NotFound(f"no image with id {image_id} in {self.settings.root}")
        reference = self.parse(text)
        digest = reference.digest or self.index.tag(reference.repository, reference.tag)
        if not digest or self.index.manifest(reference.repository, digest) is None:
            raise NotFound(f"image {reference.familiar!r} is not in {self.settings.root}")
        return digest

    def open_image(self, text: str) -> OpenedImage:
        """The image for this machine behind a name or id. Raise `NotFound` when it is not complete here."""
        digest = self.digest_of(text)
        stored = self.available(digest)
        if stored is None:
            raise NotFound(f"image {text!r} is in {self.settings.root}, but not for {platform.host()}")
        return self.open_manifest(stored.manifest)

    def open_manifest(self, digest: str) -> OpenedImage:
        """Read an image by its manifest's digest."""
        manifest = documents.parse(self.blobs.read(digest))
        assert isinstance(manifest, Manifest)
        config = documents.load(self.blobs.read(manifest.config.digest))
        return OpenedImage(manifest.config.digest, digest, manifest, config, _layers(manifest, config))

    def record(
        self, reference: Reference, digest: str, *, tags: Iterable[str] = (), media_type: str = ""
    ) -> StoredImage | None:
        """Make a stored manifest (or index) known as `reference`; return its image if it is one for this machine.

        The reference's own tag is set, and `tags` besides. `media_type` counts when the document does not say its own.
        """
        data = self.blobs.read(digest)
        document = documents.parse(data, media_type)
        images = self._complete(digest)
        kind = document.artifact_type or (document.config.media_type if isinstance(document, Manifest) else "")
        subject = document.subject.digest if document.subject else ""
        manifest = StoredManifest(reference.repository, digest, document.media_type, len(data), subject, kind)
        wanted = [*([reference.tag] if reference.tag else []), *tags]
        self.index.put_manifest(manifest, wanted, images)
        if isinstance(document, Index):
            self._record_children(reference.repository, document, INDEX_DEPTH_MAX)
        return images[0] if images else None

    def available(self, digest: str) -> StoredImage | None:
        """The image behind `digest` if every blob of it is here: files may vanish behind our back."""
        stored = self.index.image(digest)
        if stored is None:
            return self.complete(digest)
        if self.blobs.size(stored.manifest) is None:
            return None
        manifest = documents.parse(self.blobs.read(stored.manifest))
        assert isinstance(manifest, Manifest)
        return stored if all(self.blobs.size(blob.digest) is not None for blob in manifest.blobs) else None

    def complete(self, digest: str) -> StoredImage | None:
        """Find out whether all blobs of this machine's image behind `digest` are here, and remember it if so.

        What no repository has is forgotten again by the next collection; `record` makes it stay.
        """
        images = self._complete(digest)
        for stored in images:
            if self.index.image(stored.digest) != stored:
                self.index.put_image(stored)
        return images[0] if images else None

    def _complete(self, digest: str) -> tuple[StoredImage, ...]:
        """The image behind `digest`, known by it and by its manifest's own digest; nothing when a blob is missing."""
        manifest_digest, manifest = self._for_host(digest, INDEX_DEPTH_MAX)
        if manifest is None or manifest.config.media_type not in documents.CONFIG_TYPES:
            return ()
        if not all(self.blobs.keep(blob.digest) for blob in manifest.blobs):
            return ()
        documents.diff_ids(documents.load(self.blobs.read(manifest.config.digest)))  # `Invalid` now, not at the start
        size = sum(blob.size for blob in manifest.blobs)
        known_by = dict.fromkeys((digest, manifest_digest))
        return tuple(StoredImage(known, manifest_digest, manifest.config.digest, size) for known in known_by)

    def image(self, stored: StoredImage) -> Image:
        """As the node agent wants it."""
        tags: set[str] = set()
        named: list[str] = []
        # The digest that tags point at first: it is what users see as the image's.
        for one in sorted(self.index.images(stored.id), key=lambda one: (one.digest == one.manifest, one.digest)):
            tags.update(f"{repository}:{tag}" for repository, tag in self.index.tags_of(one.digest))
            named.extend(f"{repository}@{one.digest}" for repository in self.index.repositories_of(one.digest))
        config = documents.load(self.blobs.read(stored.id)).get("config")
        config = config if isinstance(config, dict) else {}
        return Image(stored.id, tuple(sorted(tags)), tuple(named), stored.size, str(config.get("User") or ""), config)

    def _for_host(self, digest: str, depth: int) -> tuple[str, Manifest | None]:
        if not self.blobs.keep(digest):
            return digest, None
        document = documents.parse(self.blobs.read(digest))
        if isinstance(document, Manifest):
            return digest, document
        if depth == 0:
            return digest, None
        try:
            chosen = platform.choose(document, platform.host())
        except NotFound:
            return digest, None
        return self._for_host(chosen.digest, depth - 1)

    def _record_children(self, repository: str, index: Index, depth: int) -> None:
        for entry in index.manifests:
            if not self.blobs.keep(entry.digest) or self.index.manifest(repository, entry.digest):
                continue
            child = documents.parse(self.blobs.read(entry.digest), entry.media_type)
            subject = child.subject.digest if child.subject else ""
            self.index.put_manifest(
                StoredManifest(repository, entry.digest, child.media_type, entry.size, subject, child.artifact_type)
            )
            if isinstance(child, Index) and depth:
                self._record_children(repository, child, depth - 1)


def as_id(text: str) -> str:
    """`sha256:<hex>` for a bare image id in either form, else ""."""
    encoded = text.removeprefix("sha256:")
    return f"sha256:{encoded}" if len(encoded) == 64 and set(encoded) <= set("0123456789abcdef") else ""


def _layers(manifest: Manifest, config: Mapping[str, Any]) -> tuple[Layer, ...]:
    diff_ids = documents.diff_ids(config)
    if len(diff_ids) != len(manifest.layers):
        return ()
    return tuple(Layer(diff_id, blob) for diff_id, blob in zip(diff_ids, manifest.layers, strict=True))

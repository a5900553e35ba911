"""Garbage collection: remove blobs and unpacked layers that no name leads to.

In:    the content folder, the time, layer folders that containers use.
Out:   nothing unreferenced that is older than the grace period. Pulls, pushes and builds touch what they mean to use
       (`BlobStore.keep`), in every process, so what they are just adding is young.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from wherry.container.content import locks
from wherry.container.content.content import Content, Layer
from wherry.container.content.snapshots import Unpacker
from wherry.container.image import documents
from wherry.container.image.documents import Descriptor, Index
from wherry.kit.errors import WherryError

log = logging.getLogger(__name__)

LEFTOVER_S = 24 * 3600.0  # interrupted downloads may be gone on with for a day


def collect(content: Content, *, now: float, in_use: frozenset[str] = frozenset()) -> tuple[int, int]:
    """Remove what nothing needs; return the numbers of blobs and layer folders removed. Blocking.

    `now` is in seconds of the epoch; `in_use` has the paths of layer folders to keep whatever happens.
    """
    with locks.exclusive(content.settings.root / "collect.lock"):
        before = now - content.settings.grace_s
        needed, layers = _needed(content)
        content.index.forget_unnamed()
        blobs = sum(_discard_blob(content, digest, before) for digest in list(content.blobs.all()) if digest not in needed)
        folders = _discard_folders(content, layers | in_use, before)
        _discard_leftovers(content.settings.ingest_dir, now - LEFTOVER_S)
        _discard_leftovers(content.settings.uploads_dir, now - LEFTOVER_S)
    if blobs or folders:
        log.info("collected: blobs=%d layers=%d", blobs, folders)
    return blobs, folders


def prune(content: Content, *, before: float) -> int:
    """Forget images that have lost their tag, as rebuilds leave them, and were stored before `before`; return how many.

    Also those that somebody may name by digest: for `wherry image prune`, never done unasked. `collect` frees the space.
    """
    forgotten: set[str] = set()
    manifests = content.index.manifests()
    children = {entry.digest for one in manifests for entry in _entries(content, one.digest)}
    for one in manifests:
        tagged = any(repository == one.repository for repository, _ in content.index.tags_of(one.digest))
        if tagged or one.subject or one.digest in children:
            continue
        try:
            is_old = content.blobs.path(one.digest).stat().st_mtime < before
        except FileNotFoundError:
            is_old = True
        if is_old:
            for referrer in content.index.referrers(one.repository, one.digest):
                content.index.delete_manifest(one.repository, referrer.digest)
            if content.index.delete_manifest(one.repository, one.digest):
                forgotten.add(one.digest)  # once, however many repositories it was in
    return len(forgotten)


def _entries(content: Content, digest: str) -> tuple[Descriptor, ...]:
    try:
        document = documents.parse(content.blobs.read(digest))
    except WherryError:
        return ()
    return document.manifests if isinstance(document, Index) else ()


def _needed(content: Content) -> tuple[set[str], frozenset[str]]:
    """Digests of needed blobs, and the layer folders that go with them."""
    needed: set[str] = set()
    folders: set[str] = set()
    unpacker = Unpacker(content)
    pending = [manifest.digest for manifest in content.index.manifests()]
    while pending:
        digest = pending.pop()
        if digest in needed:
            continue
        needed.add(digest)
        for found, layers in _below(content, digest):
            pending.append(found) if layers is None else needed.add(found)
            folders.update(str(folder) for folder in unpacker.folders(layers or ()))
    return needed, frozenset(folders)


def _below(content: Content, digest: str) -> Iterator[tuple[str, tuple[Layer, ...] | None]]:
    """What a manifest refers to: (digest, None) for another manifest, (digest, layers of the image) for a blob."""
    try:
        document = documents.parse(content.blobs.read(digest))
        if document.subject is not None:
            yield document.subject.digest, None
        if isinstance(document, Index):
            yield from ((entry.digest, None) for entry in document.manifests)
            return
        yield from ((blob.digest, ()) for blob in document.blobs)
        if document.config.media_type in documents.CONFIG_TYPES and content.blobs.size(document.config.digest) is not None:
            yield document.config.digest, content.open_manifest(digest).layers
    except WherryError as error:
        # A blob another tool put under our names need not be a manifest, or its index may be sparse.
        log.debug("manifest %s: %s", digest, error)


def _discard_blob(content: Content, digest: str, before: float) -> bool:
    if not content.blobs.discard_older(digest, before):
        return False
    content.index.forget_blob(digest)
    return True


def _discard_folders(content: Content, keep: frozenset[str], before: float) -> int:
    removed = 0
    for folder in list(content.settings.layers_dir.iterdir()):
        gone = folder.with_name(f".tmp-gone-{folder.name}")
        with locks.exclusive(content.settings.layers_lock):
            try:
                # The time of the folder itself is the image's; the time of its inode is that of its last use.
                if str(folder) in keep or folder.stat().st_ctime >= before:
                    continue
                folder.rename(gone)  # first out of sight: a half-removed layer must never be used
            except FileNotFoundError:  # one that was being unpacked, and got its own name
                continue
        shutil.rmtree(gone, ignore_errors=True)
        removed += 1
    return removed


def _discard_leftovers(folder: Path, before: float) -> None:
    for path in list(folder.iterdir()):
        try:
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()
        except FileNotFoundError:
            continue

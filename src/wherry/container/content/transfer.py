"""Images as files: read OCI layouts (folder or tar) and `docker save` tars, write OCI layout tars.

In:    a path; image names.
Out:   the images in the store, verified like pulled ones; or a tar that `docker load`, `skopeo` and `ctr` read.
Spec:  OCI image-spec 1.1 image-layout.md; Docker image spec v1.2 (manifest.json).
"""

import asyncio
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from wherry.container.content import builder
from wherry.container.content.content import Content, Layer
from wherry.container.image import digest as digests
from wherry.container.image import documents, layout
from wherry.container.image.documents import DOCUMENT_BYTES_MAX, Descriptor, Index, Manifest
from wherry.container.image.reference import Reference
from wherry.container.image.service import Image
from wherry.kit.errors import Invalid, NotFound

_COPY_BYTES = 1 << 20
DEPTH_MAX = 4

_Open = Callable[[str], IO[bytes] | None]  # a file of the layout, None when it is not there


async def import_images(content: Content, path: Path, *, name: str = "") -> list[Image]:
    """Read all images of a layout folder or tar. `name` is for images that carry none, and needs there to be only one.

    Raise `NotFound` for a missing path, `Invalid` for what is no layout, is incomplete or not what its digests say.
    """
    return await asyncio.to_thread(_import, content, path, name)


async def export_images(content: Content, names: Sequence[str], path: Path) -> None:
    """Write images as one OCI layout tar, which also has what `docker load` wants. Replaces `path` when it is complete."""
    await asyncio.to_thread(_export, content, names, path)


def _import(content: Content, path: Path, name: str) -> list[Image]:
    with ExitStack() as stack:
        opener = _opener(path, stack)
        index = opener(layout.INDEX_FILE)
        if index is not None:
            with index:
                return _import_layout(content, opener, index.read(DOCUMENT_BYTES_MAX), name)
        manifest = opener(layout.DOCKER_FILE)
        if manifest is None:
            raise Invalid(f"{path} is neither an OCI layout (index.json) nor a `docker save` tar (manifest.json)")
        with manifest:
            return _import_docker(content, opener, manifest.read(DOCUMENT_BYTES_MAX), name)


def _opener(path: Path, stack: ExitStack) -> _Open:
    if path.is_dir():
        root = path.resolve()

        def from_folder(inside: str) -> IO[bytes] | None:
            full = (root / inside).resolve()
            return full.open("rb") if full.is_relative_to(root) and full.is_file() else None

        return from_folder
    try:
        archive = stack.enter_context(tarfile.TarFile.open(path))
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except tarfile.TarError as error:
        raise Invalid(f"{path} is not a tar: {error}") from error
    members = {member.name.removeprefix("./"): member for member in archive if member.isreg() or member.issym()}
    return lambda inside: archive.extractfile(members[inside]) if inside in members else None


def _import_layout(content: Content, opener: _Open, index: bytes, name: str) -> list[Image]:
    entries = layout.read_index(index)
    found = []
    for said, descriptor in entries:
        _copy_tree(content, opener, descriptor, DEPTH_MAX)
        full = said if ":" in said.rpartition("/")[2] or "/" in said else ""
        if not full and (not name or len(entries) > 1):
            raise Invalid(f"image {descriptor.digest} of the layout has no full name; give one")
        stored = content.record(content.parse(full or name), descriptor.digest)
        if stored is None:
            raise Invalid(f"image {full or name!r} of the layout is not complete, or not for this machine")
        found.append(content.image(stored))
    return found


def _copy_tree(content: Content, opener: _Open, descriptor: Descriptor, depth: int) -> None:
    """A manifest and everything below it. Indexes may be sparse: what is not in the layout is left out."""
    if not _copy_blob(content, opener, descriptor.digest):
        return
    document = documents.parse(content.blobs.read(descriptor.digest), descriptor.media_type)
    if isinstance(document, Manifest):
        for blob in document.blobs:
            _copy_blob(content, opener, blob.digest)
    elif depth and isinstance(document, Index):
        for entry in document.manifests:
            _copy_tree(content, opener, entry, depth - 1)


def _copy_blob(content: Content, opener: _Open, digest: str) -> bool:
    if content.blobs.keep(digest):
        return True
    source = opener(layout.blob_path(digest))
    if source is None:
        return False
    with source, content.blobs.temporary() as path:
        with path.open("xb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
        content.blobs.adopt(path, digest)
    return True


def _import_docker(content: Content, opener: _Open, data: bytes, name: str) -> list[Image]:
    try:
        listed = [(str(one["Config"]), one.get("RepoTags") or [], list(one["Layers"])) for one in json.loads(data)]
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"manifest.json cannot be read: {error}") from error
    return [image for config, tags, layers in listed for image in _import_one(content, opener, config, tags or [name], layers)]


def _import_one(content: Content, opener: _Open, config: str, tags: Sequence[str], paths: Sequence[str]) -> list[Image]:
    with _needed(opener, config) as file:
        stored = content.blobs.add(file.read(DOCUMENT_BYTES_MAX))
    layers = [_import_layer(content, opener, path) for path in paths]
    if tuple(layer.diff_id for layer in layers) != documents.diff_ids(documents.load(content.blobs.read(stored.digest))):
        raise Invalid(f"image {tags[0]!r}: its layers are not those its config names")
    manifest = documents.dump({
        "schemaVersion": 2, "mediaType": documents.OCI_MANIFEST,
        "config": Descriptor(documents.OCI_CONFIG, stored.digest, stored.size).document(),
        "layers": [layer.blob.document() for layer in layers],
    })  # fmt: skip
    digest = content.blobs.add(manifest).digest
    images = []
    for tag in tags:
        if not tag:
            raise Invalid("the image in the tar has no name; give one")
        recorded = content.record(content.parse(tag), digest)
        assert recorded is not None
        images.append(content.image(recorded))
    return images


def _import_layer(content: Content, opener: _Open, inside: str) -> Layer:
    with _needed(opener, inside) as source, content.blobs.temporary() as path:
        with path.open("xb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
        return builder.add_layer_now(content, path)


def _needed(opener: _Open, inside: str) -> IO[bytes]:
    file = opener(inside)
    if file is None:
        raise Invalid(f"the tar names {inside!r} and does not have it")
    return file


def _export(content: Content, names: Sequence[str], path: Path) -> None:
    references = [content.parse(name) for name in names]
    working = path.with_name(f".{path.name}.tmp")
    try:
        with tarfile.open(working, "w", format=tarfile.PAX_FORMAT) as archive:
            _export_into(archive, content, references)
        working.replace(path)
    finally:
        working.unlink(missing_ok=True)


def _export_into(archive: tarfile.TarFile, content: Content, references: Sequence[Reference]) -> None:
    _add(archive, layout.LAYOUT_FILE, layout.LAYOUT_BYTES)
    images: list[tuple[str, Descriptor]] = []
    for_docker = []
    written: set[str] = set()
    for reference in references:
        digest = content.digest_of(str(reference))
        document = documents.parse(content.blobs.read(digest))
        images.append((str(reference), Descriptor(document.media_type, digest, content.blobs.size(digest) or 0)))
        _add_tree(archive, content, digest, written, DEPTH_MAX)
        opened = content.open_image(str(reference))
        paths = [layout.blob_path(layer.blob.digest) for layer in opened.layers]
        for_docker.append({"Config": layout.blob_path(opened.id), "RepoTags": [str(reference)], "Layers": paths})
    _add(archive, layout.INDEX_FILE, layout.index_bytes(images))
    _add(archive, layout.DOCKER_FILE, documents.dump({"images": for_docker})[len('{"images":') : -1])


def _add_tree(archive: tarfile.TarFile, content: Content, digest: str, written: set[str], depth: int) -> None:
    if content.blobs.size(digest) is None:
        return  # a platform that was never pulled
    _add_blob(archive, content, digest, written)
    document = documents.parse(content.blobs.read(digest))
    if isinstance(document, Manifest):
        for blob in document.blobs:
            if content.blobs.size(blob.digest) is not None:
                _add_blob(archive, content, blob.digest, written)
    elif depth:
        for entry in document.manifests:
            _add_tree(archive, content, entry.digest, written, depth - 1)


def _add_blob(archive: tarfile.TarFile, content: Content, digest: str, written: set[str]) -> None:
    if digest in written:
        return
    written.add(digest)
    info = tarfile.TarInfo(layout.blob_path(digests.check(digest)))
    info.size, info.mode = content.blobs.size(digest) or 0, 0o644
    with content.blobs.open(digest) as file:
        archive.addfile(info, file)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))

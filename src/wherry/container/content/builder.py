"""Make images out of layers: what `assemble`, the buildpacks and the Dockerfile builder end with.

In:    layer tars; layers that are already stored; a config document.
Out:   an image in the store, under names. Nothing of it is visible before `write_image` has returned.
Spec:  OCI image-spec 1.1 config.md, manifest.md. Equal input gives equal bytes: set `created` yourself.
"""

import asyncio
import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wherry.container.content.content import Content, Layer
from wherry.container.image import compression, documents, platform
from wherry.container.image.documents import Descriptor
from wherry.container.image.reference import Reference
from wherry.container.image.service import Image
from wherry.kit.errors import Invalid

EPOCH = "1970-01-01T00:00:00Z"
_COPY_BYTES = 1 << 20


async def add_layer(content: Content, tar: Path, *, kind: str = "zstd") -> Layer:
    """Store an uncompressed tar as a layer; `kind` is "zstd", "gzip" or "". A tar that was added before costs one read."""
    return await asyncio.to_thread(add_layer_now, content, tar, kind=kind)


def add_layer_now(content: Content, tar: Path, *, kind: str = "zstd") -> Layer:
    """`add_layer` for a thread that may block."""
    diff_id = _tar_digest(tar)
    known = known_layer(content, diff_id)
    if known is not None:
        return known
    with content.blobs.temporary() as packed:
        with tar.open("rb") as source, packed.open("xb") as target, compression.writer(target, kind) as stream:
            while part := source.read(_COPY_BYTES):
                stream.write(part)
        stored = content.blobs.adopt(packed)
    blob = Descriptor(compression.layer_type(kind), stored.digest, stored.size)
    content.index.put_layers([(diff_id, blob)])
    return Layer(diff_id, blob)


def known_layer(content: Content, diff_id: str) -> Layer | None:
    """A layer by the digest of its tar, if the store still has a blob of it."""
    blob = content.index.layer(diff_id)
    return Layer(diff_id, blob) if blob is not None and content.blobs.keep(blob.digest) else None


def new_config(*, created: str = EPOCH) -> dict[str, Any]:
    """A config document for this machine with nothing in it."""
    host = platform.host()
    config = {"created": created, "architecture": host.architecture, "os": host.os, "config": {}}
    if host.variant:
        config["variant"] = host.variant
    return {**config, "rootfs": {"type": "layers", "diff_ids": []}, "history": []}


def history(created_by: str, *, created: str = EPOCH, comment: str = "", is_empty: bool = False) -> dict[str, Any]:
    """One entry of a config's history."""
    entry: dict[str, Any] = {"created": created, "created_by": created_by}
    if comment:
        entry["comment"] = comment
    if is_empty:
        entry["empty_layer"] = True
    return entry


async def write_image(
    content: Content,
    config: Mapping[str, Any],
    layers: Sequence[Layer],
    names: Sequence[str],
    *,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Store an image of all `layers`, bottom first, base ones included, under `names`.

    The config's `rootfs` is filled in; its history must have one entry with a layer for each layer, or be empty.
    """
    return await asyncio.to_thread(_write_image, content, config, layers, names, annotations or {})


async def attach(
    content: Content, subject: str, data: bytes, *, media_type: str, name: str, annotations: Mapping[str, str] | None = None
) -> str:
    """Store an artifact (such as an SBOM) about the image `subject` (a name), beside it; return its manifest's digest."""
    return await asyncio.to_thread(_attach, content, subject, data, media_type, name, annotations or {})


def _tar_digest(tar: Path) -> str:
    with tar.open("rb") as source:
        return f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"


def _write_image(
    content: Content, config: Mapping[str, Any], layers: Sequence[Layer], names: Sequence[str], annotations: Mapping[str, str]
) -> Image:
    references = [content.parse(name) for name in names]
    if not references or any(reference.digest for reference in references):
        raise Invalid("an image is stored under at least one name with a tag and without a digest")
    document = copy.deepcopy(dict(config))
    document["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    _check_history(document, len(layers))
    stored = content.blobs.add(documents.dump(document))
    manifest: dict[str, Any] = {
        "schemaVersion": 2, "mediaType": documents.OCI_MANIFEST,
        "config": Descriptor(documents.OCI_CONFIG, stored.digest, stored.size).document(),
        "layers": [layer.blob.document() for layer in layers],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    digest = content.blobs.add(documents.dump(manifest)).digest
    if content.complete(digest) is None:
        raise Invalid(f"image {references[0].familiar!r} is not complete: a layer's blob is not in the store")
    recorded = [content.record(reference, digest) for reference in references]
    assert recorded[0] is not None
    return content.image(recorded[0])


def _check_history(document: Mapping[str, Any], layers: int) -> None:
    entries = document.get("history") or []
    full = sum(1 for entry in entries if not entry.get("empty_layer"))
    if entries and full != layers:
        raise Invalid(f"image config: history tells of {full} layers, there are {layers}")


def _attach(
    content: Content, subject: str, data: bytes, media_type: str, name: str, annotations: Mapping[str, str]
) -> str:
    reference = content.parse(subject)
    digest = content.digest_of(subject)
    document = documents.parse(content.blobs.read(digest))
    size = content.blobs.size(digest) or 0
    blob = content.blobs.add(data)
    empty = content.blobs.add(documents.EMPTY_JSON)
    titled = {"org.opencontainers.image.title": name}
    manifest: dict[str, Any] = {
        "schemaVersion": 2, "mediaType": documents.OCI_MANIFEST, "artifactType": media_type,
        "config": Descriptor(documents.OCI_EMPTY, empty.digest, empty.size).document(),
        "layers": [Descriptor(media_type, blob.digest, blob.size, titled).document()],
        "subject": Descriptor(document.media_type, digest, size).document(),
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    made = content.blobs.add(documents.dump(manifest)).digest
    content.record(Reference(reference.domain, reference.path, "", made), made)
    return made

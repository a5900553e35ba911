"""Descriptors, manifests, indexes and configs as values, read from the bytes that registries and layouts hold.

In:    JSON bytes (untrusted, at most `DOCUMENT_BYTES_MAX`).
Out:   frozen values; unknown fields and media types are let pass, wrong types raise `Invalid`.
Spec:  OCI image-spec 1.1 manifest.md, image-index.md, config.md; Docker image manifest v2 schema 2.
Never: re-serializes what was read: a document's bytes are its identity.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.container.image import digest as digests
from wherry.kit.errors import Invalid, Unsupported

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
DOCUMENT_BYTES_MAX = 4 << 20  # what a registry must take at least (distribution-spec, "Pushing Manifests")
EMPTY_JSON = b"{}"
LAYERS_MAX = 500  # overlay itself ends at 500 lower folders


@dataclass(frozen=True, slots=True)
class Platform:
    """Where an image runs, in Go's words."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to a blob: type, digest, size, and what else the document said."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON, fields in the usual order."""
        made: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            made["annotations"] = dict(self.annotations)
        if self.platform:
            made["platform"] = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.platform.variant:
                made["platform"]["variant"] = self.platform.variant
        if self.artifact_type:
            made["artifactType"] = self.artifact_type
        return made


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image or artifact."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything it needs besides itself."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one per platform (or of artifacts)."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse(data: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or index; the document's own `mediaType` wins over what the transport said."""
    document = load(data)
    kind = document.get("mediaType", "") or media_type
    if not isinstance(kind, str):
        raise Invalid("manifest: mediaType is not a string")
    if kind.startswith(DOCKER_SCHEMA_1) or document.get("schemaVersion") == 1:
        raise Unsupported("manifest: Docker schema 1 is not supported; push the image again with a current tool")
    if document.get("schemaVersion") != 2:
        raise Invalid("manifest: schemaVersion is not 2")
    subject = descriptor(document["subject"], "subject") if document.get("subject") else None
    artifact_type, annotations = _text(document, "artifactType"), _annotations(document)
    if kind in INDEX_TYPES or (kind not in MANIFEST_TYPES and "manifests" in document):
        listed = _list(document, "manifests")
        entries = tuple(descriptor(item, f"manifests[{i}]") for i, item in enumerate(listed))
        return Index(kind or OCI_INDEX, entries, subject, artifact_type, annotations)
    if "config" not in document:
        raise Invalid("manifest: config is missing")
    layers = tuple(descriptor(item, f"layers[{i}]") for i, item in enumerate(_list(document, "layers")))
    config = descriptor(document["config"], "config")
    return Manifest(kind or OCI_MANIFEST, config, layers, subject, artifact_type, annotations)


def load(data: bytes) -> dict[str, Any]:
    """A JSON object, or `Invalid`."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Invalid(f"document of {len(data)} bytes is over the limit of {DOCUMENT_BYTES_MAX}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"document is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Invalid("document is not a JSON object")
    return document


def dump(document: Mapping[str, Any]) -> bytes:
    """Compact JSON in the order given: what is hashed and stored."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor(value: object, where: str) -> Descriptor:
    """Read one descriptor; `where` names it in errors."""
    if not isinstance(value, dict):
        raise Invalid(f"manifest: {where} is not an object")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Invalid(f"manifest: {where}.size is not a number of bytes")
    return Descriptor(
        _text(value, "mediaType"), digests.check(_text(value, "digest")), size, _annotations(value),
        _platform(value.get("platform")), _text(value, "artifactType"),
    )


def diff_ids(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The uncompressed layer digests of an image config."""
    rootfs = config.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > LAYERS_MAX:
        raise Invalid(f"image config: rootfs.diff_ids is not a list of at most {LAYERS_MAX} digests")
    return tuple(digests.check(str(item)) for item in listed)


def platform_of(config: Mapping[str, Any]) -> Platform:
    """Where an image config says it runs."""
    return Platform(_text(config, "os") or "linux", _text(config, "architecture"), _text(config, "variant"))


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    return Platform(_text(value, "os"), _text(value, "architecture"), _text(value, "variant"))


def _annotations(value: Mapping[str, Any]) -> dict[str, str]:
    found = value.get("annotations")
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise Invalid("manifest: annotations is not a map of strings")
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Invalid(f"manifest: {key} is not a string")
    return found


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Invalid(f"manifest: {key} is not a list")
    return found

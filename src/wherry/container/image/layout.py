"""OCI image layouts: the file form of images, in a folder or in a tar, and Docker's `docker save` tars for reading.

Spec: OCI image-spec 1.1 image-layout.md; Docker image spec v1.2 (manifest.json).
"""

from collections.abc import Sequence
from dataclasses import replace

from wherry.container.image import documents
from wherry.container.image.documents import Descriptor
from wherry.kit.errors import Invalid

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
DOCKER_FILE = "manifest.json"
LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"  # the whole reference; ref.name by convention is the tag


def blob_path(digest: str) -> str:
    """Where a layout keeps a blob."""
    return "blobs/" + digest.replace(":", "/", 1)


def index_bytes(images: Sequence[tuple[str, Descriptor]]) -> bytes:
    """The index.json of a layout that holds `images`, each by its full name."""
    manifests = []
    for name, descriptor in images:
        tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else name
        marks = {**descriptor.annotations, FULL_NAME: name, REF_NAME: tag}
        manifests.append(replace(descriptor, annotations=marks).document())
    return documents.dump({"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": manifests})


def read_index(data: bytes) -> tuple[tuple[str, Descriptor], ...]:
    """What an index.json holds: name (full, else the tag, else "") and descriptor."""
    index = documents.parse(data, documents.OCI_INDEX)
    if not isinstance(index, documents.Index):
        raise Invalid("index.json is not an image index")
    found = []
    for entry in index.manifests:
        name = entry.annotations.get(FULL_NAME) or entry.annotations.get(REF_NAME, "")
        found.append((name, entry))
    return tuple(found)

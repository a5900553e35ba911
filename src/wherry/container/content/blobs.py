"""Blobs by digest: `blobs/sha256/<hex>`, complete and verified or not there.

In:    bytes, with the digest they should have.
Out:   files that never change. A crash leaves at most a file in `ingest/`, which the next pull goes on with.
Spec:  OCI image-spec 1.1 image-layout.md, "Content".
Never: asks which images need a blob (`collect.py` does) or does asynchronous work: callers use a thread for big ones.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.container.content import locks
from wherry.container.content.settings import ContentSettings
from wherry.container.image import digest as digests
from wherry.container.image.documents import DOCUMENT_BYTES_MAX
from wherry.kit import atomic_file
from wherry.kit.errors import Broken, Invalid, NotFound

_COPY_BYTES = 1 << 20


class DigestMismatch(Invalid):
    """The bytes are not those that were announced."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that is in the store."""

    digest: str
    size: int


class BlobStore:
    """The blobs of one content folder."""

    def __init__(self, settings: ContentSettings) -> None:
        self._settings = settings
        self._lock = settings.root / "blobs.lock"
        for folder in (settings.blobs_dir / "sha256", settings.blobs_dir / "sha512", settings.ingest_dir):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        algorithm, encoded = digests.split(digest)
        return self._settings.blobs_dir / algorithm / encoded

    def size(self, digest: str) -> int | None:
        """Bytes of the blob, None when it is not here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def keep(self, digest: str) -> bool:
        """Whether the blob is here; if so it is safe from collection for another grace period."""
        with locks.shared(self._lock):
            try:
                os.utime(self.path(digest))
            except FileNotFoundError:
                return False
        return True

    def open(self, digest: str) -> BinaryIO:
        """Open for reading, or `NotFound`."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"blob {digest} is not in the store") from error

    def read(self, digest: str) -> bytes:
        """A whole document; `Invalid` when it is over `DOCUMENT_BYTES_MAX`."""
        with self.open(digest) as file:
            data = file.read(DOCUMENT_BYTES_MAX + 1)
        if len(data) > DOCUMENT_BYTES_MAX:
            raise Invalid(f"blob {digest} is too long for a document: over {DOCUMENT_BYTES_MAX} bytes")
        return data

    def add(self, data: bytes, algorithm: str = "sha256") -> Stored:
        """Store bytes under their digest."""
        digest = digests.of(data, algorithm)
        if not self.keep(digest):
            atomic_file.write(self.path(digest), data)
        return Stored(digest, len(data))

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """The name of a new file on the same file system; removed at the end unless it was adopted."""
        path = self._settings.ingest_dir / f"tmp-{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, path: Path, expected: str = "", *, algorithm: str = "sha256", hashed: str = "") -> Stored:
        """Move a finished file into the store under its digest.

        The digest is computed by reading the file unless the caller `hashed` it while writing. Raises
        `DigestMismatch`, leaving the file, when it is not `expected`.
        """
        algorithm = digests.split(expected)[0] if expected else algorithm
        digest = hashed or _hash_file(path, algorithm)
        if expected and digest != expected:
            raise DigestMismatch(f"digest mismatch: want {expected}, the content is {digest}")
        with path.open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        target = self.path(digest)
        with locks.shared(self._lock):
            path.replace(target)
            os.utime(target)
            atomic_file.sync_folder(target.parent)
        return Stored(digest, size)

    def discard_older(self, digest: str, before: float) -> bool:
        """Remove the blob if nobody asked to keep it since `before` (seconds of the epoch)."""
        path = self.path(digest)
        with locks.exclusive(self._lock):
            try:
                if path.stat().st_mtime >= before:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def all(self) -> Iterator[str]:
        """The digests of all blobs."""
        for algorithm in ("sha256", "sha512"):
            with os.scandir(self._settings.blobs_dir / algorithm) as entries:
                for entry in entries:
                    if digests.is_digest(f"{algorithm}:{entry.name}"):
                        yield f"{algorithm}:{entry.name}"

    def verify(self, digest: str) -> None:
        """Read the blob and raise `Broken` when its bytes rotted."""
        found = _hash_file(self.path(digest), digests.split(digest)[0])
        if found != digest:
            raise Broken(f"blob {digest} has the content of {found}; remove the file and pull the image again")

    def partial(self, digest: str) -> "Partial":
        """The file a download of `digest` writes to, which may hold the start of an earlier try."""
        return Partial(self._settings.ingest_dir / f"pull-{digest.replace(':', '-')}", digest)


class Partial:
    """A download that can be gone on with. One process at a time holds it (`begin`)."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._algorithm = digests.split(digest)[0]
        self._digest = digest
        self._file: BinaryIO | None = None
        self._hash = digests.hasher(self._algorithm)
        self.offset = 0

    def begin(self) -> bool:
        """Take the file and hash what is there. False when another process is at it."""
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b")
        if not locks.try_exclusive(file.fileno()) or not self._is_same(file):
            file.close()
            return False
        while part := file.read(_COPY_BYTES):
            self._hash.update(part)
            self.offset += len(part)
        self._file = file
        return True

    def write(self, data: bytes) -> None:
        """Append."""
        assert self._file is not None
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """Forget what is there: the server does not send ranges, or the bytes were wrong."""
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._hash = digests.hasher(self._algorithm)
        self.offset = 0

    def finish(self, store: BlobStore) -> Stored:
        """Move it into the store; on `DigestMismatch` the bytes are dropped, so that the next try starts afresh."""
        assert self._file is not None
        self._file.flush()
        try:
            return store.adopt(self._path, self._digest, hashed=f"{self._algorithm}:{self._hash.hexdigest()}")
        except DigestMismatch:
            self.restart()
            raise

    def close(self) -> None:
        """Let go; what was written stays for the next try. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_same(self, file: BinaryIO) -> bool:
        # Whoever held the lock before may have moved the file into the store.
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


def _hash_file(path: Path, algorithm: str) -> str:
    made = digests.hasher(algorithm)
    with path.open("rb") as file:
        while part := file.read(_COPY_BYTES):
            made.update(part)
    return f"{algorithm}:{made.hexdigest()}"

"""Uploads under way: a file each, so that a client, or the registry itself, may go away and go on later.

In:    bytes in order.
Out:   a blob in the content store once the digest is known and right.
Spec:  OCI distribution-spec 1.1, "Pushing blobs" (monolithic, chunked, resumed, cancelled).
"""

import asyncio
import hashlib
import re
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from wherry.container.content.blobs import DigestMismatch, Stored
from wherry.container.content.content import Content
from wherry.container.image import digest as digests
from wherry.container.registry.problems import Problem
from wherry.container.registry.settings import RegistrySettings

_SESSION = re.compile(r"[0-9a-f]{32}\Z")
_HASHES_MAX = 256
_WRITE_BYTES = 1 << 20


@dataclass(slots=True)
class _Running:
    """What is only in memory: a hash of the bytes so far, and who is writing."""

    hasher: digests.Hasher
    algorithm: str
    hashed: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """All uploads of one registry."""

    def __init__(self, content: Content, settings: RegistrySettings) -> None:
        self._content = content
        self._settings = settings
        self._folder = content.settings.uploads_dir
        self._running: OrderedDict[str, _Running] = OrderedDict()

    def begin(self, repository: str) -> str:
        """A new session's name. Raise `Problem` when there are too many."""
        if sum(1 for _ in self._folder.iterdir()) >= self._settings.uploads_max:
            raise Problem("TOOMANYREQUESTS", f"more than {self._settings.uploads_max} uploads are under way")
        session = uuid.uuid4().hex
        self._path(repository, session).touch(mode=0o600)
        return session

    def size(self, repository: str, session: str) -> int:
        """Bytes received, or `Problem` when there is no such upload."""
        try:
            return self._path(repository, session).stat().st_size
        except FileNotFoundError as error:
            raise Problem("BLOB_UPLOAD_UNKNOWN", f"upload {session[:64]!r} is not known, or has ended") from error

    async def append(self, repository: str, session: str, body: AsyncIterator[bytes] | bytes, start: int | None) -> int:
        """Add to the upload; `start` is the offset the client says it is at. Return the new size."""
        running = self._of(session)
        async with running.lock:
            size = self.size(repository, session)
            if start is not None and start != size:
                raise self.out_of_order(repository, session, size)
            return await self._write(self._path(repository, session), running, body, size)

    async def finish(self, repository: str, session: str, digest: str) -> Stored:
        """Make it a blob. With a wrong digest the upload is thrown away."""
        running = self._of(session)
        async with running.lock:
            size = self.size(repository, session)
            path = self._path(repository, session)
            algorithm = digests.split(digest)[0]
            known = running.hashed == size and running.algorithm == algorithm
            hashed = f"{algorithm}:{running.hasher.hexdigest()}" if known else ""
            try:
                return await asyncio.to_thread(self._content.blobs.adopt, path, digest, hashed=hashed)
            except DigestMismatch as error:
                path.unlink(missing_ok=True)
                raise Problem("DIGEST_INVALID", str(error)) from error
            finally:
                self._running.pop(session, None)

    def cancel(self, repository: str, session: str) -> None:
        """Forget it, or `Problem`."""
        self.size(repository, session)
        self._path(repository, session).unlink(missing_ok=True)
        self._running.pop(session, None)

    def out_of_order(self, repository: str, session: str, size: int) -> Problem:
        """A chunk that does not begin where the last one ended."""
        name = repository.partition("/")[2]
        headers = (("location", f"/v2/{name}/blobs/uploads/{session}"), ("range", f"0-{max(size - 1, 0)}"))
        return Problem("RANGE_INVALID", f"chunk out of order: the upload has {size} bytes", headers=headers)

    async def _write(self, path: Path, running: _Running, body: AsyncIterator[bytes] | bytes, size: int) -> int:
        if running.hashed != size:
            running.hashed = -1  # bytes of an earlier life of the registry: the file is read again at the end
        with path.open("ab") as file:
            async for part in _gathered(body):
                size += len(part)
                if size > self._settings.blob_bytes_max:
                    raise Problem("SIZE_INVALID", f"blob is over the limit of {self._settings.blob_bytes_max} bytes")
                await asyncio.to_thread(_write_part, file, running, part)
        return size

    def _of(self, session: str) -> _Running:
        found = self._running.get(session)
        if found is None:
            found = self._running[session] = _Running(hashlib.sha256(), "sha256")
            while len(self._running) > _HASHES_MAX:
                oldest, one = next(iter(self._running.items()))
                if one.lock.locked():
                    break
                del self._running[oldest]
        return found

    def _path(self, repository: str, session: str) -> Path:
        if not _SESSION.match(session):
            raise Problem("BLOB_UPLOAD_UNKNOWN", f"upload {session[:64]!r} is not known")
        # The repository is part of the name: a session is good for the repository it was begun in.
        return self._folder / f"{session}-{hashlib.sha256(repository.encode()).hexdigest()[:16]}"


def _write_part(file: BinaryIO, running: _Running, part: bytes) -> None:
    file.write(part)
    if running.hashed >= 0:
        running.hasher.update(part)
        running.hashed += len(part)


async def _gathered(body: AsyncIterator[bytes] | bytes) -> AsyncIterator[bytes]:
    """Bigger parts: one trip to a thread for each megabyte."""
    if isinstance(body, bytes):
        if body:
            yield body
        return
    waiting: list[bytes] = []
    size = 0
    async for part in body:
        waiting.append(part)
        size += len(part)
        if size >= _WRITE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)

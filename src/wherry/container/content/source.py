"""Where images come from, as the content store sees it. `registry/client.py` is the real one."""

from collections.abc import AsyncIterator
from typing import Protocol

from wherry.container.image.documents import Descriptor
from wherry.container.image.reference import Reference
from wherry.container.image.service import Credentials

Login = tuple[tuple[str, Credentials], ...]  # by registry host


class ImageSource(Protocol):
    """Errors: `NotFound`, `Forbidden` (also for missing credentials), `Unavailable`; `Invalid` for a peer that lies."""

    async def manifest(self, reference: Reference, login: Login) -> tuple[Descriptor, bytes]:
        """A manifest or index by tag or digest, exactly as served; verified when the digest is known."""

    def blob(self, reference: Reference, blob: Descriptor, *, offset: int, login: Login) -> AsyncIterator[bytes]:
        """The bytes of a blob from `offset` on. Yields b"" first when the peer starts at 0 in spite of `offset`."""

"""What the node agent and the builders need of images: present, pull, list, remove.

Spec: CRI v1 ImageService; OCI image-spec 1.1; reference grammar of distribution/reference.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the content store. `id` is the config digest; `user` as written in the config."""

    id: str
    tags: tuple[str, ...]  # normalized, such as docker.io/library/redis:7
    digests: tuple[str, ...]  # name@sha256:manifest
    size_bytes: int
    user: str = ""
    config: dict[str, object] = field(default_factory=dict)  # the OCI image config's `config` object


@dataclass(frozen=True, slots=True)
class Credentials:
    """For one registry host."""

    username: str
    password: str


class ImageService(Protocol):
    """Errors: `Invalid` (bad name), `NotFound` (no such image at the registry), `Forbidden`, `Unavailable` (registry)."""

    async def present(self, reference: str) -> Image | None:
        """The image for a name, name@digest or id; never asks the network."""

    async def pull(self, reference: str, credentials: tuple[tuple[str, Credentials], ...] = ()) -> Image:
        """Fetch what is missing and return it. Concurrent pulls of one reference are one pull."""

    async def images(self) -> list[Image]:
        """All of them."""

    async def remove(self, reference: str) -> None:
        """Drop the image's names and what nothing else needs. Idempotent."""

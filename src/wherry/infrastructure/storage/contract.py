"""Volumes on this machine: a folder with a real size limit.

Promises (suite: `wherry.testing.volume_suite`): create, delete, mount and unmount are idempotent by name; `size_bytes`
is enforced by the kernel (ENOSPC); a volume's bytes survive the death of any process; after `delete` nothing is left.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as it is. `path` is the mounted folder, "" while not mounted."""

    name: str
    size_bytes: int
    used_bytes: int
    path: str


class VolumeEngine(Protocol):
    """Errors: `Invalid` (name, size), `AlreadyExists` (same name, other size), `NotFound`, `Unavailable` (disk full)."""

    async def create(self, name: str, size_bytes: int) -> Volume:
        """Make it, not mounted."""

    async def delete(self, name: str) -> None:
        """Unmount and remove for good. Idempotent."""

    async def mount(self, name: str) -> Volume:
        """Mounted at `path` from here on; survives this process; again after a reboot by calling again."""

    async def unmount(self, name: str) -> None:
        """Idempotent."""

    async def expand(self, name: str, size_bytes: int) -> Volume:
        """Grow, mounted or not. `Unavailable` when it was noted but can only be done at the next mount."""

    async def volumes(self) -> list[Volume]:
        """All of them."""

"""The mounts that volumes need, and what is mounted now.

`MountDoor` is the seam: `LinuxMounts` does it, a test without root gives one that records.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from wherry.infrastructure.linux import libc, mounts


class MountDoor(Protocol):
    """Errors are OSError."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None:
        """A memory file system; `size_bytes` None: the kernel's default of half the memory."""

    def layered(self, layers: Sequence[str], target: Path) -> None:
        """Show `layers`, bottom to top, as one read-only folder."""

    def bind(self, source: str, target: Path) -> None:
        """Show `source`, a file or folder, at `target`."""

    def unmount(self, target: Path) -> None:
        """Take the topmost mount away, lazily when it is busy."""

    def below(self, folder: Path) -> list[Path]:
        """Mount points at or below `folder`, deepest first."""


class LinuxMounts:
    """By mount(2)."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None:
        mounts.tmpfs(str(target), "mode=0777" if size_bytes is None else f"mode=0777,size={size_bytes}")

    def layered(self, layers: Sequence[str], target: Path) -> None:
        # Overlay wants two folders when nothing is writable; the mount point itself is an empty one. Not a bind mount:
        # its read-only flag could be taken off again, and the layers belong to every user of the image.
        folders = [*reversed(layers), str(target)] if len(layers) == 1 else [*reversed(layers)]
        lower = ":".join(folder.replace("\\", "\\\\").replace(":", "\\:") for folder in folders)
        libc.mount("overlay", str(target), "overlay", mounts.READ_ONLY, f"lowerdir={lower}")

    def bind(self, source: str, target: Path) -> None:
        mounts.bind(source, str(target))

    def unmount(self, target: Path) -> None:
        mounts.unmount(str(target))

    def below(self, folder: Path) -> list[Path]:
        root = os.path.realpath(folder)
        found = {entry.target for entry in mounts.table()}
        inside = (target for target in found if target == root or target.startswith(f"{root}/"))
        return [Path(target) for target in sorted(inside, key=len, reverse=True)]

"""The mounts that volumes need, and what is mounted now.

`MountDoor` is the seam: `LinuxMounts` does it, a test without root gives one that records.
"""

import os
from pathlib import Path
from typing import Protocol

from wherry.infrastructure.linux import mounts


class MountDoor(Protocol):
    """Errors are OSError."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None:
        """A memory file system; `size_bytes` None: the kernel's default of half the memory."""

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

    def bind(self, source: str, target: Path) -> None:
        mounts.bind(source, str(target))

    def unmount(self, target: Path) -> None:
        mounts.unmount(str(target))

    def below(self, folder: Path) -> list[Path]:
        root = os.path.realpath(folder)
        found = {entry.target for entry in mounts.table()}
        inside = (target for target in found if target == root or target.startswith(f"{root}/"))
        return [Path(target) for target in sorted(inside, key=len, reverse=True)]

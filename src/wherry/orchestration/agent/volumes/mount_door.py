"""The mounts that volumes need, and what is mounted now.

`MountDoor` is the seam: `LinuxMounts` does it, a test without root gives one that records.
"""

from pathlib import Path
from typing import Protocol

from wherry.infrastructure.linux import mounts

MOUNT_TABLE = Path("/proc/self/mountinfo")


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
        options = "mode=0777" if size_bytes is None else f"mode=0777,size={size_bytes}"
        mounts.mount("tmpfs", str(target), "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, options)

    def bind(self, source: str, target: Path) -> None:
        mounts.bind(source, str(target))

    def unmount(self, target: Path) -> None:
        mounts.unmount(str(target), lazy=True)

    def below(self, folder: Path) -> list[Path]:
        return mount_points_below(MOUNT_TABLE.read_text(), folder)


def mount_points_below(table: str, folder: Path) -> list[Path]:
    """From the text of mountinfo; a path mounted over twice comes twice."""
    prefix = f"{folder}/"
    found = []
    for line in table.splitlines():
        point = line.split(" ", 5)[4].encode().decode("unicode_escape") if "\\" in line else line.split(" ", 5)[4]
        if point == str(folder) or point.startswith(prefix):
            found.append(Path(point))
    return found[::-1]

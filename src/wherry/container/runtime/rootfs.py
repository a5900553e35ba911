"""A container's root filesystem: the image's layers below a writable folder of its own, by overlay.

In:    a `LayerSource` (folders of unpacked layers), the container's id.
Out:   a mounted `<bundle>/rootfs`; text of single files in it, read without leaving it.
Never: writes into a layer.
"""

import asyncio
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Protocol

from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux import libc, mounts

ACCOUNT_FILE_BYTES_MAX = 4 << 20
FILES_COUNTED_MAX = 5_000_000


class LayerSource(Protocol):
    """What the engine needs of the image store. Raises `NotFound` for an image that is not present."""

    async def layers(self, image_id: str) -> tuple[str, ...]:
        """Folders of the unpacked layers, bottom to top."""

    async def config(self, image_id: str) -> dict[str, Any]:
        """The whole OCI image config document."""


async def mount(settings: RuntimeSettings, container_id: str, layers: tuple[str, ...]) -> Path:
    """Mount the layers and an empty writable folder; return the root. Blocks a thread for about 1 ms."""
    return await asyncio.to_thread(_mount, settings, container_id, layers)


async def discard(settings: RuntimeSettings, container_id: str) -> None:
    """Unmount and remove the writable folder. Idempotent."""
    await asyncio.to_thread(_discard, settings, container_id)


def read_text(root: Path, path: str) -> str:
    """A small file of the root, "" when it is not there or no plain file. Links cannot lead out of the root."""
    try:
        descriptor = libc.open_in_root(str(root), path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES):
            return ""
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(ACCOUNT_FILE_BYTES_MAX).decode(errors="replace")


def used_bytes(folder: Path) -> int:
    """Disk space of everything below `folder`, links not followed. Blocking; files may come and go meanwhile."""
    total, pending = 0, [str(folder)]
    for _ in range(FILES_COUNTED_MAX):
        if not pending:
            break
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except FileNotFoundError:
            continue
    return total


def _mount(settings: RuntimeSettings, container_id: str, layers: tuple[str, ...]) -> Path:
    writable = settings.writable_dir(container_id)
    upper, work, empty = writable / "upper", writable / "work", writable / "empty"
    for folder in (upper, work, empty):
        folder.mkdir(parents=True, exist_ok=True)
    upper.chmod(0o755)
    root = settings.bundle(container_id) / "rootfs"
    root.mkdir(parents=True, exist_ok=True)
    for folder in (writable, root.parent):  # whose config.json holds what may be secret
        folder.chmod(0o700)
    # An image without layers (FROM scratch) still needs one lower folder.
    # The machine sees it without set-user-ID and devices; the wrapper of the runtime lifts that for the container alone.
    flags = mounts.NO_SUID | mounts.NO_DEV
    mounts.overlay(str(root), layers or (str(empty),), str(upper), str(work), str(settings.short_names_dir), flags)
    return root


def _discard(settings: RuntimeSettings, container_id: str) -> None:
    mounts.unmount(str(settings.bundle(container_id) / "rootfs"))
    shutil.rmtree(settings.writable_dir(container_id), ignore_errors=True)

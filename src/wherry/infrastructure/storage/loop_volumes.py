"""Volumes as sparse ext4 images on loop devices: the size is a real limit, the space is taken as it is used.

In:    a root folder on the machine's disk.
Out:   `VolumeEngine`; a volume is `<root>/<name>/image`, mounted at `<root>/<name>/mount`.
Spec:  loop(4), ext4(5). The image is complete before it has its name: a crash leaves only `.making-*`.
Cost:  create 10 ms, mount 10 ms (bench/volume_create.py).
"""

import asyncio
import errno
import os
import shutil
import struct
from pathlib import Path

from wherry.infrastructure.linux import libc, loop_devices, mounts
from wherry.infrastructure.storage.contract import Volume
from wherry.infrastructure.storage.names import checked_name, granted_size
from wherry.kit import process
from wherry.kit.atomic_file import sync_folder
from wherry.kit.errors import AlreadyExists, Broken, Invalid, NotFound, Unavailable

MAKE_LIMIT_S = 60.0
RESIZE_LIMIT_S = 600.0
MAKING = ".making-"
GROWTH_BYTES_MIN = 1024**2  # a file system may end a little before its image does
FSCK_CORRECTED = 1  # e2fsck(8): "errors corrected", such as the lost+found we removed
# ext4 superblock: blocks count (low 32 bits), log2(block size) - 10, blocks count (high 32 bits)
SUPERBLOCK = 1024
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class LoopVolumes:
    """See `VolumeEngine`. One instance a root folder and process; two processes may share a root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: dict[str, asyncio.Lock] = {}

    async def prepare(self) -> None:
        """Once at start: the root folder, its propagation, and the remains of a creation that did not end."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        mounts.make_shared_root(str(self._root))
        for remains in self._root.glob(f"{MAKING}*"):
            shutil.rmtree(remains, ignore_errors=True)

    async def create(self, name: str, size_bytes: int) -> Volume:
        size_bytes = granted_size(size_bytes)
        async with self._lock(checked_name(name)):
            if self._image(name).exists():
                found = self._describe(name)
                if found.size_bytes != size_bytes:
                    raise AlreadyExists(f"volume {name!r} exists with {found.size_bytes} bytes, not {size_bytes}; expand it")
                return found
            await self._make(name, size_bytes)
            return self._describe(name)

    async def _make(self, name: str, size_bytes: int) -> None:
        making = self._root / f"{MAKING}{name}"
        shutil.rmtree(making, ignore_errors=True)
        try:
            (making / "mount").mkdir(parents=True, mode=0o755)
            image = making / "image"
            with image.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.truncate(size_bytes)
            options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
            await process.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, str(image)], timeout_s=MAKE_LIMIT_S, env=PATH)
            making.rename(self._root / name)
            sync_folder(self._root)
        except (OSError, process.CommandFailed) as error:
            shutil.rmtree(making, ignore_errors=True)
            raise _unavailable(name, error) from error

    async def delete(self, name: str) -> None:
        async with self._lock(checked_name(name)):
            await asyncio.to_thread(self._delete, name)
        self._locks.pop(name, None)

    def _delete(self, name: str) -> None:
        self._unmount(name)
        # Renamed first: a crash in the middle leaves no volume that lacks its image.
        doomed = self._root / f"{MAKING}{name}"
        shutil.rmtree(doomed, ignore_errors=True)
        try:
            (self._root / name).rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed)
        sync_folder(self._root)

    async def mount(self, name: str) -> Volume:
        async with self._lock(checked_name(name)):
            self._require(name)
            if not mounts.is_mounted(str(self._target(name))):
                await self._finish_growth(name)
            await asyncio.to_thread(self._mount, name)
            return self._describe(name)

    async def _finish_growth(self, name: str) -> None:
        """An expansion that could not be done, or did not end, while the volume was mounted."""
        image = self._image(name)
        if _filesystem_bytes(image) + GROWTH_BYTES_MIN > image.stat().st_size or loop_devices.devices_of(str(image)):
            return
        try:
            await _check_filesystem(image)
            await process.run(["resize2fs", str(image)], timeout_s=RESIZE_LIMIT_S, env=PATH)
        except process.CommandFailed as error:
            raise _unavailable(name, error) from error

    def _mount(self, name: str) -> None:
        image, target = str(self._image(name)), str(self._target(name))
        held = loop_devices.devices_of(image)
        if mounts.is_mounted(target):
            return
        os.makedirs(target, exist_ok=True)
        device = held[0] if held else loop_devices.attach(image)
        try:
            libc.mount(device, target, "ext4", mounts.NO_DEV, "discard")
        except OSError as error:
            loop_devices.detach(device)
            if error.errno in (errno.EUCLEAN, errno.EINVAL, errno.EIO):
                raise Broken(f"volume {name!r} does not mount ({error}); check it with: e2fsck -f {image}") from error
            raise _unavailable(name, error) from error
        # Databases want an empty folder; e2fsck makes lost+found again should it need it.
        shutil.rmtree(os.path.join(target, "lost+found"), ignore_errors=True)

    async def unmount(self, name: str) -> None:
        async with self._lock(checked_name(name)):
            await asyncio.to_thread(self._unmount, name)

    def _unmount(self, name: str) -> None:
        mounts.unmount(str(self._target(name)))
        for device in loop_devices.devices_of(str(self._image(name))):
            loop_devices.detach(device)

    async def unmount_all(self) -> None:
        """For `wherry down`: every volume, and the root's own mount."""
        for volume in await self.volumes():
            await self.unmount(volume.name)
        await asyncio.to_thread(mounts.unmount_below, str(self._root))

    async def expand(self, name: str, size_bytes: int) -> Volume:
        size_bytes = granted_size(size_bytes)
        async with self._lock(checked_name(name)):
            self._require(name)
            image = self._image(name)
            if size_bytes < image.stat().st_size:
                raise Invalid(f"volume {name!r} has {image.stat().st_size} bytes and cannot shrink to {size_bytes}")
            os.truncate(image, size_bytes)
            if mounts.is_mounted(str(self._target(name))):
                await self._grow(name, loop_devices.devices_of(str(image))[0])
            return self._describe(name)

    async def _grow(self, name: str, device: str) -> None:
        loop_devices.set_capacity(device)
        try:
            await process.run(["resize2fs", device], timeout_s=RESIZE_LIMIT_S, env=PATH)
        except process.CommandFailed as error:
            if "Permission denied" in error.stderr:  # ext4 wants CAP_SYS_RESOURCE to grow while mounted
                raise Unavailable(f"volume {name!r} grows at its next mount: this machine lacks CAP_SYS_RESOURCE") from error
            raise _unavailable(name, error) from error

    async def volumes(self) -> list[Volume]:
        if not self._root.exists():
            return []
        names = sorted(p.name for p in self._root.iterdir() if not p.name.startswith(".") and (p / "image").exists())
        return [self._describe(name) for name in names]

    def _describe(self, name: str) -> Volume:
        status = self._image(name).stat()
        target = str(self._target(name))
        path = target if mounts.is_mounted(target) else ""
        used = status.st_blocks * 512
        if path:
            inside = os.statvfs(path)
            used = (inside.f_blocks - inside.f_bfree) * inside.f_frsize
        return Volume(name, status.st_size, used, path)

    def _require(self, name: str) -> None:
        if not self._image(name).exists():
            raise NotFound(f"no volume {name!r} under {self._root}")

    def _image(self, name: str) -> Path:
        return self._root / name / "image"

    def _target(self, name: str) -> Path:
        return self._root / name / "mount"

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


async def _check_filesystem(image: Path) -> None:
    """What resize2fs wants done first."""
    try:
        await process.run(["e2fsck", "-f", "-p", str(image)], timeout_s=RESIZE_LIMIT_S, env=PATH)
    except process.CommandFailed as error:
        if error.code != FSCK_CORRECTED:
            raise


def _filesystem_bytes(image: Path) -> int:
    """What the ext4 superblock says the file system spans."""
    with image.open("rb") as file:
        file.seek(SUPERBLOCK)
        block = file.read(1024)
    low, shift = struct.unpack_from("<I", block, 4)[0], struct.unpack_from("<I", block, 24)[0]
    high = struct.unpack_from("<I", block, 0x150)[0]
    return int((low | high << 32) << (10 + shift))


def _unavailable(name: str, error: OSError | process.CommandFailed) -> Unavailable:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC or "No space left" in str(error):
        return Unavailable(f"volume {name!r}: the machine's disk is full; free some space and try again")
    if isinstance(error, FileNotFoundError):
        return Unavailable(f"volume {name!r}: {error.filename} is missing; apt-get install -y e2fsprogs")
    return Unavailable(f"volume {name!r}: {error}")

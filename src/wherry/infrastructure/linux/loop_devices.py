"""Loop devices: a file as a block device with direct I/O, its size changed while in use.

In:    absolute paths of files.
Out:   device paths such as /dev/loop7; `OSError` unchanged. `detach` is idempotent.
Spec:  loop(4), linux/loop.h. LOOP_CONFIGURE (5.8) sets all in one call, so no half-made device is ever seen.
"""

import errno
import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LOOP_CLR_FD = 0x4C01
LOOP_SET_CAPACITY = 0x4C07
LOOP_GET_STATUS64 = 0x4C05
FLAG_READ_ONLY = 1
FLAG_AUTOCLEAR = 4
FLAG_DIRECT_IO = 16
ATTACH_TRIES_MAX = 64
LOOP_MAJOR = 7

# struct loop_config: fd, block_size, loop_info64 (232 bytes), 8 reserved u64.
# loop_info64: device, inode, rdevice, offset, sizelimit (u64), number, encrypt_type, encrypt_key_size, flags (u32),
# file_name[64], crypt_name[64], encrypt_key[32], init[2] (u64).
_STATUS_BYTES = 232
_CONFIG = struct.Struct("=II QQQQQ IIII 64s64s32s QQ 64x")


@dataclass(frozen=True, slots=True)
class LoopDevice:
    """An attached loop device."""

    path: str
    backing_file: str
    read_only: bool
    direct_io: bool


def attach(
    file: str, *, read_only: bool = False, direct_io: bool = True, autoclear: bool = False, sector_bytes: int = 512
) -> str:
    """Attach `file` to a free device and return its path.

    `autoclear`: detach with the last user (unmount). Falls back to buffered I/O where the file system has no direct I/O.
    """
    backing = os.open(file, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    try:
        flags = (FLAG_READ_ONLY if read_only else 0) | (FLAG_AUTOCLEAR if autoclear else 0)
        for _ in range(ATTACH_TRIES_MAX):
            device = free_device()
            try:
                _configure(device, backing, file, flags | (FLAG_DIRECT_IO if direct_io else 0), sector_bytes)
            except OSError as error:
                if error.errno == errno.EBUSY:  # another process took it first
                    continue
                if error.errno == errno.EINVAL and direct_io:
                    direct_io = False
                    continue
                raise
            return device
    finally:
        os.close(backing)
    raise OSError(errno.EBUSY, "no free loop device", file)


def detach(device: str) -> None:
    """Let go of the file; in use, it goes with its last user. Idempotent."""
    try:
        with _opened(device) as descriptor:
            fcntl.ioctl(descriptor.fd, LOOP_CLR_FD, 0)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ENOENT):
            raise


def set_capacity(device: str) -> None:
    """Take over the file's present size."""
    with _opened(device) as descriptor:
        fcntl.ioctl(descriptor.fd, LOOP_SET_CAPACITY, 0)


def devices() -> list[LoopDevice]:
    """All attached devices of the machine. `backing_file` ends in " (deleted)" when its name is gone."""
    found = []
    for folder in sorted(Path("/sys/block").glob("loop*")):
        try:
            backing = (folder / "loop/backing_file").read_text(encoding="utf-8").rstrip("\n")
            read_only = (folder / "ro").read_text(encoding="ascii").strip() == "1"
            direct_io = (folder / "loop/dio").read_text(encoding="ascii").strip() == "1"
        except FileNotFoundError:
            continue  # free, or let go while we read
        found.append(LoopDevice(f"/dev/{folder.name}", backing, read_only, direct_io))
    return found


def devices_of(file: str) -> list[str]:
    """The devices that hold `file`, found by device and inode: the name the kernel shows changes with the mounts above it."""
    try:
        wanted = os.stat(file)
    except FileNotFoundError:
        return []
    return [device.path for device in devices() if _backing_inode(device.path) == (wanted.st_dev, wanted.st_ino)]


def _backing_inode(device: str) -> tuple[int, int]:
    """(device, inode) of what is attached; (0, 0) when nothing is any more."""
    status = bytearray(_STATUS_BYTES)
    try:
        with _opened(device) as descriptor:
            fcntl.ioctl(descriptor.fd, LOOP_GET_STATUS64, status)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return 0, 0
        raise
    return struct.unpack_from("=QQ", status)


def free_device() -> str:
    """A device that was free a moment ago; its node is made when no udev did."""
    descriptor = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(descriptor, LOOP_CTL_GET_FREE)
    finally:
        os.close(descriptor)
    path = f"/dev/loop{number}"
    try:
        os.mknod(path, 0o660 | stat.S_IFBLK, os.makedev(LOOP_MAJOR, number))
    except FileExistsError:
        pass
    return path


def _configure(device: str, backing: int, file: str, flags: int, sector_bytes: int) -> None:
    name = os.fsencode(file)[:63]
    config = _CONFIG.pack(backing, sector_bytes, 0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0)
    with _opened(device) as descriptor:
        fcntl.ioctl(descriptor.fd, LOOP_CONFIGURE, config)


class _opened:
    """A device opened for as long as the block lasts."""

    def __init__(self, device: str) -> None:
        self.fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> "_opened":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

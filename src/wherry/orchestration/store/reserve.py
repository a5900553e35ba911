"""Disk space kept aside, so that a full disk still takes deletions.

In:    a path beside the store, a size.
Out:   a file of real blocks. `release` gives some back when a deletion needs them; `fill` takes them again.
Spec:  posix_fallocate(3): the blocks are the file's, whatever others write.
Never: grows beyond a small share of the file system; a disk that cannot hold even that simply has no reserve.
"""

import errno
import os
from pathlib import Path

RESERVE_BYTES_MAX = 8 << 20  # some thousand deletions: one costs a few pages of the log, which compaction gives back
DISK_SHARE = 64  # at most this fraction (1/64) of the file system
STEPS = 8  # given back an eighth at a time
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Reserve:
    """Used by one thread at a time. `size` is what it holds when whole; bytes."""

    def __init__(self, path: Path, size_max: int = RESERVE_BYTES_MAX) -> None:
        self._path = path
        disk = os.statvfs(path.parent)
        self._step = max(4096, min(size_max, disk.f_blocks * disk.f_frsize // DISK_SHARE) // STEPS // 4096 * 4096)
        self.size = self._step * STEPS
        self._held = 0

    def fill(self) -> bool:
        """True when the whole reserve is there, also by taking it now."""
        if self._held == self.size:
            return True
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size)
            self._held = self.size
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            os.ftruncate(descriptor, self._held)  # a part of the blocks would only make the disk fuller
        finally:
            os.close(descriptor)
        return self._held == self.size

    def release(self) -> bool:
        """Give one step back to the file system. False when nothing is left to give."""
        held = os.stat(self._path).st_size if self._path.exists() else 0
        if not held:
            return False
        self._held = max(0, held - self._step)
        os.truncate(self._path, self._held)
        return True

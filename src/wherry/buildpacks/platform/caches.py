"""Caches of builds: one folder for each repository, so that a new tag finds what the last one left, and no more than fits.

In:    the folder of all caches, a repository.
Out:   the repository's folder, held alone; what was used longest ago is removed past the limits. A cache in use stays.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.container.content import locks

BYTES_MAX = 10 << 30  # of all caches together
UNUSED_S_MAX = 30 * 24 * 3600.0
LAST_FILE = "last-image"  # the id of the image that the last build made
LOCK_FILE = "lock"  # its time is that of the last use


@contextmanager
def held(root: Path, repository: str) -> Iterator[Path]:
    """The cache of one repository; a second build into it waits for the first. Blocks."""
    plain = re.sub(r"[^a-z0-9.-]+", "_", repository.lower())[-60:]
    folder = root / f"{plain}.{hashlib.sha256(repository.encode()).hexdigest()[:12]}"
    with locks.exclusive(folder / LOCK_FILE):
        os.utime(folder / LOCK_FILE)
        yield folder


def last_image(folder: Path) -> str:
    """The id of what was built last with this cache, under whatever tag; "" when there is none."""
    try:
        return (folder / LAST_FILE).read_text()
    except FileNotFoundError:
        return ""


def remember(folder: Path, image_id: str) -> None:
    """Keep the id for the next build."""
    (folder / LAST_FILE).write_text(image_id)


def trim(root: Path, *, now: float, bytes_max: int = BYTES_MAX, unused_s_max: float = UNUSED_S_MAX) -> int:
    """Remove caches unused for `unused_s_max`, then the longest unused until the rest fits `bytes_max`; return how many."""
    found = sorted(((_used_at(folder), folder) for folder in root.iterdir() if folder.is_dir()), reverse=True)
    kept_bytes = removed = 0
    for used_at, folder in found:
        size = sum(path.stat().st_size for path in folder.rglob("*.tar") if path.is_file())
        is_kept = now - used_at <= unused_s_max and kept_bytes + size <= bytes_max
        if is_kept or not _removed(folder):
            kept_bytes += size
        else:
            removed += 1
    return removed


def _used_at(folder: Path) -> float:
    try:
        return (folder / LOCK_FILE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _removed(folder: Path) -> bool:
    """Empty a cache that nobody holds. The lock file stays: a build may wait for it."""
    with (folder / LOCK_FILE).open("ab") as lock:
        if not locks.try_exclusive(lock.fileno()):
            return False
        for path in folder.iterdir():
            if path.name != LOCK_FILE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return True

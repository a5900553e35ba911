"""Caches of builds: what is trimmed, and what never is."""

import os
from pathlib import Path

from wherry.buildpacks.platform import caches

DAY_S = 24 * 3600.0


def fill(root: Path, repository: str, size: int) -> Path:
    with caches.held(root, repository) as folder:
        (folder / "committed").mkdir()
        (folder / "committed/layer.tar").write_bytes(bytes(size))
    return folder


def holds(folder: Path) -> bool:
    return (folder / "committed").exists()


def test_what_was_used_longest_ago_goes_until_the_rest_fits(tmp_path: Path) -> None:
    folders = [fill(tmp_path, f"example.test/{name}", 1000) for name in "abc"]
    for number, folder in enumerate(folders):
        os.utime(folder / caches.LOCK_FILE, (100 + number, 100 + number))
    assert caches.trim(tmp_path, now=200, bytes_max=2500) == 1
    assert [holds(folder) for folder in folders] == [False, True, True]


def test_a_cache_nobody_used_for_long_goes_and_one_in_use_stays(tmp_path: Path) -> None:
    old, busy = fill(tmp_path, "example.test/old", 1), fill(tmp_path, "example.test/busy", 1)
    used_at = (old / caches.LOCK_FILE).stat().st_mtime
    with caches.held(tmp_path, "example.test/busy"):
        assert caches.trim(tmp_path, now=used_at + 31 * DAY_S) == 1
    assert (holds(old), holds(busy)) == (False, True)

"""Find a subPath inside a volume without ever leaving it, whatever links the volume's writers put there.

Spec: openat2(2) RESOLVE_BENEATH: the kernel refuses each step that would leave the volume. Missing folders are made 0750.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.infrastructure.linux import libc
from wherry.kit.errors import Invalid

FOLDER_MODE = 0o750


@contextmanager
def opened(volume: Path, sub_path: str) -> Iterator[str]:
    """`/proc/self/fd/<n>` of the file or folder, made when missing; valid inside the block. Raise `Invalid`."""
    if sub_path.startswith("/"):
        raise Invalid(f"subPath {sub_path!r} must be a relative path")
    parts = [part for part in sub_path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Invalid(f"subPath {sub_path!r} must not contain '..'")
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        if not parts:
            yield f"/proc/self/fd/{root}"
            return
        found = _open(root, "/".join(parts), sub_path)
        if found is None:
            _make_folders(root, parts, sub_path)
            found = _open(root, "/".join(parts), sub_path)
        if found is None:
            raise Invalid(f"subPath {sub_path!r} vanished while it was prepared")
        try:
            yield f"/proc/self/fd/{found}"
        finally:
            os.close(found)
    finally:
        os.close(root)


def _make_folders(root: int, parts: list[str], sub_path: str) -> None:
    """From the deepest folder that exists downwards; each parent is opened beneath the root first."""
    for depth in range(1, len(parts) + 1):
        here = "/".join(parts[:depth])
        if (present := _open(root, here, sub_path)) is not None:
            os.close(present)
            continue
        parent = _open(root, "/".join(parts[: depth - 1]) or ".", sub_path)
        if parent is None:
            raise Invalid(f"subPath {sub_path!r}: {here!r} has no parent folder")
        try:
            os.mkdir(parts[depth - 1], FOLDER_MODE, dir_fd=parent)
            os.chmod(f"/proc/self/fd/{parent}/{parts[depth - 1]}", FOLDER_MODE)
        except FileExistsError:
            pass  # another container's start made it
        finally:
            os.close(parent)


def _open(root: int, path: str, shown: str) -> int | None:
    """None: does not exist."""
    try:
        return libc.openat2(root, path, os.O_PATH | os.O_CLOEXEC, libc.RESOLVE_BENEATH | libc.RESOLVE_NO_MAGICLINKS)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP):
            raise Invalid(f"subPath {shown!r} leads outside of the volume") from error
        raise Invalid(f"subPath {shown!r}: {os.strerror(error.errno or 0)}") from error

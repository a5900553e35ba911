"""The root folder in which an image is put together, and the layer that comes of it.

In:    the unpacked layers of the base image, if there is one.
Out:   a folder that looks like the finished root; afterwards what changed in it, as entries of one layer.
How:   with a base, an overlay over its layers: what is written lands in a folder of its own, removals become whiteouts.
"""

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wherry.container.content.extract import OPAQUE_ATTRIBUTE
from wherry.container.image import layer_names, layer_tar
from wherry.container.image.layer_tar import Entry
from wherry.infrastructure.linux import mounts


@dataclass(frozen=True, slots=True)
class Staging:
    """`root` is to be worked on; `changes` is where the layer is read from afterwards."""

    root: Path
    changes: Path


@contextlib.contextmanager
def staging(work_dir: Path, lower: Sequence[str]) -> Iterator[Staging]:
    """A root to work in, gone at the end. `lower`: unpacked layers, bottom first."""
    folder = work_dir / f"assemble-{uuid.uuid4().hex[:12]}"
    names = ("root", "upper", "work", "links")
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    folder.chmod(0o700)
    try:
        if not lower:
            yield Staging(folder / "root", folder / "root")
            return
        mounts.overlay(
            str(folder / "root"), tuple(lower), str(folder / "upper"), str(folder / "work"), str(folder / "links"),
            mounts.NO_SUID | mounts.NO_DEV,
        )
        try:
            yield Staging(folder / "root", folder / "upper")
        finally:
            mounts.unmount(str(folder / "root"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(work_dir: Path) -> None:
    """Take away what a killed process left; call it while nobody else assembles here."""
    for folder in sorted(work_dir.glob("assemble-*")):
        mounts.unmount(str(folder / "root"))
        shutil.rmtree(folder, ignore_errors=True)


def layer_entries(changes: Path, mtime: int) -> Iterator[Entry]:
    """The layer: everything in the folder, with whiteouts in the form of tars."""
    for entry in layer_tar.folder_entries(changes, mtime=mtime):
        if entry.kind == "char" and entry.device == (0, 0):
            folder, _, name = entry.path.rpartition("/")
            hidden = f"{folder}/{layer_names.WHITEOUT}{name}".lstrip("/")
            yield replace(entry, path=hidden, kind="file", mode=0o644)
            continue
        yield entry
        if entry.kind == "folder" and _is_opaque(changes / entry.path):
            yield Entry(f"{entry.path}/{layer_names.OPAQUE}", mtime=mtime)


def remove(root: Path, pattern: str) -> None:
    """Remove what matches a glob pattern relative to the root; nothing outside it, links are not followed."""
    cleaned = layer_names.clean(pattern)
    if not cleaned:
        return
    for path in list(root.glob(cleaned)):
        if _resolved_inside(root, path):
            if stat.S_ISDIR(path.lstat().st_mode):
                shutil.rmtree(path)
            else:
                path.unlink()


def write_file(root: Path, path: str, data: bytes, *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> None:
    """Write a file into the root; links in the path are followed inside the root only."""
    target = inside(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    target.write_bytes(data)
    os.chown(target, *owner)
    target.chmod(mode)


def inside(root: Path, path: str) -> Path:
    """Where `path` is in the root, its parent's links followed as the image itself would follow them."""
    folder, _, name = layer_names.clean(path).rpartition("/")
    parts = folder.split("/")[::-1] if folder else []
    here: list[str] = []
    for _ in range(1000):
        if not parts:
            break
        part = parts.pop()
        if part == "..":
            del here[-1:]
            continue
        full = root.joinpath(*here, part)
        if not full.is_symlink():
            here.append(part)
            continue
        target = str(full.readlink())
        if target.startswith("/"):
            here = []
        parts.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
    return root.joinpath(*here, name)


def _is_opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, OPAQUE_ATTRIBUTE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _resolved_inside(root: Path, path: Path) -> bool:
    return os.path.realpath(path.parent).startswith(os.path.realpath(root))

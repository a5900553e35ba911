"""Write a layer as a tar whose bytes depend on nothing but its content.

In:    paths with bytes, files or links, in any order; or a folder to walk.
Out:   a tar in pax form (plain ustar headers where they are enough), parents first, sorted, one mtime, numeric owners.
Spec:  OCI image-spec 1.1 layer.md; POSIX pax.
"""

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from wherry.container.image import layer_names
from wherry.kit.errors import Invalid

MTIME_1980 = 315532801  # 1980-01-01T00:00:01Z: what the buildpacks lifecycle writes
_COPY_BYTES = 1 << 20
Owner = tuple[int, int]  # uid, gid


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer. `path` is relative to the root; the root itself is ""."""

    path: str
    kind: str = "file"  # file, folder, symlink, hardlink, fifo, char, block
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    data: bytes = b""
    source: str = ""  # a file to read instead of `data`
    target: str = ""  # of a symlink as written; of a hard link the path in the layer
    device: tuple[int, int] = (0, 0)
    attributes: Mapping[str, bytes] = field(default_factory=dict)


def write(file: IO[bytes], entries: Iterable[Entry], *, absolute_names: bool = False) -> None:
    """Write all entries, sorted by path, each path once (the last one given wins).

    With `absolute_names` members are called `/bin/sh`, as buildpacks name them, else `bin/sh`.
    """
    chosen = {entry.path: entry for entry in entries}
    ordered = sorted(chosen.values(), key=lambda entry: (entry.kind == "hardlink", entry.path.split("/")))
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_COPY_BYTES) as archive:
        for entry in ordered:
            _add(archive, entry, absolute_names)


def parents(entries: Iterable[Entry], *, mtime: int = 0) -> list[Entry]:
    """The folders above the entries that are not among them, 0755 and root's."""
    listed = list(entries)
    known = {entry.path for entry in listed}
    missing: dict[str, Entry] = {}
    for entry in listed:
        folder = entry.path.rpartition("/")[0]
        while folder and folder not in known and folder not in missing:
            missing[folder] = Entry(folder, "folder", 0o755, mtime=mtime)
            folder = folder.rpartition("/")[0]
    return list(missing.values())


def folder_entries(source: Path, at: str = "", *, owner: Owner | None = None, mtime: int | None = None) -> Iterator[Entry]:
    """Everything below `source` as entries below `at`, `source` itself included unless `at` is the root.

    `owner` replaces every uid and gid, `mtime` every time. Hard links are stored once more; sockets are left out.
    """
    at = layer_names.clean(at)
    if at:
        yield _from_disk(source, at, owner, mtime)
    for folder, names, files in os.walk(source):
        names.sort()
        inside = os.path.relpath(folder, source)
        for name in sorted([*names, *files]):
            path = Path(folder, name)
            if stat.S_ISSOCK(path.lstat().st_mode):
                continue
            yield _from_disk(path, layer_names.clean(f"{at}/{inside}/{name}"), owner, mtime)


def at_time(entries: Iterable[Entry], mtime: int) -> Iterator[Entry]:
    """The same entries, all with one modification time."""
    return (replace(entry, mtime=mtime) for entry in entries)


def _from_disk(path: Path, name: str, owner: Owner | None, mtime: int | None) -> Entry:
    info = path.lstat()
    uid, gid = owner or (info.st_uid, info.st_gid)
    time = int(info.st_mtime) if mtime is None else mtime
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
        return Entry(name, "symlink", 0o777, uid, gid, time, target=str(path.readlink()))
    if stat.S_ISDIR(info.st_mode):
        return Entry(name, "folder", mode, uid, gid, time)
    if stat.S_ISREG(info.st_mode):
        kept = {attribute: os.getxattr(path, attribute) for attribute in os.listxattr(path) if layer_names.is_kept(attribute)}
        return Entry(name, "file", mode, uid, gid, time, source=str(path), attributes=kept)
    if stat.S_ISFIFO(info.st_mode):
        return Entry(name, "fifo", mode, uid, gid, time)
    device = (os.major(info.st_rdev), os.minor(info.st_rdev))
    return Entry(name, "char" if stat.S_ISCHR(info.st_mode) else "block", mode, uid, gid, time, device=device)


_TYPES = {
    "file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE, "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE,
}


def _add(archive: tarfile.TarFile, entry: Entry, absolute_names: bool) -> None:
    lead = "/" if absolute_names else ""
    info = tarfile.TarInfo(lead + entry.path if entry.path else (lead or "."))
    info.type, info.mode, info.uid, info.gid = _TYPES[entry.kind], entry.mode, entry.uid, entry.gid
    info.mtime = entry.mtime
    if entry.kind == "symlink":
        info.linkname = entry.target
    elif entry.kind == "hardlink":
        info.linkname = lead + entry.target
    info.devmajor, info.devminor = entry.device
    info.pax_headers = {
        layer_names.XATTR + name: value.decode("utf-8", "surrogateescape") for name, value in entry.attributes.items()
    }
    if entry.kind != "file":
        archive.addfile(info)
    elif entry.source:
        with open(entry.source, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            _copy_exactly(archive, info, file, entry.source)
    else:
        info.size = len(entry.data)
        archive.addfile(info, io.BytesIO(entry.data))


def _copy_exactly(archive: tarfile.TarFile, info: tarfile.TarInfo, file: IO[bytes], name: str) -> None:
    try:
        archive.addfile(info, file)
    except OSError as error:
        if str(error) != "unexpected end of data":
            raise
        raise Invalid(f"file {name!r} became shorter while it was put into a layer") from error

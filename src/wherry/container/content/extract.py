"""Unpack one layer into a folder of its own, in the form overlay wants, whatever a hostile layer says.

In:    a tar stream, an empty folder, the folders of the layers below.
Out:   the folder filled: whiteouts as character devices 0/0, opaque folders marked by an extended attribute; whether the
       result depends on the layers below (it had paths whose parent folder only they know).
Spec:  OCI image-spec 1.1 layer.md; kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
Safe:  names are cleaned, links in parents are followed inside the root only, and nothing is ever written through a link.
Never: asynchronous; callers use a thread. Needs root (owners, devices).
"""

import errno
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import IO

from wherry.container.content.settings import ContentSettings
from wherry.container.image import compression, layer_names
from wherry.kit.errors import Invalid

OPAQUE_ATTRIBUTE = "trusted.overlay.opaque"
LINKS_MAX = 40
_COPY_BYTES = 1 << 20
_XATTR_REFUSED = (errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)  # the file system keeps no such attribute
_OWN_FAULTS = (  # of this machine, not of the layer
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
)  # fmt: skip


class LayerBroken(Invalid):
    """The tar of a layer cannot be read, or says what no layer may say."""


def extract(stream: IO[bytes], target: Path, lower: tuple[Path, ...], settings: ContentSettings) -> bool:
    """Fill the empty folder `target`; `lower` is top first. Return whether `lower` mattered. Raise `LayerBroken`."""
    target.chmod(0o755)
    return _extract(stream, _Extraction(target, lower, settings))


def add_package(stream: IO[bytes], target: Path, settings: ContentSettings) -> None:
    """Unpack a package's tar over what is in `target`, as dpkg does: a link to a folder stays where a folder is listed."""
    _extract(stream, _Extraction(target, (), settings, links_stay=True))


def _extract(stream: IO[bytes], work: "_Extraction") -> bool:
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_COPY_BYTES) as archive:
            for member in archive:
                work.add(member, archive)
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile would remember every member
    except tarfile.TarError as error:
        if str(error) != "empty file":  # a layer may be empty altogether
            raise LayerBroken(f"layer: {error}") from error
    except (*compression.BROKEN, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno in _OWN_FAULTS:
            raise
        raise LayerBroken(f"layer: {error}") from error
    work.finish()
    return work.used_lower


class _Extraction:
    def __init__(
        self, target: Path, lower: tuple[Path, ...], settings: ContentSettings, *, links_stay: bool = False
    ) -> None:
        self._root = str(target)
        self._links_stay = links_stay
        self._lower = tuple(str(path) for path in lower)
        self._settings = settings
        self._folders = {""}  # real folders of this layer, by cleaned path
        self._times: dict[str, int] = {}
        self._bytes = 0
        self._entries = 0
        self.used_lower = False

    def add(self, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        self._entries += 1
        if self._entries > self._settings.layer_entries_max:
            raise LayerBroken(f"layer: more than {self._settings.layer_entries_max} entries")
        path = layer_names.clean(member.name)
        if layer_names.is_bookkeeping(path):
            return
        hidden = layer_names.hidden(path)
        if hidden is not None:
            self._hide(hidden)
        elif not path:
            self._attributes(self._root, member)
            self._times[""] = int(member.mtime)
        else:
            self._put(path, member, archive)

    def finish(self) -> None:
        """Times of folders last: filling them changed them."""
        for path, mtime in sorted(self._times.items(), reverse=True):
            if path in self._folders:
                os.utime(os.path.join(self._root, path), (mtime, mtime))

    def _put(self, path: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        folder, _, name = path.rpartition("/")
        place = self._parent(folder)
        path = f"{place}/{name}" if place else name
        full = os.path.join(self._root, path)
        if self._links_stay and member.isdir() and os.path.islink(full):
            self._parent(path)
            return
        hid_lower = self._clear(path, full, keep_folder=member.isdir())
        if member.isdir():
            if path not in self._folders:
                os.mkdir(full)
                self._folders.add(path)
                if hid_lower:
                    os.setxattr(full, OPAQUE_ATTRIBUTE, b"y")
            self._times[path] = int(member.mtime)
        elif member.islnk():
            self._link(full, member)
            return  # owner, mode and time are those of the file it names
        elif member.issym():
            os.symlink(member.linkname, full)
        elif member.isreg():
            self._write(full, member, archive)
        elif member.ischr() or member.isblk() or member.isfifo():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK if member.isblk() else stat.S_IFIFO
            os.mknod(full, kind | 0o600, os.makedev(member.devmajor, member.devminor) if kind != stat.S_IFIFO else 0)
        else:
            raise LayerBroken(f"layer: {path[:200]!r} is of an unknown type {member.type!r}")
        self._attributes(full, member)

    def _write(self, full: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        self._bytes += member.size
        if self._bytes > self._settings.layer_bytes_max:
            raise LayerBroken(f"layer: more than {self._settings.layer_bytes_max} bytes")
        source = archive.extractfile(member)
        assert source is not None
        with open(full, "xb") as file:
            shutil.copyfileobj(source, file, _COPY_BYTES)
            if file.tell() != member.size:
                raise LayerBroken(f"layer: ends inside {member.name[:200]!r}")

    def _link(self, full: str, member: tarfile.TarInfo) -> None:
        target = layer_names.clean(member.linkname)
        folder, _, name = target.rpartition("/")
        source = os.path.join(self._root, self._parent(folder), name)
        try:
            if stat.S_ISDIR(os.lstat(source).st_mode):
                raise LayerBroken(f"layer: {member.name[:200]!r} is a hard link to a folder")
            os.link(source, full, follow_symlinks=False)
        except FileNotFoundError:
            self._copy_lower(target, full)

    def _copy_lower(self, target: str, full: str) -> None:
        """A hard link to a file of a lower layer: overlay itself would have copied it up."""
        for layer in self._lower:
            source = os.path.join(layer, target)
            if os.path.isfile(source) and not os.path.islink(source) and os.path.realpath(source) == source:
                shutil.copy2(source, full, follow_symlinks=False)
                info = os.lstat(source)
                os.chown(full, info.st_uid, info.st_gid, follow_symlinks=False)
                os.chmod(full, stat.S_IMODE(info.st_mode))
                self.used_lower = True
                return
        raise LayerBroken(f"layer: hard link to {target[:200]!r}, which is not there")

    def _attributes(self, full: str, member: tarfile.TarInfo) -> None:
        os.chown(full, member.uid, member.gid, follow_symlinks=False)
        if not member.issym():
            os.chmod(full, member.mode & 0o7777)
        for name, value in layer_names.attributes(member.pax_headers).items():
            try:
                os.setxattr(full, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _XATTR_REFUSED:
                    raise
        if not member.isdir():
            os.utime(full, (member.mtime, member.mtime), follow_symlinks=False)

    def _hide(self, hidden: layer_names.Hidden) -> None:
        if hidden.is_opaque:
            os.setxattr(os.path.join(self._root, self._parent(hidden.path)), OPAQUE_ATTRIBUTE, b"y")
            return
        folder, _, name = hidden.path.rpartition("/")
        place = self._parent(folder)
        full = os.path.join(self._root, place, name)
        if os.path.lexists(full):
            # The layer's own entry came first; the whiteout is about the layers below it.
            if f"{place}/{name}".lstrip("/") in self._folders:
                os.setxattr(full, OPAQUE_ATTRIBUTE, b"y")
            return
        os.mknod(full, stat.S_IFCHR | 0o600, os.makedev(0, 0))

    def _clear(self, path: str, full: str, *, keep_folder: bool) -> bool:
        """Make way for a new entry. True when a whiteout was here."""
        try:
            info = os.lstat(full)
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(info.st_mode):
            if keep_folder:
                self._folders.add(path)
            else:
                shutil.rmtree(full)
                gone = f"{path}/"
                self._folders = {name for name in self._folders if name != path and not name.startswith(gone)}
            return False
        os.unlink(full)
        return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0

    def _parent(self, folder: str) -> str:
        """The real path in this layer of a folder by name, made if it is not there; links stay inside the root."""
        if folder in self._folders:
            return folder
        done: list[str] = []
        todo = folder.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            path = "/".join([*done, part])
            link = self._enter(path)
            if not link:
                done.append(part)
                continue
            links += 1
            if links > LINKS_MAX:
                raise LayerBroken(f"layer: too many links in {folder[:200]!r}")
            if link.startswith("/"):
                done = []
            todo.extend(reversed(link.split("/")))
        return "/".join(done)

    def _enter(self, path: str) -> str:
        """Make sure `path`, whose parent is a real folder, is a folder; or return where the link there points."""
        if path in self._folders:
            return ""
        full = os.path.join(self._root, path)
        try:
            info = os.lstat(full)
        except FileNotFoundError:
            return self._imply(path, full)
        if stat.S_ISLNK(info.st_mode):
            return os.readlink(full)
        if stat.S_ISDIR(info.st_mode):
            self._folders.add(path)
            return ""
        self._make(path, full, opaque=self._clear(path, full, keep_folder=False))
        return ""

    def _imply(self, path: str, full: str) -> str:
        """A folder the layer does not list: as the layers below have it, else plain."""
        for layer in self._lower:
            below = os.path.join(layer, path)
            try:
                info = os.lstat(below)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if os.path.realpath(os.path.dirname(below)) != os.path.dirname(below):
                continue  # reached through a link of that layer: not the same path
            if stat.S_ISLNK(info.st_mode):
                self.used_lower = True
                return os.readlink(below)
            if not stat.S_ISDIR(info.st_mode):
                break
            self._make(path, full)
            self.used_lower = True
            os.chown(full, info.st_uid, info.st_gid)
            os.chmod(full, stat.S_IMODE(info.st_mode))
            self._times[path] = int(info.st_mtime)
            return ""
        self._make(path, full)
        return ""

    def _make(self, path: str, full: str, *, opaque: bool = False) -> None:
        os.mkdir(full, 0o755)
        os.chmod(full, 0o755)
        self._folders.add(path)
        if opaque:
            os.setxattr(full, OPAQUE_ATTRIBUTE, b"y")

"""Tar bytes as Go's archive/tar writes them, so that equal layers get the diff ids the lifecycle gives them.

In:    folders and files of this machine, or bytes, with the absolute names they get.
Out:   a tar: one time for everything, owners as numbers only, names without a slash at the end of folders.
Spec:  POSIX ustar, pax; `created 1980-01-01T00:00:01Z` is the lifecycle's choice.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wherry.kit.errors import Invalid

MTIME = 315532801  # 1980-01-01T00:00:01Z
_BLOCK = 512
_COPY_BYTES = 1 << 20
_OCTAL_MAX = {8: 0o7777777, 12: 0o77777777777}
_PREFIX_BYTES, _NAME_BYTES = 155, 100
FILE, SYMLINK, FOLDER, PAX = b"0", b"2", b"5", b"x"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry: a header, and the file or the bytes that follow it."""

    name: str
    kind: bytes
    mode: int
    uid: int
    gid: int
    link: str = ""
    data: bytes = b""
    source: Path | None = None


class Writer:
    """Writes members; `digest` is the diff id once `close` was called."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.members = 0

    def add(self, member: Member) -> None:
        """Write one member. A source that changes its length meanwhile raises `Invalid`."""
        self.members += 1
        if member.source is None:
            self._write(header(member, len(member.data)) + member.data + _padding(len(member.data)))
            return
        with member.source.open("rb") as file:
            size = left = os.fstat(file.fileno()).st_size
            self._write(header(member, size))
            while left:
                part = file.read(min(left, _COPY_BYTES))
                if not part:
                    raise Invalid(f"file {member.name!r} became shorter while it was put into a layer")
                self._write(part)
                left -= len(part)
            self._write(_padding(size))

    def close(self) -> None:
        """Write the end marker."""
        self._write(bytes(2 * _BLOCK))

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


def tree(source: Path, name: str, uid: int, gid: int) -> Iterator[Member]:
    """`source` and everything below it in Go's walking order, as `name` of the owner. Sockets are left out."""
    found = _member(source, name, uid, gid)
    if found is None:
        return
    yield found
    if found.kind == FOLDER:
        # Go sorts names as bytes.
        for child in sorted(os.listdir(os.fsencode(source))):
            text = os.fsdecode(child)
            yield from tree(source / text, f"{name}/{text}", uid, gid)


def single(source: Path, name: str, uid: int, gid: int) -> Member | None:
    """One file or folder without what is in it; None for what a layer cannot hold."""
    return _member(source, name, uid, gid)


def parents(name: str, uid: int, gid: int, skip: set[str] | None = None) -> Iterator[Member]:
    """The folders above `name`, which the base image has as root's 0755, those below `/layers` as the owner's."""
    parts = name.strip("/").split("/")[:-1]
    for length in range(1, len(parts) + 1):
        folder = "/" + "/".join(parts[:length])
        if skip is not None:
            if folder in skip:
                continue
            skip.add(folder)
        is_owned = folder.startswith(("/layers", "/workspace"))
        yield Member(folder, FOLDER, 0o755, uid if is_owned else 0, gid if is_owned else 0)


def header(member: Member, size: int) -> bytes:
    """The blocks before the content: ustar where it can say everything, with a pax header in front where not."""
    prefix, name, records = "", member.name, {}
    if not member.name.isascii() or len(member.name) > _NAME_BYTES:
        split = _split(member.name) if member.name.isascii() else None
        if split is None:
            records["path"] = member.name
        else:
            prefix, name = split
    if not member.link.isascii() or len(member.link) > _NAME_BYTES:
        records["linkpath"] = member.link
    for key, value, width in (("size", size, 12), ("uid", member.uid, 8), ("gid", member.gid, 8)):
        if value > _OCTAL_MAX[width]:
            records[key] = str(value)
    if not records:
        return _block(member, size, name, prefix, MTIME)
    prefix, name = "", member.name  # Go splits names in ustar only
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    folder, _, base = member.name.rpartition("/")
    extra = Member(f"{folder}/PaxHeaders.0/{base}", PAX, 0, 0, 0)
    lead = _block(extra, len(body), _ascii(extra.name)[:_NAME_BYTES].rstrip("/"), "", 0)
    return lead + body + _padding(len(body)) + _block(member, size, name, prefix, MTIME)


def _member(source: Path, name: str, uid: int, gid: int) -> Member | None:
    info = source.lstat()
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
        return Member(name, SYMLINK, mode, uid, gid, link=os.readlink(source))
    if stat.S_ISDIR(info.st_mode):
        return Member(name, FOLDER, mode, uid, gid)
    if stat.S_ISREG(info.st_mode):
        return Member(name, FILE, mode, uid, gid, source=source)
    if stat.S_ISSOCK(info.st_mode):
        return None
    raise Invalid(f"{name}: a layer holds files, folders and links, no devices or pipes")


def _block(member: Member, size: int, name: str, prefix: str, mtime: int) -> bytes:
    fields = (
        _text(name, 100), _octal(member.mode, 8), _octal(member.uid, 8), _octal(member.gid, 8), _octal(size, 12),
        _octal(mtime, 12), b" " * 8, member.kind, _text(member.link, 100), b"ustar\x0000", bytes(32), bytes(32),
        # Go leaves the device numbers of a pax header empty and writes zeros everywhere else.
        bytes(16) if member.kind == PAX else _octal(0, 8) * 2, _text(prefix, _PREFIX_BYTES), bytes(12),
    )  # fmt: skip
    block = b"".join(fields)
    checksum = b"%06o\x00 " % sum(block)
    return block[:148] + checksum + block[156:]


def _split(name: str) -> tuple[str, str] | None:
    """A long name as ustar's prefix and name, cut at the last slash that fits."""
    end = min(len(name), _PREFIX_BYTES + 1)
    cut = name.rfind("/", 0, end)
    rest = len(name) - cut - 1
    if cut <= 0 or rest > _NAME_BYTES or rest == 0 or cut > _PREFIX_BYTES:
        return None
    return name[:cut], name[cut + 1 :]


def _record(key: str, value: str) -> bytes:
    data = f"{key}={value}\n".encode("utf-8", "surrogateescape")
    size = len(data) + 2
    while len(str(size)) + 1 + len(data) != size:
        size = len(str(size)) + 1 + len(data)
    return f"{size} ".encode() + data


def _octal(value: int, width: int) -> bytes:
    if value > _OCTAL_MAX[width]:
        value = 0  # the pax record has it
    return b"%0*o\x00" % (width - 1, value)


def _text(text: str, width: int) -> bytes:
    data = _ascii(text).encode()
    if len(data) > width and data[width - 1 : width] == b"/":
        # Go ends a cut name before a slash, which some readers take for a folder.
        end = len(data[: width - 1].rstrip(b"/"))
        return data[:end] + b"\x00" + data[end + 1 : width]
    return data[:width].ljust(width, b"\x00")


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)

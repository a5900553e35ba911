"""Read a .deb: its control fields and its files. No maintainer script is ever run.

Spec: deb(5): an ar archive of debian-binary, control.tar[.gz|.xz|.zst], data.tar[.gz|.xz|.zst].
"""

import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from wherry.container.content.extract import add_package
from wherry.container.content.settings import ContentSettings
from wherry.container.image import compression
from wherry.kit.errors import Invalid

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_CONTROL_BYTES_MAX = 4 << 20


def unpack(path: Path, target: Path, settings: ContentSettings) -> None:
    """Put the package's files into `target`. Needs root. Blocking."""
    with _member(path, "data.tar") as stream:
        add_package(stream, target, settings)


def control(path: Path) -> dict[str, bytes]:
    """The files of the control archive: `control`, `md5sums`, ... by name."""
    found: dict[str, bytes] = {}
    with _member(path, "control.tar") as stream:
        data = stream.read(_CONTROL_BYTES_MAX)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                found[info.name.removeprefix("./")] = file.read()
    return found


@contextmanager
def _member(path: Path, wanted: str) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise Invalid(f"{path.name} is not a Debian package")
        while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
            if not size.isdigit():
                break
            start = file.tell()
            if name.startswith(wanted):
                part = cast(BinaryIO, io.BufferedReader(_Part(file, start, int(size))))
                with _decompressed(part, name) as stream:
                    yield stream
                return
            file.seek(start + int(size) + int(size) % 2)
    raise Invalid(f"{path.name}: there is no {wanted} in it")


@contextmanager
def _decompressed(part: BinaryIO, name: str) -> Iterator[IO[bytes]]:
    if name.endswith(".xz"):
        with lzma.LZMAFile(part) as stream:
            yield cast(IO[bytes], stream)
    else:
        with compression.reader(part) as stream:
            yield stream


class _Part(io.RawIOBase):
    """A slice of a file as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, min(base + offset, self._size))
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), self._size - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

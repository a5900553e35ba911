"""The files of the machine's log folder, as `/logs/` of the node API serves them.

In:    the folder, the rest of the path.
Out:   a folder as a page of links, a file as its bytes up to the size it had when it was opened.
Spec:  kubelet's server ("/logs/" is Go's http.FileServer over /var/log).
Never: what a link or `..` leads to outside the folder, a device, a pipe: a pod that may write there must not choose what
       of the machine is read. Ranges and If-Modified-Since are ignored.
"""

import asyncio
import html
import os
import stat
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from wherry.kit.errors import Forbidden, NotFound
from wherry.kit.http.message import Response

CHUNK_BYTES = 64 * 1024
HTML = ("content-type", "text/html; charset=utf-8")
PLAIN = (("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"))


async def serve_machine_file(folder: Path, rest: list[str]) -> Response:
    """Answer for `folder/rest`. Raise `NotFound` when nothing is there, `Forbidden` for what is never shown."""
    return await asyncio.to_thread(_answer, folder, rest)


def _answer(folder: Path, rest: list[str]) -> Response:
    shown = "/".join(rest)
    place = _open_place(folder, rest, shown)
    try:
        mode, inside = os.fstat(place).st_mode, f"/proc/self/fd/{place}"
        if stat.S_ISDIR(mode):
            return Response(200, [HTML], _page(inside))
        if not stat.S_ISREG(mode):
            raise Forbidden(f"logs/{shown} is neither a file nor a folder")
        file = FileIO(inside)
        size = os.fstat(file.fileno()).st_size
        return Response(200, [*PLAIN, ("content-length", str(size))], FileContent(file, size))
    finally:
        os.close(place)


def _open_place(folder: Path, rest: list[str], shown: str) -> int:
    """A descriptor that reads nothing yet. What it points at is asked of the kernel, so no link can be swapped meanwhile."""
    try:
        place = os.open(folder.joinpath(*rest), os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise NotFound(f"logs/{shown} not found") from error
    found = Path(os.readlink(f"/proc/self/fd/{place}"))
    if not found.is_relative_to(folder.resolve()):
        os.close(place)
        raise Forbidden(f"logs/{shown} leads out of the log folder")
    return place


def _page(folder: str) -> bytes:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    links = "".join(f'<a href="{quote("./" + name)}">{html.escape(name)}</a>\n' for name in names)
    return f"<!doctype html>\n<pre>\n{links}</pre>\n".encode()


class FileContent:
    """A file's bytes from its start to `size`, in parts; a file that shrank ends early. Closes it."""

    def __init__(self, file: FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        part = b""
        if self._left > 0 and not self._file.closed:
            part = await asyncio.to_thread(self._file.read, min(CHUNK_BYTES, self._left)) or b""
        if not part:
            await self.aclose()
            raise StopAsyncIteration
        self._left -= len(part)
        return part

    async def aclose(self) -> None:
        """Also before the first part: an answer to HEAD is never read."""
        self._file.close()

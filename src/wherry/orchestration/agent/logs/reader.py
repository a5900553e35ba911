"""Read container logs in the CRI format, from the end, since a time, or following what is written.

In:    path, `LogOptions`. Out: an async iterator of the content as `kubectl logs` shows it.
Spec:  CRI log line `<RFC3339Nano> <stdout|stderr> <P|F>[:tags] <content>\\n`; core/v1 PodLogOptions.
Follow: woken by inotify or by the container's end; a file that was rotated away is read to its end, then the new one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from wherry.kit.clock import parse_rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.agent.logs.wake import Waker

CHUNK_BYTES = 64 * 1024
BLOCK_BYTES = 64 * 1024
LINE_BYTES_MAX = 1024 * 1024  # a longer line without an end is passed on as it is


@dataclass(frozen=True, slots=True)
class LogOptions:
    """PodLogOptions. `stream` is "stdout", "stderr" or "" for both."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
    stream: str = ""


def parse_options(query: Mapping[str, Sequence[str]], now: datetime) -> LogOptions:
    """From a query string; raise `Invalid` with the field's name."""
    since = None
    if (seconds := _number(query, "sinceSeconds", least=1)) is not None:
        since = now - timedelta(seconds=seconds)
    if text := _text(query, "sinceTime"):
        if since is not None:
            raise Invalid("at most one of `sinceTime` or `sinceSeconds` may be specified")
        try:
            since = parse_rfc3339(text)
        except ValueError:
            raise Invalid(f"sinceTime: Invalid value: {text!r}: must be RFC 3339") from None
    stream = _text(query, "stream").lower()
    if stream not in ("", "all", "stdout", "stderr"):
        raise Invalid(f"stream: Unsupported value: {stream!r}")
    return LogOptions(
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        timestamps=_flag(query, "timestamps"),
        tail_lines=_number(query, "tailLines", least=0),
        since=since,
        limit_bytes=_number(query, "limitBytes", least=1),
        stream="" if stream == "all" else stream,
    )


async def read_log(
    path: Path, options: LogOptions, *, is_ended: Callable[[], bool], waker: Waker
) -> AsyncIterator[bytes]:
    """The content, until its end, or with follow until the container's. A missing file is empty."""
    shaper = Shaper(options)
    file = await _opened(path, options, is_ended, waker)
    if file is None:
        return
    try:
        if options.tail_lines is not None:
            file.seek(_tail_offset(file, options.tail_lines))
        rest = b""
        while not shaper.is_full:
            had_ended = is_ended()  # before the read: what was written until then is in the file
            waker.clear()
            block = file.read(BLOCK_BYTES)
            if block:
                lines, rest = _split(rest + block)
                if out := b"".join(shaper.shape(lines)):
                    yield out
                await asyncio.sleep(0)
            elif (fresh := _rotated(path, file)) is not None:
                file.close()
                file = fresh
            elif not options.follow or had_ended:
                break
            else:
                await waker.wait()
        if rest and not shaper.is_full and (out := b"".join(shaper.shape([rest]))):
            yield out
    finally:
        file.close()


class Shaper:
    """Lines in, wanted content out: filters, time stamps, byte limit. Pure."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit_bytes
        self._in_line = False

    @property
    def is_full(self) -> bool:
        """The byte limit is reached."""
        return self._left == 0

    def shape(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """The content of each wanted line."""
        for line in lines:
            parts = line.split(b" ", 3)
            if len(parts) < 4:
                continue  # not CRI: a torn first line
            stamp, stream, tags, content = parts
            if self._options.stream and stream.decode(errors="replace") != self._options.stream:
                continue
            if self._options.since is not None and _before(stamp, self._options.since):
                continue
            is_partial = tags.split(b":")[0] == b"P"
            if self._options.timestamps and not self._in_line:
                # conmon writes UTC as +00:00; clients are given Go's RFC 3339, where UTC is Z.
                content = stamp.replace(b"+00:00", b"Z") + b" " + content
            self._in_line = is_partial
            yield self._limited(content if is_partial else content + b"\n")
            if self.is_full:
                return

    def _limited(self, content: bytes) -> bytes:
        if self._left is None:
            return content
        cut = content[: self._left]
        self._left -= len(cut)
        return cut


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    lines = data.split(b"\n")
    rest = lines.pop()
    if len(rest) > LINE_BYTES_MAX:
        lines, rest = [*lines, rest], b""
    return lines, rest


def _before(stamp: bytes, since: datetime) -> bool:
    try:
        # Nanoseconds are more than datetime holds.
        text = stamp.decode()
        head, _, fraction = text.partition(".")
        digits = fraction[: next((i for i, c in enumerate(fraction) if not c.isdigit()), len(fraction))]
        zone = fraction[len(digits) :] if fraction else ""
        return datetime.fromisoformat(f"{head}.{digits[:6].ljust(6, '0')}{zone}" if fraction else text) < since
    except (ValueError, UnicodeDecodeError):
        return False


def _tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin, reading backwards block by block."""
    end = at = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    seen = 0
    while at > 0:
        size = min(BLOCK_BYTES, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        position = len(block)
        while (position := block.rfind(b"\n", 0, position)) != -1:
            if at + position + 1 == end:
                continue  # the newline that ends the last line
            seen += 1
            if seen == lines:
                return at + position + 1
    return 0


async def _opened(path: Path, options: LogOptions, is_ended: Callable[[], bool], waker: Waker) -> BinaryIO | None:
    while True:
        waker.clear()
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:
            if not options.follow or is_ended():
                return None
        await waker.wait()


def _rotated(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The new file under the same name, if there is one by now."""
    try:
        if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
            return None
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _text(query: Mapping[str, Sequence[str]], name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def _flag(query: Mapping[str, Sequence[str]], name: str) -> bool:
    values = query.get(name)
    return bool(values) and values[0].lower() not in ("false", "0") if values else False


def _number(query: Mapping[str, Sequence[str]], name: str, *, least: int) -> int | None:
    text = _text(query, name)
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise Invalid(f"{name}: Invalid value: {text!r}: must be a number") from None
    if number < least:
        raise Invalid(f"{name}: Invalid value: {number}: must be greater than or equal to {least}")
    return number

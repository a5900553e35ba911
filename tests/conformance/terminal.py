"""A person at a terminal: starts a command on a pseudo-terminal of a known size, waits for words and types answers."""

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Sequence

ROWS, COLUMNS = 33, 99


def talk(argv: Sequence[str], turns: Sequence[tuple[str, str]], *, limit_s: float = 20) -> tuple[str, int]:
    """For each (words, answer): type the answer once the words are on the screen. Give the screen and the exit code."""
    child, screen = pty.fork()
    if child == 0:
        os.execvp(argv[0], argv)
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    seen, deadline = b"", time.monotonic() + limit_s
    try:
        for words, answer in turns:
            while words.encode() not in seen:
                seen += _read(screen, deadline, seen)
            os.write(screen, answer.encode())
        while part := _read(screen, deadline, seen):
            seen += part
    finally:
        os.close(screen)  # hangs up: a command that still runs gets SIGHUP
        _, status = os.waitpid(child, 0)
    return seen.decode(errors="replace"), os.waitstatus_to_exitcode(status)


def _read(screen: int, deadline: float, seen: bytes) -> bytes:
    ready, _, _ = select.select([screen], [], [], max(0.0, deadline - time.monotonic()))
    assert ready, f"nothing more came; the screen so far: {seen!r}"
    try:
        return os.read(screen, 65536)
    except OSError:  # EIO: the command has ended
        return b""

"""Keep a component's own log within size: the process that writes it renames it and goes on in a new file.

In:    the path of the log, its limits.
Out:   `<name>.log`, and `<name>.log.1` (the newest) to `.log.<n>`. Nothing is lost: the old file is written until the switch.
Never: touches the log when standard error leads elsewhere, such as a terminal.
"""

import asyncio
import os
from pathlib import Path

CHECK_S = 30.0
STREAMS = (1, 2)


async def keep_rotated(path: Path, bytes_max: int, files_max: int) -> None:
    """Look every `CHECK_S` until cancelled."""
    while True:
        rotate(path, bytes_max, files_max)
        await asyncio.sleep(CHECK_S)


def rotate(path: Path, bytes_max: int, files_max: int) -> bool:
    """Rename the log and open a new one when it is larger than `bytes_max`; False when there is nothing to do."""
    if not _is_ours(path) or path.stat().st_size <= bytes_max:
        return False
    for number in range(files_max - 1, 0, -1):
        older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number}"))
    if files_max <= 1:
        path.unlink()
    fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream in STREAMS:
        os.dup2(fresh, stream)
    os.close(fresh)
    return True


def _is_ours(path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(STREAMS[-1]), path.stat())
    except OSError:
        return False

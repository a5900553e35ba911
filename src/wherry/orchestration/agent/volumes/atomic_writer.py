"""Write a set of files into a folder so that a reader sees all of the old set or all of the new one.

In:    folder, `Payload`, the group that owns the files (fsGroup).
Out:   True when something was written. Layout: `..<time>.<random>/` holds the files, `..data` links to it, each
       top-level name links to `..data/<name>`; the switch is one rename of `..data`.
Spec:  the layout kubelet has always written; programs watch `..data` (inotify) to reload.
Never: touches names that it did not make, except top-level links that point into `..data`.
"""

import os
import secrets
import shutil
import stat
from datetime import datetime
from pathlib import Path

from wherry.orchestration.agent.volumes.payload import File, Payload

DATA = "..data"
NEW_DATA = "..data_tmp"
FOLDER_MODE = 0o755


def write(folder: Path, payload: Payload, *, now: datetime, group: int | None = None) -> bool:
    """Make `folder` show exactly `payload`. Raises OSError with the old files still in place."""
    old = _current(folder)
    if old is not None and _same(folder / old, payload, group):
        _link_names(folder, payload)
        return False
    fresh = f"..{now.strftime('%Y_%m_%d_%H_%M_%S')}.{secrets.randbelow(10**9)}"
    _write_files(folder / fresh, payload, group)
    temporary = folder / NEW_DATA
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh)
    temporary.replace(folder / DATA)
    _link_names(folder, payload)
    _drop_stale(folder, payload)
    if old is not None:
        shutil.rmtree(folder / old, ignore_errors=True)
    return True


def _current(folder: Path) -> str | None:
    try:
        name = os.readlink(folder / DATA)
    except FileNotFoundError:
        return None
    return name if (folder / name).is_dir() else None


def _same(folder: Path, payload: Payload, group: int | None) -> bool:
    present = {str(Path(root, name).relative_to(folder)) for root, _, names in os.walk(folder) for name in names}
    if present != set(payload):
        return False
    return all(_same_file(folder / path, file, group) for path, file in payload.items())


def _same_file(path: Path, file: File, group: int | None) -> bool:
    found = path.stat()
    same_mode = stat.S_IMODE(found.st_mode) == _mode(file, group)
    return same_mode and found.st_size == len(file.data) and path.read_bytes() == file.data


def _write_files(folder: Path, payload: Payload, group: int | None) -> None:
    _make_folder(folder, group)
    for path, file in payload.items():
        parts = Path(path).parts[:-1]
        for depth in range(1, len(parts) + 1):
            _make_folder(folder.joinpath(*parts[:depth]), group)
        target = folder / path
        target.write_bytes(file.data)
        if group is not None or file.owner is not None:
            os.chown(target, -1 if file.owner is None else file.owner, -1 if group is None else group)
        target.chmod(_mode(file, group))


def _mode(file: File, group: int | None) -> int:
    """A file that a group owns must be readable by it."""
    return file.mode if group is None else file.mode | stat.S_IRUSR | stat.S_IRGRP


def _make_folder(folder: Path, group: int | None) -> None:
    folder.mkdir(exist_ok=True)
    if group is not None:
        os.chown(folder, -1, group)
    # chmod after chown, which clears the set-group-id bit; mkdir's mode would be cut by the umask.
    folder.chmod(FOLDER_MODE if group is None else FOLDER_MODE | stat.S_ISGID)


def _link_names(folder: Path, payload: Payload) -> None:
    for name in {Path(path).parts[0] for path in payload}:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path(DATA, name))


def _drop_stale(folder: Path, payload: Payload) -> None:
    wanted = {Path(path).parts[0] for path in payload}
    for entry in os.scandir(folder):
        is_ours = entry.is_symlink() and os.readlink(entry.path).startswith(f"{DATA}/")
        if is_ours and entry.name not in wanted:
            os.unlink(entry.path)

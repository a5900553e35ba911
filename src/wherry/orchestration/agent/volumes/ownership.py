"""fsGroup: give a volume's files to a group that the pod's processes are in.

Spec: core/v1 PodSecurityContext.fsGroup and fsGroupChangePolicy: rw-rw---- added recursively, set-group-id on folders.
"""

import os
import stat
from pathlib import Path

_WRITABLE = 0o660
_READ_ONLY = 0o440
_FOLDER = 0o110


def set_ownership(root: Path, group: int, *, read_only: bool, policy: str) -> None:
    """Recursive; symlinks are owned, not followed. With OnRootMismatch nothing happens when the root fits."""
    if policy == "OnRootMismatch" and _root_fits(root, group, read_only):
        return
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            _own(os.path.join(folder, name), group, read_only)
        # The folder after its content: a fitting root then proves that the walk was completed.
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.lchown(path, -1, group)
        _own(folder, group, read_only)


def _own(path: str, group: int, read_only: bool) -> None:
    found = os.lstat(path)
    os.lchown(path, -1, group)
    if stat.S_ISLNK(found.st_mode):
        return
    mode = stat.S_IMODE(found.st_mode) | (_READ_ONLY if read_only else _WRITABLE)
    if stat.S_ISDIR(found.st_mode):
        mode |= stat.S_ISGID | _FOLDER
    os.chmod(path, mode)


def _root_fits(root: Path, group: int, read_only: bool) -> bool:
    found = root.stat()
    wanted = (_READ_ONLY if read_only else _WRITABLE) | _FOLDER | stat.S_ISGID
    return found.st_gid == group and found.st_mode & wanted == wanted

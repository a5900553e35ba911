"""hostPath: check what is there, or make it, by type.

Spec: core/v1 HostPathVolumeSource.type; texts as kubelet's.
"""

import os
import stat

from wherry.kit.errors import Invalid

_CHECKS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def prepare(path: str, kind: str) -> str:
    """`path`, once it is of that type. Raise `Invalid` when it is not."""
    if kind == "DirectoryOrCreate" and not os.path.exists(path):
        os.makedirs(path, mode=0o755, exist_ok=True)
    if kind == "FileOrCreate" and not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    if kind == "":
        # As container runtimes do for a bind mount without a type.
        if not os.path.exists(path):
            os.makedirs(path, mode=0o755, exist_ok=True)
        return path
    check = _CHECKS.get(kind.removesuffix("OrCreate"))
    if check is None:
        raise Invalid(f"hostPath type check failed: unknown type {kind!r}")
    is_kind, noun = check
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise Invalid(f"hostPath type check failed: {path} is not a {noun}") from None
    if not is_kind(mode):
        raise Invalid(f"hostPath type check failed: {path} is not a {noun}")
    return path

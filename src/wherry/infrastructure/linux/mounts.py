"""Mounts on this machine: bind, tmpfs, overlay, propagation, unmount, and the table of what is mounted.

In:    absolute paths (overlay layers may be many; see `overlay`).
Out:   `OSError` from the kernel, unchanged; `unmount*` are idempotent.
Spec:  mount(2), umount2(2), proc(5) mountinfo, kernel Documentation/filesystems/overlayfs.rst.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from wherry.infrastructure.linux import libc

READ_ONLY = 0x1
NO_SUID = 0x2
NO_DEV = 0x4
NO_EXEC = 0x8
REMOUNT = 0x20
BIND = 0x1000
RECURSIVE = 0x4000
PRIVATE = 1 << 18
SLAVE = 1 << 19
SHARED = 1 << 20
DETACH = 2

# mount(2) copies one page of options; stay below it with room for the terminating zero.
OPTIONS_BYTES_MAX = 4000
UNMOUNT_TRIES_MAX = 64


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of /proc/self/mountinfo."""

    target: str
    kind: str
    source: str
    shared: bool
    options: str


def bind(source: str, target: str, *, read_only: bool = False, recursive: bool = True) -> None:
    """Show `source` at `target`, which exists. Read-only needs a second call by the kernel's rules."""
    libc.mount(source, target, "", BIND | (RECURSIVE if recursive else 0))
    if read_only:
        libc.mount("", target, "", REMOUNT | BIND | READ_ONLY)


def tmpfs(target: str, options: str = "", flags: int = NO_SUID | NO_DEV) -> None:
    """An empty file system in memory."""
    libc.mount("tmpfs", target, "tmpfs", flags, options)


def set_propagation(target: str, flags: int) -> None:
    """`flags` is PRIVATE, SLAVE or SHARED, with RECURSIVE if the whole tree is meant."""
    libc.mount("", target, "", flags)


def make_shared_root(folder: str) -> None:
    """Make `folder` a mount point whose mounts reach every namespace that copied it. Idempotent.

    Without systemd the machine's root is private, and a mount made here would stay pinned in, or be absent from,
    namespaces that containers cloned earlier.
    """
    entry = next((mount for mount in table() if mount.target == os.path.realpath(folder)), None)
    if entry is None:
        libc.mount(folder, folder, "", BIND | RECURSIVE)
    if entry is None or not entry.shared:
        set_propagation(folder, SHARED)


def overlay(target: str, lower: Sequence[str], upper: str, work: str, short_names: str, flags: int = 0) -> None:
    """Mount layers `lower` (bottom first) with a writable `upper`; `short_names` is a folder for symbolic links.

    `volatile`: the upper folder is not synced on unmount; it must not be mounted again after a crash of the machine.
    When the options do not fit one page the layers are named by short links relative to `short_names`: about 330 layers.
    """
    tail = f",upperdir={upper},workdir={work},volatile"
    options = "lowerdir=" + ":".join(_escaped(path) for path in reversed(lower)) + tail
    if len(options) <= OPTIONS_BYTES_MAX:
        libc.mount("overlay", target, "overlay", flags, options)
        return
    names = [_short_name(path, short_names) for path in reversed(lower)]
    _in_folder(short_names, target, "lowerdir=" + ":".join(names) + tail, flags)


def unmount(target: str) -> None:
    """Take off every mount stacked at `target`, lazily when busy. Idempotent."""
    for _ in range(UNMOUNT_TRIES_MAX):
        try:
            libc.umount2(target, DETACH)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return
            raise


def unmount_below(folder: str) -> None:
    """Take off everything mounted at or below `folder`, deepest first. Idempotent."""
    root = os.path.realpath(folder)
    targets = {mount.target for mount in table() if mount.target == root or mount.target.startswith(root + "/")}
    for target in sorted(targets, key=len, reverse=True):
        unmount(target)


def table(text: str = "") -> list[MountEntry]:
    """What is mounted in this process's namespace, or what `text` (a mountinfo file) says."""
    lines = (text or Path("/proc/self/mountinfo").read_text(encoding="utf-8")).splitlines()
    return [_entry(line) for line in lines]


def is_mounted(target: str) -> bool:
    """Is `target` itself a mount point here?"""
    real = os.path.realpath(target)
    return any(mount.target == real for mount in table())


def _entry(line: str) -> MountEntry:
    front, _, back = line.partition(" - ")
    fields, (kind, source, options) = front.split(), back.split(maxsplit=2)
    shared = any(word.startswith("shared:") for word in fields[6:])
    return MountEntry(_unescaped(fields[4]), kind, _unescaped(source), shared, f"{fields[5]},{options}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _escaped(path: str) -> str:
    return re.sub(r"([\\:,])", r"\\\1", path)


def _short_name(path: str, folder: str) -> str:
    name = hashlib.sha256(path.encode()).hexdigest()[:10]
    link = os.path.join(folder, name)
    try:
        os.symlink(path, link)
    except FileExistsError:
        assert os.readlink(link) == path, f"two layers share the short name {name}"
    return name


def _in_folder(folder: str, target: str, options: str, flags: int) -> None:
    """Mount an overlay with names relative to `folder`, in a thread that has its own working directory."""
    done: Future[None] = Future()

    def work() -> None:
        try:
            libc.unshare(libc.CLONE_FS)
            os.chdir(folder)
            libc.mount("overlay", target, "overlay", flags, options)
        except OSError as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=work, name="overlay").start()
    done.result()

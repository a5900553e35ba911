"""The few system calls Python 3.11 has no function for, by ctypes; errors are `OSError` with errno and the named object.

In:    paths and flag numbers (constants below are from the kernel's uapi headers).
Never: decides anything; `mounts`, `namespaces` and `loop` do.
"""

import ctypes
import errno
import os
import struct

SYS_OPENAT2 = 437  # the same number on every architecture
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RACED_OPENS_MAX = 1_000
CLONE_FS = 0x00000200
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    _check(_libc.mount(_text(source), _text(target), _text(kind), flags, _text(options)), target)


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_libc.umount2(_text(target), flags), target)


def setns(descriptor: int, kind: int) -> None:
    """setns(2), for the calling thread only."""
    _check(_libc.setns(descriptor, kind), "setns")


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread only."""
    _check(_libc.unshare(flags), "unshare")


def sethostname(name: str) -> None:
    """sethostname(2), in the calling thread's UTS namespace."""
    data = os.fsencode(name)
    _check(_libc.sethostname(data, len(data)), name)


def open_in_root(root: str, path: str) -> int:
    """A read-only descriptor of `path` as a process whose root folder is `root` would see it: no link leads outside.

    openat2(2) with RESOLVE_IN_ROOT, kernel 5.6.
    """
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return openat2(folder, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, RESOLVE_IN_ROOT)
    finally:
        os.close(folder)


def openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2) of `path` from the open `folder`, within the bounds of `resolve`.

    A rename or mount anywhere on the machine while the kernel walks a ".." makes it answer EAGAIN (openat2(2), ERRORS):
    it is asked again, a thousand times at most.
    """
    how = struct.pack("=QQQ", flags, 0, resolve)
    for _ in range(RACED_OPENS_MAX):
        descriptor = int(_libc.syscall(SYS_OPENAT2, folder, os.fsencode(path), how, len(how)))
        if descriptor >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    _check(descriptor, path)
    return descriptor


def _text(value: str) -> bytes | None:
    return os.fsencode(value) if value else None


def _check(result: int, what: str) -> None:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)

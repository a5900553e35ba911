"""Namespaces kept alive by files: make them, enter them for one call, drop them.

Every entry happens in a fresh thread that ends afterwards, so no thread of this process ever stays in a foreign namespace.
Spec: namespaces(7), setns(2): network, IPC and UTS namespaces belong to the thread.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from wherry.infrastructure.linux import libc, mounts

Result = TypeVar("Result")

FLAGS = {"net": libc.CLONE_NEWNET, "ipc": libc.CLONE_NEWIPC, "uts": libc.CLONE_NEWUTS}


def create(files: Mapping[str, str], *, hostname: str = "", sysctls: Mapping[str, str] | None = None) -> None:
    """Make one new namespace for each of `files` (kind net, ipc or uts -> path) and hold it by a bind mount there.

    `hostname` needs "uts"; `sysctls` ("net.ipv4.tcp_syncookies": "1") need "net" or "ipc". All or nothing.
    Blocking, about 1 ms.
    """

    def work() -> None:
        flags = 0
        for kind in files:
            flags |= FLAGS[kind]
        libc.unshare(flags)
        if hostname and "uts" in files:
            libc.sethostname(hostname)
        for name, value in (sysctls or {}).items():
            sysctl_path(name).write_text(value, encoding="ascii")
        for kind, path in files.items():
            Path(path).touch()
            mounts.bind(f"/proc/thread-self/ns/{kind}", path, recursive=False)

    try:
        in_fresh_thread(work)
    except OSError:
        for path in files.values():
            drop(path)
        raise


def drop(path: str) -> None:
    """Let go of the namespace held at `path`; the kernel frees it with its last process. Idempotent."""
    mounts.unmount(path)
    Path(path).unlink(missing_ok=True)


def is_held(path: str) -> bool:
    """Is a namespace bind-mounted at `path`?"""
    try:
        return _is_nsfs(path)
    except FileNotFoundError:
        return False


def inside_network(path: str, work: Callable[[], Result]) -> Result:
    """Return `work()` run in the network namespace at `path`. Blocking. Sockets made there stay there."""

    def entered() -> Result:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(descriptor, libc.CLONE_NEWNET)
        finally:
            os.close(descriptor)
        return work()

    return in_fresh_thread(entered)


def socket_inside(path: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket that lives in the network namespace at `path`, usable from any thread."""
    return inside_network(path, lambda: socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol))


def in_fresh_thread(work: Callable[[], Result]) -> Result:
    """Return `work()` run in a thread that ends with it; its `OSError` or `ValueError` is raised here."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except (OSError, ValueError) as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    return done.result(timeout=0)


def sysctl_path(name: str) -> Path:
    """`net.ipv4.ip_forward` -> /proc/sys/net/ipv4/ip_forward. Slashes are taken as they are; `..` is refused."""
    parts = name.split("/") if "/" in name else name.split(".")
    if not all(parts) or any(part in (".", "..") for part in parts):
        raise ValueError(f"sysctl name {name!r} is not a dotted path")
    return Path("/proc/sys", *parts)


def _is_nsfs(path: str) -> bool:
    # A namespace file lives on a device of its own, unlike the empty file it is mounted over.
    return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev

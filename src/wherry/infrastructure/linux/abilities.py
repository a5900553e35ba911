"""What this machine's kernel can do now, or will when it is asked: ports, file systems, modules.

In:    sockets, /proc/filesystems, /lib/modules. Out: yes or no. Never: loads or changes anything.
"""

import errno
import os
import socket
from pathlib import Path


def port_free(port: int, address: str = "0.0.0.0") -> bool:  # noqa: S104
    """True when a TCP server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # No right to a low port, or an address that is not on a link yet, says nothing of who listens.
            return error.errno != errno.EADDRINUSE
    return True


def has_filesystem(name: str) -> bool:
    """The kernel has it, or loads its module at the first mount."""
    words = Path("/proc/filesystems").read_text(encoding="ascii").split()
    return name in words or has_module(name)


def has_module(name: str, modules: Path = Path("/lib/modules")) -> bool:
    """A module of the running kernel that can be loaded when it is needed, or is built in."""
    folder = modules / os.uname().release
    for listing in ("modules.dep", "modules.builtin"):
        try:
            lines = (folder / listing).read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        if any(line.partition(":")[0].rpartition("/")[2].partition(".ko")[0].replace("-", "_") == name for line in lines):
            return True
    return False

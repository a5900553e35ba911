"""Who listens on a TCP port of this machine.

In:    a port; /proc/net/tcp and /proc/net/tcp6, /proc/<pid>/fd.
Out:   the listening processes with their name and cgroup.
Spec:  proc(5), "/proc/net/tcp"; the kernel's TCP_LISTEN is 0A.
Cost:  reads every process's descriptors: only asked when a port was found taken.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TCP_LISTEN = "0A"
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that accepts connections on the port. `cgroups` is the text of /proc/<pid>/cgroup."""

    pid: int
    program: str
    cgroups: str


def on_port(port: int) -> tuple[Listener, ...]:
    """The processes listening on `port`, on any address; () when none, or none this user may see."""
    inodes: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        if (path := PROC / table).exists():
            inodes |= listening_inodes(path.read_text(encoding="ascii"), port)
    return tuple(listener for pid in _holders(inodes) if (listener := _describe(pid))) if inodes else ()


def listening_inodes(table: str, port: int) -> set[str]:
    """Socket inodes of the rows of a /proc/net/tcp table that listen on `port`."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9] for row in rows if row[3] == TCP_LISTEN and int(row[1].rpartition(":")[2], 16) == port}


def _holders(inodes: set[str]) -> Iterator[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and any(link in wanted for link in _open_files(folder)):
            yield int(folder.name)


def _open_files(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return
    for descriptor in descriptors:
        try:
            yield os.readlink(descriptor)
        except OSError:
            continue


def _describe(pid: int) -> Listener | None:
    try:
        program = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return Listener(pid, program, (PROC / str(pid) / "cgroup").read_text(encoding="utf-8"))
    except OSError:
        return None

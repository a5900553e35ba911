"""Names of Linux capabilities, and what a container gets of them.

Spec: capabilities(7); the default 14 are those of containerd and Docker, which images expect.
"""

from collections.abc import Sequence
from pathlib import Path

from wherry.kit.errors import Invalid

_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_DEFAULT_NAMES = """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT
"""
ALL = tuple(f"CAP_{name}" for name in _NAMES.split())
DEFAULT = tuple(f"CAP_{name}" for name in _DEFAULT_NAMES.split())


def effective(add: Sequence[str], drop: Sequence[str]) -> tuple[str, ...]:
    """What is held, in kernel order: ALL in `add`, then ALL in `drop`, then single additions, then single drops."""
    added, dropped = {_full(name) for name in add}, {_full(name) for name in drop}
    held = set(ALL) if "CAP_ALL" in added else set(DEFAULT)
    if "CAP_ALL" in dropped:
        held = set()
    held = (held | (added - {"CAP_ALL"})) - dropped
    return tuple(name for name in ALL if name in held)


def available(status: str = "") -> frozenset[str]:
    """What this process could hand on: its bounding set, from /proc/self/status or `status` (the text of such a file)."""
    text = status or Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("CapBnd:"))
    bits = int(line.split()[1], 16)
    return frozenset(name for bit, name in enumerate(ALL) if bits >> bit & 1)


def _full(name: str) -> str:
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full != "CAP_ALL" and full not in ALL:
        raise Invalid(f"capability {name!r} is not known")
    return full

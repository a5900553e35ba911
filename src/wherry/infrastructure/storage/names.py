"""What a volume may be called and how large it may be.

Spec: CSI 1.12 "Size Limits" (names of up to 128 bytes must work).
"""

import re

from wherry.kit.errors import Invalid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SIZE_BYTES_MIN = 8 * 1024**2  # the smallest ext4 with a journal
SIZE_BYTES_MAX = 16 * 1024**4  # ext4 with 4 KiB blocks
GRAIN_BYTES = 4096


def checked_name(name: str) -> str:
    """`name`, or `Invalid`: it becomes a folder, so nothing that walks out of one."""
    if not NAME.fullmatch(name):
        raise Invalid(f"volume name {name!r}: use 1 to 128 letters, digits, dots, dashes and underscores, not starting with a sign")
    return name


def granted_size(size_bytes: int) -> int:
    """The size given for a wish: at least 8 MiB, whole blocks. Raises `Invalid` outside 1 byte to 16 TiB."""
    if not 0 < size_bytes <= SIZE_BYTES_MAX:
        raise Invalid(f"volume size {size_bytes}: give 1 to {SIZE_BYTES_MAX} bytes")
    rounded = -(-size_bytes // GRAIN_BYTES) * GRAIN_BYTES
    return max(rounded, SIZE_BYTES_MIN)

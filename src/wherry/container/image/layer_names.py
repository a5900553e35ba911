"""What the names inside a layer mean: clean relative paths, whiteouts, opaque folders, extended attributes.

Spec: OCI image-spec 1.1 layer.md, "Whiteouts"; pax "SCHILY.xattr." records.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wherry.kit.errors import Invalid

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
AUFS = ".wh..wh."  # AUFS' own bookkeeping: to be skipped
XATTR = "SCHILY.xattr."
PATH_BYTES_MAX = 4096
NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class Hidden:
    """A whiteout: hide `path` of lower layers, or with `is_opaque` everything lower layers have in the folder `path`."""

    path: str
    is_opaque: bool


def clean(name: str) -> str:
    """A path relative to the root with no `.`, `..` or doubled slashes; "" is the root. `..` never leads out of it."""
    if len(name.encode(errors="surrogateescape")) > PATH_BYTES_MAX:
        raise Invalid(f"layer: path {name[:80]!r}... is longer than {PATH_BYTES_MAX} bytes")
    if "\0" in name:
        raise Invalid(f"layer: path {name[:80]!r} holds a NUL")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def hidden(path: str) -> Hidden | None:
    """The whiteout that a cleaned path stands for, if it is one."""
    folder, _, name = path.rpartition("/")
    if not name.startswith(WHITEOUT):
        return None
    if name == OPAQUE:
        return Hidden(folder, is_opaque=True)
    target = name.removeprefix(WHITEOUT)
    if target in ("", ".", ".."):
        raise Invalid(f"layer: whiteout {path[:200]!r} names nothing")
    return Hidden(f"{folder}/{target}" if folder else target, is_opaque=False)


def is_bookkeeping(path: str) -> bool:
    """AUFS' private files, which are no part of the image."""
    return any(part.startswith(AUFS) and part != OPAQUE for part in path.split("/"))


def attributes(pax: Mapping[str, str]) -> dict[str, bytes]:
    """The extended attributes to set: file capabilities and `user.*`. The rest could change what overlay shows."""
    found = {}
    for key, value in pax.items():
        name = key.removeprefix(XATTR)
        if key.startswith(XATTR) and is_kept(name):
            found[name] = value.encode("utf-8", "surrogateescape")
    return found


def is_kept(attribute: str) -> bool:
    """Whether an extended attribute is part of an image."""
    return attribute == "security.capability" or attribute.startswith("user.")

"""Which entry of an index is for this machine.

Spec: OCI image-spec 1.1 image-index.md; containerd's order for variants (arm64 means v8; arm v7 also runs v6 and v5).
"""

import os

from wherry.container.image.documents import Descriptor, Index, Platform
from wherry.kit.errors import NotFound

_MACHINES = {"x86_64": ("amd64", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7"), "i686": ("386", ""),
             "ppc64le": ("ppc64le", ""), "s390x": ("s390x", ""), "riscv64": ("riscv64", "")}
_ATTESTATION = "vnd.docker.reference.type"


def host() -> Platform:
    """This machine's platform."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The best entry; entries without a platform count last. Raise `NotFound` naming what there is."""
    real = [entry for entry in index.manifests if _ATTESTATION not in entry.annotations]
    ranked = sorted(((_rank(entry.platform, wanted), i) for i, entry in enumerate(real)), reverse=True)
    if ranked and ranked[0][0] > 0:
        # Equal ranks: the first entry of the index, as the spec asks.
        best = max(rank for rank, _ in ranked)
        return next(entry for entry in real if _rank(entry.platform, wanted) == best)
    offered = ", ".join(str(entry.platform) for entry in real if entry.platform) or "none"
    raise NotFound(f"no match for platform in manifest: want {wanted}, the index has {offered}")


def _rank(offered: Platform | None, wanted: Platform) -> int:
    if offered is None or not (offered.os or offered.architecture):
        return 1
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return 0
    mine, theirs = _variant(wanted), _variant(offered)
    if mine == theirs:
        return 20
    if wanted.architecture == "arm" and theirs < mine:
        return 10 + theirs
    return 2 if not offered.variant else 0


def _variant(platform: Platform) -> int:
    digits = platform.variant.removeprefix("v").partition(".")[0]
    if digits.isdigit():
        return int(digits)
    return {"arm64": 8, "arm": 7, "amd64": 1}.get(platform.architecture, 0)

"""The seccomp part of an OCI spec: RuntimeDefault by the capabilities held, a profile from a file, or none.

Spec:  OCI runtime-spec 1.1 config-linux.md "seccomp"; the default follows containerd's: no mount, no new namespace, no
       kernel key, no module, no clock without the capability that is meant for it.
Unknown system calls answer ENOSYS, so that programs fall back; known and refused ones answer EPERM.
"""

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from wherry.kit.errors import Invalid

ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
EPERM, ENOSYS = 1, 38
AF_VSOCK = 40
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
NEW_NAMESPACE_FLAGS = 0x7E020000
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_profile(capabilities: Collection[str], machine: str) -> dict[str, Any]:
    """RuntimeDefault for a process that holds `capabilities` on `machine` (as in uname -m)."""
    allow, by_capability, deny = _data()
    held = {name for capability, names in by_capability.items() if capability in capabilities for name in names}
    refused = ({name for names in by_capability.values() for name in names} | deny) - held
    rules: list[dict[str, Any]] = [_rule(sorted(allow | held)), *_conditional()]
    if "CAP_SYS_ADMIN" not in capabilities:
        # clone3 hides its flags in memory that seccomp cannot read: libc falls back to clone on ENOSYS.
        refused -= {"clone", "clone3"}
        rules.append(_rule(["clone"], _argument(0, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACE_FLAGS, 0)))
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    rules.append({"names": sorted(refused), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": ARCHITECTURES.get(machine, []),
        "syscalls": rules,
    }


def from_file(path: str) -> dict[str, Any]:
    """A Localhost profile. Raise `Invalid` when it is absent or no JSON object."""
    try:
        profile = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise Invalid(f"cannot load seccomp profile {path!r}: no such file") from error
    except ValueError as error:
        raise Invalid(f"cannot load seccomp profile {path!r}: {error}") from error
    if not isinstance(profile, dict):
        raise Invalid(f"cannot load seccomp profile {path!r}: not an object")
    return profile


@cache
def _data() -> tuple[frozenset[str], dict[str, frozenset[str]], frozenset[str]]:
    data = json.loads(Path(__file__).with_name("seccomp_default.json").read_bytes())
    by_capability = {name: frozenset(names.split()) for name, names in data["allow_with_capability"].items()}
    return frozenset(" ".join(data["allow"]).split()), by_capability, frozenset(" ".join(data["deny"]).split())


def _conditional() -> list[dict[str, Any]]:
    personalities = [_rule(["personality"], _argument(0, "SCMP_CMP_EQ", value)) for value in PERSONALITIES]
    return [*personalities, _rule(["socket"], _argument(0, "SCMP_CMP_NE", AF_VSOCK))]


def _rule(names: list[str], argument: dict[str, Any] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return {**rule, "args": [argument]} if argument else rule


def _argument(index: int, operation: str, value: int, second: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": second, "op": operation}

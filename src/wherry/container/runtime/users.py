"""Who a container's process is, from an image's /etc/passwd and /etc/group.

In:    the two files' text ("" when absent), the image's `User` ("", "uid", "name", "uid:gid", "name:group"), overrides.
Out:   a `ProcessUser`. Pure. `Invalid` when a name is not there; a number need not be.
Spec:  OCI image-spec config.User; passwd(5), group(5); broken lines are passed over as libc does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wherry.container.runtime.engine import Security
from wherry.kit.errors import Invalid

ID_MAX = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class ProcessUser:
    """Numbers for the kernel. `home` is "" when the user is not in /etc/passwd."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


def resolve(security: Security, image_user: str, passwd: str, group: str) -> ProcessUser:
    """The user by CRI's order: explicit id, explicit name, the image's user, root."""
    if security.group_id is not None and security.user_id is None and not security.user_name:
        raise Invalid("run_as_group needs run_as_user")
    wanted = str(security.user_id) if security.user_id is not None else security.user_name or image_user
    user, _, group_name = wanted.partition(":")
    account = _account(user, passwd)
    gid = security.group_id
    if gid is None:
        gid = _group_id(group_name, group) if group_name else account.gid
    # Groups that /etc/group names the user in count too ("Merge"); an explicit group in the image's User excludes them.
    named = () if group_name else tuple(_groups_of(account.name, group))
    extra = tuple(dict.fromkeys((*security.supplemental_groups, *named)))
    return ProcessUser(account.uid, gid, tuple(g for g in extra if g != gid or g in security.supplemental_groups), account.home)


def _account(user: str, passwd: str) -> _Account:
    for account in _accounts(passwd):
        if account.name == user or str(account.uid) == (user or "0"):
            return account
    if user in ("", "root"):
        return _Account("root", 0, 0, "/root")
    if user.isdecimal() and int(user) <= ID_MAX:
        return _Account("", int(user), 0, "")
    raise Invalid(f"unable to find user {user}: no matching entries in passwd file")


def _accounts(passwd: str) -> Iterator[_Account]:
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal():
            yield _Account(fields[0], int(fields[2]), int(fields[3]), fields[5])


def _group_id(name: str, group: str) -> int:
    for found, gid, _ in _groups(group):
        if found == name:
            return gid
    if name.isdecimal() and int(name) <= ID_MAX:
        return int(name)
    raise Invalid(f"unable to find group {name}: no matching entries in group file")


def _groups_of(user: str, group: str) -> Iterator[int]:
    return (gid for _, gid, members in _groups(group) if user and user in members)


def _groups(group: str) -> Iterator[tuple[str, int, list[str]]]:
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdecimal():
            yield fields[0], int(fields[2]), fields[3].split(",")

"""What maintainer scripts would have done, where an image needs it: accounts, linker cache, certificates, merged /usr.

In:    a root folder with packages unpacked.
Out:   the same root, usable. Each step does nothing when its package is not there.
Not done: debconf, alternatives (recipes list links), systemd units, Python's pre-compiled files (recipes may `run` it).
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from wherry.container.assemble import staging
from wherry.container.assemble.recipe import User
from wherry.kit import process

LDCONFIG_TIMEOUT_S = 60.0
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_COPIES = (  # template of a package -> where its script puts it when nothing is there
    ("usr/share/base-passwd/passwd.master", "etc/passwd"),
    ("usr/share/base-passwd/group.master", "etc/group"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/base-files/dot.profile", "root/.profile"),
    ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
)
_STRIPPED = (
    "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/doc-base", "usr/share/linda",
    "usr/share/bug", "usr/share/groff", "usr/share/bash-completion", "usr/share/zsh", "usr/share/menu", "usr/share/pixmaps",
    "lib/systemd/system", "usr/lib/systemd/system", "etc/init.d", "etc/rc?.d", "etc/cron.*", "etc/logrotate.d",
    "var/cache/ldconfig", "var/log/*.log",
)


def merge_usr(root: Path) -> None:
    """`/bin` and its kin as links into /usr, before anything is unpacked."""
    for name in MERGED:
        if not os.path.lexists(root / name) and name not in ("lib32", "libx32"):
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(f"usr/{name}")


def strip(root: Path, more: Sequence[str]) -> None:
    """Remove manuals, translations and what only an init system reads; licences (`copyright`) stay."""
    for pattern in (*_STRIPPED, *more):
        staging.remove(root, pattern)
    doc = root / "usr/share/doc"
    for folder in doc.iterdir() if doc.is_dir() else ():
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in folder.iterdir():
            if path.name != "copyright":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def templates(root: Path) -> None:
    """Files that scripts copy into place; the usual links in /var."""
    for source, target in _COPIES:
        if (root / source).is_file() and not os.path.lexists(root / target):
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / source, root / target)
    for link, points_at in (("var/run", "/run"), ("var/lock", "/run/lock")):
        if (root / "run").is_dir() and (root / "var").is_dir() and not os.path.lexists(root / link):
            (root / link).symlink_to(points_at)
    if (root / "etc/passwd").exists() and not (root / "etc/shadow").exists():
        names = [line.partition(":")[0] for line in (root / "etc/passwd").read_text().splitlines() if line]
        staging.write_file(root, "etc/shadow", "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names).encode(), mode=0o640)


def add_users(root: Path, users: Sequence[User]) -> None:
    """Append accounts that are not there, their groups, and make their homes."""
    passwd, group, shadow = _lines(root, "etc/passwd"), _lines(root, "etc/group"), _lines(root, "etc/shadow")
    for user in users:
        if not any(line.split(":")[2:3] == [str(user.gid)] for line in group):
            group.append(f"{user.group or user.name}:x:{user.gid}:")
        passwd = [line for line in passwd if line.partition(":")[0] != user.name]
        passwd.append(f"{user.name}:x:{user.uid}:{user.gid}:{user.name}:{user.home}:{user.shell}")
        if shadow and not any(line.startswith(f"{user.name}:") for line in shadow):
            shadow.append(f"{user.name}:*:19000:0:99999:7:::")
        home = staging.inside(root, user.home)
        if user.home not in ("/", "/nonexistent") and not home.exists():
            home.mkdir(parents=True)
            os.chown(home, user.uid, user.gid)
            home.chmod(0o755)
    if not users:
        return
    for path, lines, mode in (("etc/passwd", passwd, 0o644), ("etc/group", group, 0o644), ("etc/shadow", shadow, 0o640)):
        if lines:
            staging.write_file(root, path, ("\n".join(lines) + "\n").encode(), mode=mode)


def certificates(root: Path) -> None:
    """One bundle of all certificate authorities where OpenSSL, Go, curl and Python look for it."""
    source = root / "usr/share/ca-certificates"
    if not source.is_dir():
        return
    parts = [path.read_bytes().strip() + b"\n" for path in sorted(source.rglob("*.crt"))]
    staging.write_file(root, "etc/ssl/certs/ca-certificates.crt", b"".join(parts))
    for link, target in (("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt"), ("usr/lib/ssl/certs", "/etc/ssl/certs")):
        path = root / link
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)


async def linker_cache(root: Path) -> None:
    """`/etc/ld.so.cache`, if the image has the dynamic linker's configuration."""
    if not (root / "etc/ld.so.conf").exists():
        return
    await process.run(["ldconfig", "-r", str(root)], timeout_s=LDCONFIG_TIMEOUT_S)
    staging.remove(root, "var/cache/ldconfig")


def register(root: Path, name: str, control: dict[str, bytes]) -> None:
    """Leave the package's control data where scanners look for it in images without dpkg (`status.d`)."""
    stanza = control["control"].rstrip(b"\n") + b"\n"
    if b"\nStatus:" not in stanza:
        stanza += b"Status: install ok installed\n"
    staging.write_file(root, f"var/lib/dpkg/status.d/{name}", stanza)
    if "md5sums" in control:
        staging.write_file(root, f"var/lib/dpkg/status.d/{name}.md5sums", control["md5sums"])


def _lines(root: Path, path: str) -> list[str]:
    target = staging.inside(root, path)
    return target.read_text().splitlines() if target.is_file() else []

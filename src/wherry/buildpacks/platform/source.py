"""A copy of the source for the buildpacks, so that they never touch the user's own files.

In:    the user's folder, patterns, the owner.
Out:   the copied tree, owned by the build user and readable by the run user, who shares its group.
"""

import os
import shutil
import stat
from pathlib import Path

from wherry.buildpacks.lifecycle.places import Owner
from wherry.buildpacks.platform import patterns
from wherry.kit.errors import Invalid, NotFound

# Never part of an application; `include` in project.toml brings them in all the same.
LEFT_OUT = (".git/", ".hg/", ".svn/", "__pycache__/", "node_modules/", ".venv/", ".DS_Store", ".mypy_cache/", ".pytest_cache/")
FILES_MAX = 500_000


def check(source: Path) -> None:
    """Raise `NotFound` or `Invalid` for something that cannot be built."""
    if not source.exists():
        raise NotFound(f"source {str(source)!r} does not exist")
    if not source.is_dir():
        raise Invalid(f"source {str(source)!r} is not a folder")


def copy(source: Path, target: Path, owner: Owner, *, include: tuple[str, ...], exclude: tuple[str, ...]) -> int:
    """Copy what belongs to the application into the empty folder `target`; return the number of files. Blocking."""
    files = 0
    for folder, names, others in os.walk(source):
        inside = os.path.relpath(folder, source)
        here = "" if inside == "." else f"{inside}/"
        links = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in links and _enters(f"{here}{name}/", include, exclude))
        for name in [*others, *links]:
            if not _wanted(f"{here}{name}", include, exclude):
                continue
            files += 1
            if files > FILES_MAX:
                raise Invalid(f"source {str(source)!r} has more than {FILES_MAX} files; exclude some in project.toml")
            _make_folders(target, here, source, owner)
            _copy_one(Path(folder, name), target / here / name, owner)
        if not include:
            _make_folders(target, here, source, owner)
    return files


def _enters(path: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    if include:
        return True
    return not patterns.matches((*LEFT_OUT, *exclude), path) or any(pattern.startswith("!") for pattern in exclude)


def _wanted(path: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    if include:
        return patterns.matches(include, path)
    return not patterns.matches((*LEFT_OUT, *exclude), path)


def _make_folders(target: Path, here: str, source: Path, owner: Owner) -> None:
    path = Path()
    for part in here.strip("/").split("/") if here else ():
        path = path / part
        made = target / path
        if not made.exists():
            made.mkdir()
            made.chmod(stat.S_IMODE((source / path).stat().st_mode) | 0o755)
            owner.take(made)


def _copy_one(path: Path, target: Path, owner: Owner) -> None:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        target.symlink_to(os.readlink(path))
    elif stat.S_ISREG(info.st_mode):
        shutil.copyfile(path, target)
        # A tree made under umask 077 must run too.
        target.chmod(stat.S_IMODE(info.st_mode) & 0o777 | 0o644)
    else:
        return  # sockets, pipes and devices are no source
    owner.take(target)

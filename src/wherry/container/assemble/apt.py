"""The archive, through the machine's own apt: its sources, mirrors, proxies and keys hold for `assemble` too.

In:    nothing but apt's configuration; wanted packages.
Out:   an `Archive` of the indexes that apt has fetched and checked (InRelease by gpgv, indexes by SHA-256); .deb files in a
       cache by SHA-256, each checked again when used.
Spec:  apt-get(8) indextargets; apt-helper(1).
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from wherry.container.assemble.packages import Archive, Package
from wherry.kit import process
from wherry.kit.errors import Unavailable, Unsupported
from wherry.kit.process import CommandFailed

HELPER = "/usr/lib/apt/apt-helper"
UPDATE_TIMEOUT_S = 300.0
READ_TIMEOUT_S = 600.0  # a minute and more on a busy or emulated machine
DOWNLOAD_TIMEOUT_S = 900.0
DOWNLOADS_AT_ONCE = 2  # apt itself opens one connection per host
_TARGETS = ["apt-get", "indextargets", "--format", "$(FILENAME)|$(REPO_URI)", "Created-By: Packages"]
_AS_ROOT = ["-o", "APT::Sandbox::User=root"]

Progress = Callable[[str], None]


async def archive(progress: Progress) -> Archive:
    """Everything apt knows; fetches the indexes first when there are none."""
    _check_apt()
    targets = await _targets()
    if not targets:
        await update(progress)
        targets = await _targets()
    if not targets:
        raise Unavailable("apt has no package indexes: add a source to /etc/apt/sources.list.d and run `apt-get update`")
    texts = [await process.run([HELPER, "cat-file", path], timeout_s=READ_TIMEOUT_S) for path, _ in targets]
    return await asyncio.to_thread(
        lambda: Archive([(uri, text.decode()) for (_, uri), text in zip(targets, texts, strict=True)])
    )


async def update(progress: Progress) -> None:
    """Fetch the newest indexes."""
    progress("fetching package indexes")
    try:
        await process.run(["apt-get", "-q", "update"], timeout_s=UPDATE_TIMEOUT_S)
    except CommandFailed as error:
        raise Unavailable(f"apt-get update: {error.stderr}") from error


async def sites() -> list[str]:
    """The addresses of the archives, in apt's order, each once."""
    return list(dict.fromkeys(uri for _, uri in await _targets()))


async def download(packages: Sequence[Package], cache_dir: Path, progress: Progress) -> None:
    """Have every package in `cache_dir`. Raise `Unavailable` naming what could not be fetched."""
    _check_apt()
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not deb_path(cache_dir, package).exists()]
    if not missing:
        return
    size = sum(package.size for package in missing)
    progress(f"downloading {len(missing)} packages, {size / 1e6:.1f} MB")
    known = await sites() if any(not package.archive for package in missing) else []
    parts = [missing[start::DOWNLOADS_AT_ONCE] for start in range(DOWNLOADS_AT_ONCE)]
    async with asyncio.TaskGroup() as tasks:
        for part in filter(None, parts):
            tasks.create_task(_download(part, cache_dir, known), name="download")
    still = [package for package in missing if not deb_path(cache_dir, package).exists()]
    if still:
        named = ", ".join(f"{package.name} {package.version}" for package in still[:5])
        raise Unavailable(f"packages not in the archives any more, or not reachable: {named}")


def deb_path(cache_dir: Path, package: Package) -> Path:
    """Where a package's file is in the cache."""
    return cache_dir / f"{package.sha256}.deb"


async def _download(packages: Sequence[Package], cache_dir: Path, sites: Sequence[str]) -> None:
    """Try every site a package may be at; what apt could not get is found out afterwards."""
    pending = list(packages)
    for site in sites or [""]:
        wanted: list[str] = []
        for package in pending:
            address = (package.archive or site) + package.path
            wanted += [address, str(_part_path(cache_dir, package)), f"SHA256:{package.sha256}"]
        try:
            await process.run([HELPER, *_AS_ROOT, "-q", "download-file", *wanted], timeout_s=DOWNLOAD_TIMEOUT_S)
        except CommandFailed:
            pass  # some of them failed; the others are there
        await asyncio.to_thread(_accept, pending, cache_dir)
        pending = [package for package in pending if not deb_path(cache_dir, package).exists()]
        if not pending:
            return


def _accept(packages: Sequence[Package], cache_dir: Path) -> None:
    for package in packages:
        path = _part_path(cache_dir, package)
        if not path.exists():
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == package.sha256:
            path.replace(deb_path(cache_dir, package))
        else:
            path.unlink()


def _part_path(cache_dir: Path, package: Package) -> Path:
    return cache_dir / f".{package.sha256}.part"


async def _targets() -> list[tuple[str, str]]:
    lines = (await process.run(_TARGETS, timeout_s=READ_TIMEOUT_S)).decode().splitlines()
    pairs = [line.partition("|") for line in lines if "|" in line]
    return [(path, uri) for path, _, uri in pairs if Path(path).exists()]


def _check_apt() -> None:
    if not Path(HELPER).exists():
        raise Unsupported("assemble needs apt 1.1 or newer: this machine is not Debian or Ubuntu; use a recipe without packages")

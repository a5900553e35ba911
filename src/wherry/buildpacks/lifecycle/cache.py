"""The volume cache: layers by diff id as plain tars, and what was known of them.

In:    a folder of the platform's. One build at a time uses it.
Out:   `committed/` is always whole: new content is made in `staging/` and takes its place in one rename.
Spec:  the layout is the lifecycle's (`committed/<diff id>.tar`, `io.buildpacks.lifecycle.cache.metadata`).
"""

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

from wherry.buildpacks.lifecycle import records
from wherry.buildpacks.lifecycle.records import BuildRecord
from wherry.kit.errors import Broken, NotFound

_COPY_BYTES = 1 << 20


class VolumeCache:
    """Blocking; callers use a thread."""

    def __init__(self, folder: Path) -> None:
        self._committed = folder / "committed"
        self._backup = folder / "committed-backup"
        self._staging = folder / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        if not self._committed.exists() and self._backup.exists():
            self._backup.rename(self._committed)  # the last commit was cut between its two renames
        self._committed.mkdir(exist_ok=True)
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()

    def record(self) -> BuildRecord:
        """What the cache holds; empty when it is new or its record cannot be read."""
        try:
            return records.read((self._committed / records.CACHE_LABEL).read_text())
        except FileNotFoundError:
            return BuildRecord()

    def extract(self, sha: str, root: Path) -> None:
        """Unpack a layer below `root`, which stands for the folder the tar calls `/layers`.

        Raises `NotFound`, or `Broken` when the tar is not what it was; nothing is unpacked then.
        """
        path = self._path(self._committed, sha)
        try:
            with path.open("rb") as file:
                found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                if found != sha:
                    raise Broken(f"cache: {path.name} has the content of {found}")
                file.seek(0)
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    _extract_all(archive, root)
        except FileNotFoundError as error:
            raise NotFound(f"cache: {path.name} is not there") from error

    def add(self, sha: str, tar: Path) -> None:
        """Stage a layer's tar, which is moved."""
        tar.rename(self._path(self._staging, sha))

    def keep(self, sha: str) -> bool:
        """Stage a layer that the cache has already."""
        target = self._path(self._staging, sha)
        if target.exists():
            return True
        try:
            os.link(self._path(self._committed, sha), target)
        except FileNotFoundError:
            return False
        return True

    def commit(self, record: BuildRecord) -> None:
        """Make what is staged the cache, and drop the rest."""
        document = record.document()
        kept = {name: document[name] for name in ("buildpacks", "sbom") if name in document}
        (self._staging / records.CACHE_LABEL).write_text(json.dumps(kept))
        self._committed.rename(self._backup)
        self._staging.rename(self._committed)
        shutil.rmtree(self._backup, ignore_errors=True)
        self._staging.mkdir()

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self._committed)
        self._committed.mkdir()

    def _path(self, folder: Path, sha: str) -> Path:
        return folder / f"{sha}.tar"


def _extract_all(archive: tarfile.TarFile, root: Path) -> None:
    lead = "layers/"
    for member in archive:
        name = member.name.lstrip("/")
        if not name.startswith(lead) or ".." in name.split("/"):
            continue
        member.name = name.removeprefix(lead)
        # Buildpacks made these bytes, and they get back what they made: any link, but owners and places as recorded.
        archive.extract(member, root, set_attrs=True, numeric_owner=True, filter="fully_trusted")

"""Volumes as plain folders, for tests without root. The size is written down and NOT enforced.

In:    a root folder.
Out:   `VolumeEngine`, all promises but the limit.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

from wherry.infrastructure.storage.contract import Volume
from wherry.infrastructure.storage.names import checked_name, granted_size
from wherry.kit import atomic_file
from wherry.kit.errors import AlreadyExists, Invalid, NotFound


class DirectoryVolumes:
    """See `VolumeEngine`; `mount` and `unmount` only remember."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def prepare(self) -> None:
        """Once at start: the root folder."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def create(self, name: str, size_bytes: int) -> Volume:
        size_bytes = granted_size(size_bytes)
        if self._record(checked_name(name)).exists():
            found = self._describe(name)
            if found.size_bytes != size_bytes:
                raise AlreadyExists(f"volume {name!r} exists with {found.size_bytes} bytes, not {size_bytes}; expand it")
            return found
        (self._root / name / "mount").mkdir(parents=True, exist_ok=True, mode=0o755)
        self._write(name, size_bytes, mounted=False)
        return self._describe(name)

    async def delete(self, name: str) -> None:
        checked_name(name)
        self._record(name).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._root / name, ignore_errors=True)

    async def mount(self, name: str) -> Volume:
        self._write(name, self._describe(checked_name(name)).size_bytes, mounted=True)
        return self._describe(name)

    async def unmount(self, name: str) -> None:
        if self._record(checked_name(name)).exists():
            self._write(name, self._describe(name).size_bytes, mounted=False)

    async def unmount_all(self) -> None:
        """For `wherry down`."""
        for volume in await self.volumes():
            await self.unmount(volume.name)

    async def expand(self, name: str, size_bytes: int) -> Volume:
        found = self._describe(checked_name(name))
        size_bytes = granted_size(size_bytes)
        if size_bytes < found.size_bytes:
            raise Invalid(f"volume {name!r} has {found.size_bytes} bytes and cannot shrink to {size_bytes}")
        self._write(name, size_bytes, mounted=bool(found.path))
        return self._describe(name)

    async def volumes(self) -> list[Volume]:
        if not self._root.exists():
            return []
        return [self._describe(p.stem) for p in sorted(self._root.glob("*.json"))]

    def _record(self, name: str) -> Path:
        return self._root / f"{name}.json"

    def _write(self, name: str, size_bytes: int, *, mounted: bool) -> None:
        atomic_file.write(self._record(name), json.dumps({"size": size_bytes, "mounted": mounted}).encode())

    def _describe(self, name: str) -> Volume:
        try:
            record = json.loads(self._record(name).read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"no volume {name!r} under {self._root}") from error
        folder = self._root / name / "mount"
        used = sum(os.lstat(os.path.join(at, file)).st_blocks * 512 for at, _, files in os.walk(folder) for file in files)
        return Volume(name, record["size"], used, str(folder) if record["mounted"] else "")

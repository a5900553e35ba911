"""Keep container logs within size: rename, let the engine open a new file, compress and drop old ones.

Spec: kubelet containerLogMaxSize 10Mi, containerLogMaxFiles 5, looked at every 10 s; `<n>.log.<time>[.gz]`.
"""

import asyncio
import gzip
import logging
import os
import shutil
import sys
from pathlib import Path

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.clock import Clock
from wherry.kit.errors import WherryError
from wherry.orchestration.agent.facts.runtime import RuntimeView
from wherry.orchestration.agent.facts.settings import AgentSettings

COMPRESSED_TIMES_MAX = 4  # a file that grew past so many times the limit is dropped, not compressed
log = logging.getLogger(__name__)


class LogRotation:
    """Of all containers of pods on this node."""

    def __init__(self, settings: AgentSettings, view: RuntimeView, clock: Clock) -> None:
        self._settings = settings
        self._view = view
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._settings.log_check_s)
            await self.rotate_all()

    async def rotate_all(self) -> None:
        """One round."""
        for uid in self._view.uids():
            for history in self._view.runs(uid).values():
                if history[-1].state == State.RUNNING and self._is_large(Path(history[-1].log_path)):
                    await self._rotate(history[-1])

    def _is_large(self, path: Path) -> bool:
        try:
            return path.stat().st_size >= self._settings.log_max_bytes
        except OSError:
            return False

    async def _rotate(self, run: ContainerStatus) -> None:
        path = Path(run.log_path)
        rotated = path.with_name(f"{path.name}.{self._clock.now().strftime('%Y%m%d-%H%M%S')}")
        path.rename(rotated)
        try:
            await self._view.engine.reopen_log(run.id)
        except WherryError as error:
            # The runtime still writes to the old file: give it its name back, try again next round.
            if not path.exists():
                rotated.rename(path)
            log.warning("log of container %s not rotated: %s", run.id, error)
            return
        await asyncio.to_thread(compact, path, self._settings.log_max_files, COMPRESSED_TIMES_MAX * self._settings.log_max_bytes)


def compact(path: Path, files_max: int, compressed_bytes_max: int = sys.maxsize) -> None:
    """Compress all rotated files but the newest; drop the oldest beyond `files_max` with the live one.

    One that grew past `compressed_bytes_max` between two looks is dropped: whoever writes faster than we compress would
    fill the disk, and hold up the rotation of everybody else's logs.
    """
    names = os.listdir(path.parent)
    rotated = sorted(path.with_name(name) for name in names if name.startswith(f"{path.name}.") and not name.endswith(".tmp"))
    for old in rotated[: max(len(rotated) - (files_max - 1), 0)]:
        old.unlink()
    for plain in rotated[max(len(rotated) - (files_max - 1), 0) : -1]:
        if plain.suffix != ".gz" and plain.stat().st_size > compressed_bytes_max:
            plain.unlink()
        elif plain.suffix != ".gz":
            temporary = plain.with_name(f"{plain.name}.tmp")
            with plain.open("rb") as source, gzip.open(temporary, "wb") as target:
                shutil.copyfileobj(source, target)
            temporary.rename(plain.with_name(f"{plain.name}.gz"))
            plain.unlink()

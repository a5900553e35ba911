"""Local storage limits: emptyDir sizeLimit and ephemeral-storage limits of containers, checked every 10 s.

In:    pods that name such a limit; others cost nothing. Out: eviction with upstream's texts.
Spec:  k8s.io/docs/concepts/storage/ephemeral-storage: a pod over a limit is evicted, at once and without grace.
Soft:  between two checks more can be written; emptyDir with medium Memory has a hard limit instead (tmpfs size).
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from wherry.container.runtime.engine import State
from wherry.kit.errors import WherryError
from wherry.orchestration.agent.facts.pod import app_containers, spec_of
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, uid_of

CHECK_S = 10.0
BLOCK_BYTES = 512  # of stat's st_blocks, whatever the file system's own

Evict = Callable[[str, str], None]  # pod uid, message


class LocalStorage:
    """`evict(uid, message)` ends a pod with reason Evicted."""

    def __init__(self, parts: Parts, pods: Callable[[], list[Object]], evict: Evict) -> None:
        self._parts = parts
        self._pods = pods
        self._evict = evict

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            await self.check_all()

    async def check_all(self) -> None:
        """One round."""
        for pod in self._pods():
            if message := await self._excess(pod):
                self._evict(uid_of(pod), message)

    async def _excess(self, pod: Object) -> str:
        for name, limit in empty_dir_limits(pod):
            folder = self._parts.volumes.folder(uid_of(pod)) / "volumes" / "kubernetes.io~empty-dir" / name
            if await asyncio.to_thread(used_bytes, folder) > quantity.value(limit):
                return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
        for name, limit in container_limits(pod):
            run = (self._parts.view.runs(uid_of(pod)).get(name) or (None,))[-1]
            if run is None or run.state != State.RUNNING:
                continue
            try:
                used = await self._parts.engine.filesystem_usage(run.id)
            except (WherryError, OSError):
                continue  # it ended meanwhile
            used += await asyncio.to_thread(used_bytes, Path(run.log_path).parent)
            if used > quantity.value(limit):
                return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
        return ""


def empty_dir_limits(pod: Object) -> list[tuple[str, str]]:
    """(volume, limit) of emptyDirs on disk."""
    found = []
    for volume in spec_of(pod).get("volumes") or ():
        source = volume.get("emptyDir") or {}
        if source.get("sizeLimit") and source.get("medium") != "Memory":
            found.append((str(volume["name"]), str(source["sizeLimit"])))
    return found


def container_limits(pod: Object) -> list[tuple[str, str]]:
    """(container, ephemeral-storage limit)."""
    limits = ((c, ((c.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")) for c in app_containers(pod))
    return [(str(container["name"]), str(limit)) for container, limit in limits if limit]


def used_bytes(folder: Path) -> int:
    """On disk, without following links."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * BLOCK_BYTES
            except FileNotFoundError:
                continue
    return total

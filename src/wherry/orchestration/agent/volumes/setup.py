"""The volumes of pods on this machine: set up before the first container, kept fresh, torn down after the last.

In:    pod, the objects it names. Out: volume name -> path to mount into containers.
Layout: `<data dir>/pods/<uid>/volumes/kubernetes.io~<plugin>/<name>`, `.../volume-subpaths/<volume>/<container>/<index>`.
Promises: `set_up` may be called again at any time (restart, new content); `tear_down` removes every mount and file of
       the pod and nothing of a volume that is mounted from elsewhere.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from wherry.infrastructure.storage.contract import VolumeEngine
from wherry.kit.clock import Clock
from wherry.kit.errors import Broken, Unsupported, WherryError
from wherry.orchestration.agent.facts.pod import spec_of
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.agent.plan.environment import References
from wherry.orchestration.agent.plan.expansion import expand_strictly
from wherry.orchestration.agent.volumes import atomic_writer, host_path, ownership, subpath
from wherry.orchestration.agent.volumes.claims import Claims
from wherry.orchestration.agent.volumes.image_volumes import VolumeImages
from wherry.orchestration.agent.volumes.mount_door import MountDoor
from wherry.orchestration.agent.volumes.payload import (
    PAYLOAD_KINDS,
    Payload,
    PayloadInputs,
    payload,
    plugin_of,
    token_sources,
)
from wherry.orchestration.agent.volumes.tokens import Tokens
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, name_of, uid_of

T = TypeVar("T")


class VolumeFailed(WherryError):
    """A volume cannot be set up now; the text is for event FailedMount."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """`paths` by volume name; `renew_at`: when a token in them must be renewed, None without tokens."""

    paths: dict[str, str]
    renew_at: datetime | None


class PodVolumes:
    """Of all pods; see the module docstring."""

    def __init__(
        self,
        settings: AgentSettings,
        client: Client,
        engine: VolumeEngine | None,
        mounts: MountDoor,
        clock: Clock,
        images: VolumeImages,
    ) -> None:
        self._settings = settings
        self._mounts = mounts
        self._clock = clock
        self._images = images
        self.claims = Claims(client, engine, settings.data_dir / "pods")
        self._tokens = Tokens(client, clock)

    def folder(self, uid: str) -> Path:
        """Everything the agent keeps of one pod."""
        return self._settings.data_dir / "pods" / uid

    async def set_up(self, pod: Object, references: References, allocatable: dict[str, str]) -> SetUp:
        """All volumes; raise `VolumeFailed` for the first that cannot be had."""
        paths: dict[str, str] = {}
        renewals: list[datetime] = []
        for volume in spec_of(pod).get("volumes") or ():
            name = str(volume["name"])
            try:
                paths[name], renew_at = await self._set_up_one(pod, volume, references, allocatable)
            except (WherryError, OSError) as error:
                raise VolumeFailed(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
            if renew_at is not None:
                renewals.append(renew_at)
        return SetUp(paths, min(renewals, default=None))

    async def sources_for(
        self, pod: Object, container: Object, paths: dict[str, str], environment: dict[str, str]
    ) -> list[str]:
        """The path on the machine for each volumeMount, subPaths resolved and pinned. Raise `VolumeFailed`."""
        from_expr = subpath_texts(container, environment)
        sources = []
        for index, (mount, sub) in enumerate(zip(container.get("volumeMounts") or (), from_expr, strict=True)):
            name = str(mount["name"])
            if name not in paths:
                raise VolumeFailed(f'volume "{name}" of container {container["name"]} is not set up')
            if not sub:
                sources.append(paths[name])
                continue
            try:
                pinned = await _in_thread(self._pin, uid_of(pod), name, str(container["name"]), index, paths[name], sub)
            except (WherryError, OSError) as error:
                raise VolumeFailed(
                    f'failed to prepare subPath for volumeMount "{name}" of container "{container["name"]}": {error}'
                ) from error
            sources.append(pinned)
        return sources

    async def tear_down(self, uid: str) -> None:
        """Unmount and remove. Raises `Broken` when a mount stays, before any file is removed."""
        self._tokens.release(uid)
        await _in_thread(self._remove_tree, self.folder(uid) / "volume-subpaths")
        await _in_thread(self._remove_tree, self.folder(uid) / "volumes")
        await self.claims.release(uid)

    async def remove_folder(self, uid: str) -> None:
        """The pod's whole folder; volumes first."""
        await self.tear_down(uid)
        await _in_thread(self._remove_tree, self.folder(uid))

    def pods_on_disk(self) -> set[str]:
        """Uids that have a folder."""
        root = self._settings.data_dir / "pods"
        return {entry.name for entry in root.iterdir()} if root.is_dir() else set()

    async def _set_up_one(
        self, pod: Object, volume: Object, references: References, allocatable: dict[str, str]
    ) -> tuple[str, datetime | None]:
        for kind in PAYLOAD_KINDS:
            if (source := volume.get(kind)) is not None:
                return await self._set_up_payload(pod, volume, kind, references, allocatable)
        if (source := volume.get("hostPath")) is not None:
            found = await _in_thread(host_path.prepare, str(source["path"]), str(source.get("type") or ""))
            return found, None
        if (source := volume.get("persistentVolumeClaim")) is not None:
            return await self._set_up_claim(
                pod, str(source["claimName"]), bool(source.get("readOnly")), is_ephemeral=False
            ), None
        if volume.get("ephemeral") is not None:
            return await self._set_up_claim(pod, f"{name_of(pod)}-{volume['name']}", False, is_ephemeral=True), None
        if (source := volume.get("image")) is not None:
            layers = await self._images.layers(pod, source)
            return await _in_thread(self._set_up_image, pod, str(volume["name"]), layers), None
        if volume.get("emptyDir") is not None or set(volume) == {"name"}:
            return await _in_thread(self._set_up_empty, pod, volume, allocatable), None
        kind = next((key for key in volume if key != "name"), "")
        raise Unsupported(f"volume kind {kind} is not offered on this node")

    async def _set_up_payload(
        self, pod: Object, volume: Object, kind: str, references: References, allocatable: dict[str, str]
    ) -> tuple[str, datetime | None]:
        source, tokens, renewals = volume[kind], {}, []
        for index, token_source in token_sources(source) if kind == "projected" else ():
            token = await self._tokens.token(pod, token_source)
            tokens[index] = token.text
            renewals.append(token.renew_at)
        files = payload(pod, kind, source, PayloadInputs(references, allocatable, tokens))
        folder = self.folder(uid_of(pod)) / "volumes" / f"kubernetes.io~{plugin_of(kind)}" / str(volume["name"])
        await _in_thread(self._write_payload, folder, files, _fs_group(pod), kind != "configMap")
        return str(folder), min(renewals, default=None)

    def _write_payload(self, folder: Path, files: Payload, group: int | None, in_memory: bool) -> None:
        self._make_mounted(folder, in_memory=in_memory, size_bytes=None)
        atomic_writer.write(folder, files, now=self._clock.now(), group=group)

    async def _set_up_claim(self, pod: Object, claim: str, read_only: bool, *, is_ephemeral: bool) -> str:
        folder = await self.claims.folder(pod, claim, is_ephemeral=is_ephemeral)
        group = _fs_group(pod)
        if group is not None and not read_only:
            policy = str((spec_of(pod).get("securityContext") or {}).get("fsGroupChangePolicy") or "Always")
            await _in_thread(partial(ownership.set_ownership, folder, group, read_only=False, policy=policy))
        return str(folder)

    def _set_up_image(self, pod: Object, name: str, layers: tuple[str, ...]) -> str:
        folder = self.folder(uid_of(pod)) / "volumes" / "kubernetes.io~image" / name
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() not in self._mounts.below(folder):
            self._mounts.layered(layers, folder)
        return str(folder)

    def _set_up_empty(self, pod: Object, volume: Object, allocatable: dict[str, str]) -> str:
        source = volume.get("emptyDir") or {}
        medium = str(source.get("medium") or "")
        if medium not in ("", "Memory"):
            raise Unsupported(f"emptyDir medium {medium} is not offered on this node")
        folder = self.folder(uid_of(pod)) / "volumes" / "kubernetes.io~empty-dir" / str(volume["name"])
        is_new = not folder.exists()
        size_bytes = _memory_size(pod, source, allocatable) if medium == "Memory" else None
        is_new = self._make_mounted(folder, in_memory=medium == "Memory", size_bytes=size_bytes) or is_new
        if is_new:
            folder.chmod(0o777)
            if (group := _fs_group(pod)) is not None:
                ownership.set_ownership(folder, group, read_only=False, policy="Always")
        return str(folder)

    def _make_mounted(self, folder: Path, *, in_memory: bool, size_bytes: int | None) -> bool:
        """True when a new, empty file system was mounted."""
        folder.mkdir(parents=True, exist_ok=True)
        if not in_memory or folder.resolve() in self._mounts.below(folder):
            return False
        self._mounts.tmpfs(folder, size_bytes=size_bytes)
        return True

    def _pin(self, uid: str, volume: str, container: str, index: int, root: str, sub: str) -> str:
        """Bind what the subPath names now, so that a link swapped in later changes nothing."""
        target = self.folder(uid) / "volume-subpaths" / volume / container / str(index)
        for stale in self._mounts.below(target):
            self._mounts.unmount(stale)
        with subpath.opened(Path(root), sub) as found:
            target.parent.mkdir(parents=True, exist_ok=True)
            if Path(found).is_dir():
                if target.is_file():
                    target.unlink()
                target.mkdir(exist_ok=True)
            else:
                if target.is_dir():
                    target.rmdir()
                target.touch()
            self._mounts.bind(found, target)
        return str(target)

    def _remove_tree(self, folder: Path) -> None:
        for point in self._mounts.below(folder):
            self._mounts.unmount(point)
        if left := self._mounts.below(folder):
            raise Broken(f"{left[0]} is still mounted; not removing {folder}")
        if folder.exists():
            shutil.rmtree(folder)


async def _in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Like `asyncio.to_thread`, but a cancelled caller still waits: a mount must not appear after the tear-down."""
    future = asyncio.get_running_loop().run_in_executor(None, partial(work, *arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def subpath_texts(container: Object, environment: dict[str, str]) -> list[str]:
    """subPath or the expanded subPathExpr of each volumeMount, "" for none. Raise `VolumeFailed`."""
    texts = []
    for mount in container.get("volumeMounts") or ():
        expression = str(mount.get("subPathExpr") or "")
        try:
            text = expand_strictly(expression, environment) if expression else str(mount.get("subPath") or "")
        except WherryError as error:
            raise VolumeFailed(f"cannot expand subPathExpr {expression!r}: {error}") from error
        if text.startswith("/"):
            raise VolumeFailed(f"subPath {text} of volumeMount {mount.get('name')} must not be an absolute path")
        if ".." in text.split("/"):
            raise VolumeFailed(f"subPath {text} of volumeMount {mount.get('name')} must not contain '..'")
        texts.append(text)
    return texts


def _fs_group(pod: Object) -> int | None:
    group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
    return None if group is None else int(group)


def _memory_size(pod: Object, source: Object, allocatable: dict[str, str]) -> int | None:
    """The least of sizeLimit, the pod's memory limit and the node's allocatable memory (KEP-1967)."""
    limits = [quantity.value(source["sizeLimit"])] if source.get("sizeLimit") else []
    pod_limit = qos.pod_resources(pod, pids_max=0).memory_limit_bytes
    limits += [pod_limit] if pod_limit else []
    limits += [quantity.value(allocatable["memory"])] if "memory" in allocatable else []
    return min((limit for limit in limits if limit > 0), default=None)

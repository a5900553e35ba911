"""PersistentVolumeClaims of a pod: the claim, its volume, the folder on this machine.

In:    client, the machine's `VolumeEngine`. Out: a folder, mounted while a pod here uses it.
Offered: PV sources `hostPath`, `local`, and `csi` with driver wherry.dev/local. Others: `Unsupported`.
"""

import asyncio
from pathlib import Path

from wherry.infrastructure.storage.contract import VolumeEngine
from wherry.kit.errors import Invalid, NotFound, Unavailable, Unsupported
from wherry.orchestration.agent.volumes import host_path
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from wherry.orchestration.objects.meta import Object, controller_of, name_of, namespace_of, uid_of

DRIVER = "wherry.dev/local"


class Claims:
    """The last pod that uses a volume unmounts it. Uses are files, `<pods dir>/<uid>/claims/<volume handle>`."""

    def __init__(self, client: Client, engine: VolumeEngine | None, pods_dir: Path) -> None:
        self._client = client
        self._engine = engine
        self._pods_dir = pods_dir
        self._locks: dict[str, asyncio.Lock] = {}  # by handle: a mount must not meet an unmount of the same volume

    async def folder(self, pod: Object, claim_name: str, *, is_ephemeral: bool) -> Path:
        """Raise `Invalid`, `Unavailable` or `Unsupported` with the text for FailedMount."""
        claim = await self._claim(pod, claim_name, is_ephemeral)
        volume_name = str((claim.get("spec") or {}).get("volumeName") or "")
        phase = str((claim.get("status") or {}).get("phase") or "")
        key = f"{namespace_of(claim)}/{name_of(claim)}"
        if phase != "Bound" or not volume_name:
            raise Unavailable(
                f'PVC {key} has non-bound phase ("{phase}") or empty pvc.Spec.VolumeName ("{volume_name}")'
            )
        if (claim.get("spec") or {}).get("volumeMode") == "Block":
            raise Unsupported(f"PVC {key} has volumeMode Block, which is not offered; use Filesystem")
        volume = await self._client.get(PERSISTENT_VOLUMES, volume_name)
        claimed_by = (volume.get("spec") or {}).get("claimRef") or {}
        if claimed_by.get("uid") not in (None, "", uid_of(claim)):
            raise Invalid(f"PV {volume_name} is bound to another claim, not to {key}")
        return await self._mounted(pod, volume)

    async def release(self, uid: str) -> None:
        """Unmount what only this pod used. Raises what the engine raises; call again."""
        for record in (self._pods_dir / uid / "claims").glob("*"):
            async with self._lock(record.name):
                held = (folder / "claims" / record.name for folder in self._pods_dir.iterdir())
                others = [other for other in held if other != record and other.exists()]
                if not others and self._engine is not None:
                    await self._engine.unmount(record.name)
                record.unlink(missing_ok=True)

    async def _claim(self, pod: Object, name: str, is_ephemeral: bool) -> Object:
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace_of(pod))
        except NotFound:
            raise Unavailable(f'persistentvolumeclaim "{name}" not found') from None
        if is_ephemeral and (controller_of(claim) or {}).get("uid") != uid_of(pod):
            raise Invalid(
                f"PVC {namespace_of(pod)}/{name} was not created for pod {namespace_of(pod)}/{name_of(pod)} (pod is not owner)"
            )
        if (claim.get("metadata") or {}).get("deletionTimestamp"):
            raise Unavailable(f"can't use PVC {namespace_of(pod)}/{name} because it is being deleted")
        return claim

    async def _mounted(self, pod: Object, volume: Object) -> Path:
        spec = volume.get("spec") or {}
        if source := spec.get("hostPath"):
            return Path(host_path.prepare(str(source["path"]), str(source.get("type") or "")))
        if source := spec.get("local"):
            return Path(host_path.prepare(str(source["path"]), "Directory"))
        source = spec.get("csi") or {}
        if source.get("driver") != DRIVER or self._engine is None:
            what = (
                f"CSI driver {source['driver']}" if source else "/".join(k for k in spec if isinstance(spec[k], dict))
            )
            raise Unsupported(f"volume {name_of(volume)}: {what} is not offered on this node")
        handle = str(source["volumeHandle"])
        if handle != Path(handle).name:
            raise Invalid(f"volume {name_of(volume)}: bad volume handle {handle!r}")
        async with self._lock(handle):
            # Before the mount: whoever tears down after a crash must know of it.
            record = self._pods_dir / uid_of(pod) / "claims" / handle
            record.parent.mkdir(parents=True, exist_ok=True)
            record.touch()
            return Path((await self._engine.mount(handle)).path)

    def _lock(self, handle: str) -> asyncio.Lock:
        return self._locks.setdefault(handle, asyncio.Lock())

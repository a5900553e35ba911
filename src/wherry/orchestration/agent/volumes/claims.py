"""PersistentVolumeClaims of a pod: the claim, its volume, the folder on this machine.

In:    client, the machine's `VolumeEngine`. Out: a folder, mounted while a pod here uses it.
Offered: PV sources `hostPath`, `local`, and `csi` with driver wherry.dev/local. Others: `Unsupported`.
"""

import logging
from pathlib import Path

from wherry.infrastructure.storage.contract import VolumeEngine
from wherry.kit.errors import Invalid, NotFound, Unavailable, Unsupported
from wherry.orchestration.agent.volumes import host_path
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from wherry.orchestration.objects.meta import Object, controller_of, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

DRIVER = "wherry.dev/local"


class Claims:
    """Counts the pods that use a volume, so that the last one unmounts it."""

    def __init__(self, client: Client, engine: VolumeEngine | None) -> None:
        self._client = client
        self._engine = engine
        self._users: dict[str, set[str]] = {}

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
        for handle in [handle for handle, users in self._users.items() if uid in users]:
            if self._users[handle] == {uid} and self._engine is not None:
                await self._engine.unmount(handle)
            self._users[handle].discard(uid)
            if not self._users[handle]:
                del self._users[handle]

    async def release_unused(self) -> None:
        """After a restart, once every pod has its volumes: unmount what pods left that went away meanwhile."""
        if self._engine is None:
            return
        for volume in await self._engine.volumes():
            if volume.path and volume.name not in self._users:
                log.info("volume %s is mounted and no pod uses it: unmounting", volume.name)
                await self._engine.unmount(volume.name)

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
        mounted = await self._engine.mount(handle)
        self._users.setdefault(handle, set()).add(uid_of(pod))
        return Path(mounted.path)

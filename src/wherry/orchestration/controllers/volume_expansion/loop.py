"""Grow a volume when its claim asks for more: the storage, then the volume's capacity, then the claim's status.

In:    informers of claims and volumes; the machine's volumes.
Out:   conditions Resizing and FileSystemResizePending; capacities; events.
Spec:  KEP-1790 (recovery from resizing), upstream's expand controller and external-resizer; the API server has already
       refused claims whose class does not allow growth.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound, Unavailable, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.volume_expansion.claim import finished, grows, is_pending, pending, resizing
from wherry.orchestration.controllers.volume_provisioning.loop import Volumes
from wherry.orchestration.controllers.volume_provisioning.volume import handle_of, is_ours
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from wherry.orchestration.objects.meta import Object, key_of, name_of, namespace_of
from wherry.orchestration.objects.volume_match import capacity_bytes, requested_bytes

PENDING_AGAIN_S = 30.0


def _growing(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if new is not None and grows(new):
        yield key_of(new)


class Controller(Loop[str]):
    """persistentvolume-expander-controller, for driver wherry.dev/local."""

    name = "volume_expand"
    workers = 2
    retry_s = (1.0, 300.0)
    watches = (Watch(PERSISTENT_VOLUME_CLAIMS, _growing), Watch(PERSISTENT_VOLUMES, nobody))

    def __init__(self, tools: Tools, storage: Volumes) -> None:
        super().__init__(tools)
        self._storage = storage

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Bring one claim to the size it asks for."""
        claim = seen[PERSISTENT_VOLUME_CLAIMS].get(key)
        if claim is None or not grows(claim):
            return None
        volume = seen[PERSISTENT_VOLUMES].get(claim["spec"]["volumeName"])
        if volume is None or not is_ours(volume):
            return None
        if not is_pending(claim):
            claim = await self._write(claim, resizing(claim, self.clock.now()))
        try:
            await self._storage.expand(handle_of(volume), requested_bytes(claim))
        except Unavailable as error:
            # The image has grown, the file system will at the next mount (volume contract).
            if not is_pending(claim):
                self.recorder.event(claim, NORMAL, "FileSystemResizeRequired", "Require file system resize of volume on node")
                await self._write(claim, pending(claim, str(error), self.clock.now()))
            return PENDING_AGAIN_S
        except WherryError as error:
            text = f"error expanding volume {key!r}: {error}".replace("'", '"')
            self.recorder.event(claim, WARNING, "VolumeResizeFailed", text)
            raise
        await self._grown(claim, volume)
        return None

    async def _grown(self, claim: Object, volume: Object) -> None:
        size = claim["spec"]["resources"]["requests"]["storage"]
        try:
            if capacity_bytes(volume) < requested_bytes(claim):
                await self.client.patch(PERSISTENT_VOLUMES, name_of(volume), "", {"spec": {"capacity": {"storage": size}}})
            await self._write(claim, finished(claim, size))
        except NotFound:
            return
        self.recorder.event(claim, NORMAL, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume "
                             f'"{name_of(volume)}"')  # fmt: skip

    async def _write(self, claim: Object, status: Object) -> Object:
        if (claim.get("status") or {}) == status:
            return claim
        body = {"status": status}
        return await self.client.patch_status(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), body)

"""Grow a volume when its claim asks for more: the storage, then the volume's capacity, then the claim's status.

In:    informers of claims and volumes; the machine's volumes.
Out:   conditions Resizing and FileSystemResizePending; capacities; events.
Spec:  KEP-1790 (recovery from resizing), upstream's expand controller and external-resizer; the API server has already
       refused claims whose class does not allow growth.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound, Unavailable, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.volume_expansion.claim import finished, grows, is_pending, pending, resizing
from wherry.orchestration.controllers.volume_provisioning.loop import Volumes
from wherry.orchestration.controllers.volume_provisioning.volume import handle_of, is_ours
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from wherry.orchestration.objects.meta import Object, key_of, name_of, namespace_of
from wherry.orchestration.objects.volume_match import capacity_bytes, requested_bytes

COMPONENT = "volume_expand"
WORKERS = 2
RETRY_S_FIRST, RETRY_S_MAX = 1.0, 300.0
PENDING_AGAIN_S = 30.0


class Controller:
    """persistentvolume-expander-controller, for driver wherry.dev/local."""

    def __init__(
        self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, storage: Volumes
    ) -> None:
        self._client = client
        self._clock = clock
        self._storage = storage
        self._recorder = recorder.named(COMPONENT)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._queue: KeyedQueue[str] = KeyedQueue(retry_first_s=RETRY_S_FIRST, retry_max_s=RETRY_S_MAX)

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._claims.wait_synced()
        await self._volumes.wait_synced()
        self._claims.subscribe(self._claim_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring one claim to the size it asks for."""
        claim = self._claims.get(key)
        if claim is None or not grows(claim):
            return
        volume = self._volumes.get(claim["spec"]["volumeName"])
        if volume is None or not is_ours(volume):
            return
        if not is_pending(claim):
            claim = await self._write(claim, resizing(claim, self._clock.now()))
        try:
            await self._storage.expand(handle_of(volume), requested_bytes(claim))
        except Unavailable as error:
            # The image has grown, the file system will at the next mount (volume contract).
            if not is_pending(claim):
                self._recorder.event(claim, NORMAL, "FileSystemResizeRequired", "Require file system resize of volume on node")
                await self._write(claim, pending(claim, str(error), self._clock.now()))
            self._queue.add_after(key, PENDING_AGAIN_S)
            return
        except WherryError as error:
            text = f"error expanding volume {key!r}: {error}".replace("'", '"')
            self._recorder.event(claim, WARNING, "VolumeResizeFailed", text)
            raise
        await self._grown(claim, volume)

    async def _grown(self, claim: Object, volume: Object) -> None:
        size = claim["spec"]["resources"]["requests"]["storage"]
        try:
            if capacity_bytes(volume) < requested_bytes(claim):
                await self._client.patch(PERSISTENT_VOLUMES, name_of(volume), "", {"spec": {"capacity": {"storage": size}}})
            await self._write(claim, finished(claim, size))
        except NotFound:
            return
        self._recorder.event(claim, NORMAL, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume "
                             f'"{name_of(volume)}"')  # fmt: skip

    async def _write(self, claim: Object, status: Object) -> Object:
        if (claim.get("status") or {}) == status:
            return claim
        body = {"status": status}
        return await self._client.patch_status(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), body)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and grows(new):
            self._queue.add(key_of(new))

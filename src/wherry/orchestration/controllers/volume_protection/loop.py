"""Let deleted claims and volumes go once nothing uses them.

In:    informers of claims, volumes, pods.
Out:   the finalizers kubernetes.io/pvc-protection and kubernetes.io/pv-protection taken off. The API server puts them on.
Spec:  Kubernetes pkg/controller/volume/{pvcprotection,pvprotection}: a claim is in use while a scheduled pod object mounts
       it; a volume while its phase is Bound.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.volume_binding.loop import BY_CLAIM, claim_keys
from wherry.orchestration.controllers.volume_binding.volumes import may_be_deleted
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, revision_of, uid_of
from wherry.orchestration.objects.resources import Resource

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
WORKERS = 2


class ClaimController:
    """persistentvolumeclaim-protection-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._pods = informers.of(PODS)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        self._pods.add_index(BY_CLAIM, claim_keys)
        await self._claims.wait_synced()
        await self._pods.wait_synced()
        self._claims.subscribe(lambda old, new: self._wake(new))
        self._pods.subscribe(self._pod_changed)
        await run_controller("pvc-protection-controller", self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Judge one claim."""
        claim = self._claims.get(key)
        if claim is None or not is_deleting(claim) or any(map(_is_scheduled, self._pods.by_index(BY_CLAIM, key))):
            return
        # The cache may lack a pod that was just made; deletion of data deserves one question to the server.
        pods = (await self._client.list(PODS, namespace_of(claim))).items
        if not any(_is_scheduled(pod) and key in claim_keys(pod) for pod in pods):
            await take_off(self._client, PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_FINALIZER)

    def _wake(self, claim: Object | None) -> None:
        if claim is not None and is_deleting(claim) and CLAIM_FINALIZER in (claim["metadata"].get("finalizers") or ()):
            self._queue.add(key_of(claim))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            for key in claim_keys(old):
                self._wake(self._claims.get(key))


class VolumeController:
    """persistentvolume-protection-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._volumes.wait_synced()
        self._volumes.subscribe(self._volume_changed)
        await run_controller("pv-protection-controller", self._queue, self.reconcile, WORKERS)

    async def reconcile(self, name: str) -> None:
        """Judge one volume."""
        volume = self._volumes.get(name)
        if volume is not None and may_be_deleted(volume):
            await take_off(self._client, PERSISTENT_VOLUMES, volume, VOLUME_FINALIZER)

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and may_be_deleted(new):
            self._queue.add(name_of(new))


async def take_off(client: Client, resource: Resource, obj: Object, finalizer: str) -> None:
    """Remove one finalizer from exactly the object that was judged; one that is gone or has it not is fine."""
    finalizers = obj["metadata"].get("finalizers") or []
    if finalizer not in finalizers:
        return
    left = [name for name in finalizers if name != finalizer]
    patch = {"metadata": {"resourceVersion": revision_of(obj), "finalizers": left or None}}
    try:
        await client.patch(resource, name_of(obj), namespace_of(obj), patch)
    except NotFound:
        return


def _is_scheduled(pod: Object) -> bool:
    return bool((pod.get("spec") or {}).get("nodeName"))

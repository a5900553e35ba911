"""Let deleted claims and volumes go once nothing uses them.

In:    informers of claims, volumes, pods.
Out:   the finalizers kubernetes.io/pvc-protection and kubernetes.io/pv-protection taken off. The API server puts them on.
Spec:  Kubernetes pkg/controller/volume/{pvcprotection,pvprotection}: a claim is in use while a scheduled pod object mounts
       it; a volume while its phase is Bound.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.controllers.volume_binding.loop import BY_CLAIM, claim_keys
from wherry.orchestration.controllers.volume_binding.volumes import may_be_deleted
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, revision_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import PV_PROTECTION_FINALIZER, PVC_PROTECTION_FINALIZER


def _is_held(claim: Object | None) -> bool:
    return claim is not None and is_deleting(claim) and PVC_PROTECTION_FINALIZER in (claim["metadata"].get("finalizers") or ())


def _held(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if new is not None and _is_held(new):
        yield key_of(new)


def _of_the_gone_pod(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if old is not None and (new is None or uid_of(new) != uid_of(old)):
        yield from (key for key in claim_keys(old) if _is_held(seen[PERSISTENT_VOLUME_CLAIMS].get(key)))


class ClaimController(Loop[str]):
    """persistentvolumeclaim-protection-controller."""

    name = "pvc-protection-controller"
    workers = 2
    watches = (
        Watch(PERSISTENT_VOLUME_CLAIMS, _held),
        Watch(PODS, _of_the_gone_pod, indexes={BY_CLAIM: claim_keys}),
    )

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Judge one claim."""
        claim = seen[PERSISTENT_VOLUME_CLAIMS].get(key)
        if claim is None or not is_deleting(claim) or any(map(_is_scheduled, seen[PODS].by_index(BY_CLAIM, key))):
            return
        # The cache may lack a pod that was just made; deletion of data deserves one question to the server.
        pods = (await self.client.list(PODS, namespace_of(claim))).items
        if not any(_is_scheduled(pod) and key in claim_keys(pod) for pod in pods):
            await take_off(self.client, PERSISTENT_VOLUME_CLAIMS, claim, PVC_PROTECTION_FINALIZER)


def _unused(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if new is not None and may_be_deleted(new):
        yield name_of(new)


class VolumeController(Loop[str]):
    """persistentvolume-protection-controller."""

    name = "pv-protection-controller"
    workers = 2
    watches = (Watch(PERSISTENT_VOLUMES, _unused),)

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Judge one volume."""
        volume = seen[PERSISTENT_VOLUMES].get(key)
        if volume is not None and may_be_deleted(volume):
            await take_off(self.client, PERSISTENT_VOLUMES, volume, PV_PROTECTION_FINALIZER)


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

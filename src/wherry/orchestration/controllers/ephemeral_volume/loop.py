"""Make the claim of each generic ephemeral volume; it belongs to its pod and goes with it.

In:    informers of pods and claims.
Out:   claims `<pod>-<volume>`; an event when the name is taken by a claim of somebody else.
Spec:  KEP-1698, Kubernetes pkg/controller/volume/ephemeral.
"""

from collections.abc import Iterable

from wherry.kit.errors import AlreadyExists, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch, nobody
from wherry.orchestration.client.recorder import WARNING
from wherry.orchestration.controllers.workload.children import is_controlled_by
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, owner_reference


def _with_ephemeral_volumes(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if old is None and new is not None and ephemeral_volumes(new):
        yield key_of(new)


class Controller(Loop[str]):
    """ephemeral-volume-controller."""

    name = "ephemeral_volume"
    workers = 2
    watches = (Watch(PODS, _with_ephemeral_volumes), Watch(PERSISTENT_VOLUME_CLAIMS, nobody))

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to the claims of one pod."""
        pod = seen[PODS].get(key)
        if pod is None or is_deleting(pod):
            return
        for volume in ephemeral_volumes(pod):
            await self._ensure(pod, volume, seen)

    async def _ensure(self, pod: Object, volume: Object, seen: Seen) -> None:
        claim = claim_of(pod, volume)
        existing = seen[PERSISTENT_VOLUME_CLAIMS].get(key_of(claim))
        if existing is not None:
            if not is_controlled_by(existing, pod):
                text = f"PVC {key_of(claim)} was not created for pod {key_of(pod)} (pod is not owner)"
                self.recorder.event(pod, WARNING, "FailedEphemeralVolume", text)
            return
        try:
            await self.client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except AlreadyExists:  # whose it is shows when the cache has it
            raise
        except WherryError as error:
            if not is_namespace_ending(error):
                text = f"ephemeral volume controller failed to create PVC for volume {volume['name']}: {error}"
                self.recorder.event(pod, WARNING, "FailedEphemeralVolume", text)
                raise


def ephemeral_volumes(pod: Object) -> list[Object]:
    """Volumes of the pod whose claim is to be made."""
    return [volume for volume in (pod.get("spec") or {}).get("volumes") or () if volume.get("ephemeral")]


def claim_of(pod: Object, volume: Object) -> Object:
    """The claim of one such volume."""
    template = volume["ephemeral"]["volumeClaimTemplate"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIMS.api_version, "kind": PERSISTENT_VOLUME_CLAIMS.kind,
        "metadata": {
            "name": f"{name_of(pod)}-{volume['name']}", "namespace": namespace_of(pod),
            "labels": metadata.get("labels") or {}, "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(pod, api_version=PODS.api_version, kind=PODS.kind)],
        },
        "spec": template["spec"],
    }  # fmt: skip

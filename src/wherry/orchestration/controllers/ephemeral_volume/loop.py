"""Make the claim of each generic ephemeral volume; it belongs to its pod and goes with it.

In:    informers of pods and claims.
Out:   claims `<pod>-<volume>`; an event when the name is taken by a claim of somebody else.
Spec:  KEP-1698, Kubernetes pkg/controller/volume/ephemeral.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.workload.children import is_controlled_by
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, owner_reference

COMPONENT = "ephemeral_volume"
WORKERS = 2


class Controller:
    """ephemeral-volume-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder.named(COMPONENT)
        self._pods = informers.of(PODS)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._pods.wait_synced()
        await self._claims.wait_synced()
        self._pods.subscribe(self._pod_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """See to the claims of one pod."""
        pod = self._pods.get(key)
        if pod is None or is_deleting(pod):
            return
        for volume in ephemeral_volumes(pod):
            await self._ensure(pod, volume)

    async def _ensure(self, pod: Object, volume: Object) -> None:
        claim = claim_of(pod, volume)
        existing = self._claims.get(key_of(claim))
        if existing is not None:
            if not is_controlled_by(existing, pod):
                text = f"PVC {key_of(claim)} was not created for pod {key_of(pod)} (pod is not owner)"
                self._recorder.event(pod, WARNING, "FailedEphemeralVolume", text)
            return
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except AlreadyExists:
            self._queue.retry(key_of(pod))
        except WherryError as error:
            if not is_namespace_ending(error):
                text = f"ephemeral volume controller failed to create PVC for volume {volume['name']}: {error}"
                self._recorder.event(pod, WARNING, "FailedEphemeralVolume", text)
                raise

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None and ephemeral_volumes(new):
            self._queue.add(key_of(new))


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

"""Bind claims to volumes, tell the phases of both, and reclaim volumes whose claim is gone.

In:    informers of claims, volumes, storage classes, nodes, pods.
Out:   claimRefs, volume names, phases; the annotation that asks a provisioner; events.
Never: makes or deletes storage; see `volume_provisioning`. Recycle is refused (deprecated upstream).
"""

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.volume_binding import bind, claims, volumes
from wherry.orchestration.controllers.volume_binding.defaults import default_class
from wherry.orchestration.objects.kinds import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    revision_of,
)
from wherry.orchestration.objects.volume_match import CLASS_ANNOTATION, SELECTED_NODE, claim_key_of, class_of

COMPONENT = "persistentvolume-controller"
WORKERS = 4
BY_CLASS, BY_CLAIM = "class", "claim"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
CLAIM, VOLUME = "claim", "volume"

Key = tuple[str, str]  # CLAIM or VOLUME, key


def claim_keys(pod: Object) -> list[str]:
    """Keys of the claims a pod mounts, those of its ephemeral volumes too."""
    names = [
        source["claimName"] if (source := volume.get("persistentVolumeClaim")) else f"{name_of(pod)}-{volume['name']}"
        for volume in (pod.get("spec") or {}).get("volumes") or ()
        if volume.get("persistentVolumeClaim") or volume.get("ephemeral")
    ]
    return [f"{namespace_of(pod)}/{name}" for name in names]


class Controller:
    """persistentvolume-binder-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._classes = informers.of(STORAGE_CLASSES)
        self._nodes = informers.of(NODES)
        self._pods = informers.of(PODS)
        self._queue: KeyedQueue[Key] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        self._volumes.add_index(BY_CLASS, lambda volume: [class_of(volume)])
        self._pods.add_index(BY_CLAIM, claim_keys)
        for informer in (self._claims, self._volumes, self._classes, self._nodes, self._pods):
            await informer.wait_synced()
        self._claims.subscribe(self._claim_changed)
        self._volumes.subscribe(self._volume_changed)
        self._classes.subscribe(self._class_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: Key) -> None:
        """One claim or one volume."""
        kind, name = key
        try:
            if kind == CLAIM:
                await self._sync_claim(self._claims.get(name))
            else:
                await self._sync_volume(self._volumes.get(name))
        except NotFound:
            return  # gone meanwhile; its event will come

    async def _sync_claim(self, claim: Object | None) -> None:
        if claim is None or is_deleting(claim) and claims.BIND_COMPLETED not in annotations_of(claim):
            return
        if await self._gave_default_class(claim):
            return
        match claims.decide(claim, self._around(claim)):
            case claims.Bind(volume):
                await self._bind(claim, volume)
            case claims.Provision(provisioner):
                await self._ask(claim, provisioner)
            case claims.Wait(reason, message, type_):
                if reason:
                    self._recorder.event(claim, type_, reason, message)
                await self._set_claim_status(claim, {**(claim.get("status") or {}), "phase": "Pending"})
            case claims.Lost(reason, message):
                if (claim.get("status") or {}).get("phase") != "Lost":
                    self._recorder.event(claim, WARNING, reason, message)
                await self._set_claim_status(claim, {**(claim.get("status") or {}), "phase": "Lost"})

    def _around(self, claim: Object) -> claims.Surroundings:
        selected = annotations_of(claim).get(SELECTED_NODE, "")
        waiting = [p for p in self._pods.by_index(BY_CLAIM, key_of(claim)) if not (p.get("spec") or {}).get("nodeName")]
        return claims.Surroundings(
            self._volumes.get, self._volumes.by_index(BY_CLASS, class_of(claim)), self._classes.get(class_of(claim)),
            self._nodes.get(selected) if selected else None, name_of(waiting[0]) if waiting else "",
        )  # fmt: skip

    async def _gave_default_class(self, claim: Object) -> bool:
        """A claim from before there was a default class gets it (KEP-3333)."""
        spec = claim.get("spec") or {}
        if spec.get("storageClassName") is not None or spec.get("volumeName") or CLASS_ANNOTATION in annotations_of(claim):
            return False
        default = default_class(self._classes.list())
        if default is None:
            return False
        patch = {"metadata": {"resourceVersion": revision_of(claim)}, "spec": {"storageClassName": name_of(default)}}
        await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
        return True

    async def _ask(self, claim: Object, provisioner: str) -> None:
        if annotations_of(claim).get(PROVISIONER) != provisioner:
            patch = {"metadata": {"annotations": {PROVISIONER: provisioner, PROVISIONER_BETA: provisioner}}}
            await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
            self._recorder.event(claim, NORMAL, "ExternalProvisioning", (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
                "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
                "correctly registered."
            ))  # fmt: skip
        await self._set_claim_status(claim, {**(claim.get("status") or {}), "phase": "Pending"})

    async def _bind(self, claim: Object, volume: Object) -> None:
        patch = bind.volume_patch(claim, volume)
        if patch is not None:
            if is_deleting(volume):
                return
            volume = await self._client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch)
        await self._set_phase(volume, "Bound")
        patch = bind.claim_patch(claim, volume)
        if patch is not None:
            claim = await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
        await self._set_claim_status(claim, bind.claim_status(claim, volume))

    async def _set_claim_status(self, claim: Object, status: Object) -> None:
        if (claim.get("status") or {}) != status:
            await self._client.patch_status(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), {"status": status})

    async def _sync_volume(self, volume: Object | None) -> None:
        if volume is None:
            return
        match volumes.decide(volume, await self._claim_of(volume)):
            case volumes.Phase(phase):
                await self._set_phase(volume, phase)
            case volumes.WakeClaim(key):
                if not (volume["spec"].get("claimRef") or {}).get("uid"):
                    await self._set_phase(volume, "Available")
                self._queue.add((CLAIM, key))
            case volumes.Unbind(keeps_reservation):
                ref = {"uid": None, "resourceVersion": None} if keeps_reservation else None
                metadata = {"resourceVersion": revision_of(volume), "annotations": {claims.BOUND_BY_CONTROLLER: None}}
                patch = {"metadata": metadata, "spec": {"claimRef": ref}}
                volume = await self._client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch)
                await self._set_phase(volume, "Available")
            case volumes.Reclaim(policy, by):
                await self._reclaim(volume, policy, by)

    async def _claim_of(self, volume: Object) -> Object | None:
        """The claim it names. One that the cache lacks is asked for: a volume must never be released by mistake."""
        key = claim_key_of(volume)
        uid = ((volume.get("spec") or {}).get("claimRef") or {}).get("uid")
        found = self._claims.get(key) if key else None
        if not uid or (found is not None and found["metadata"]["uid"] == uid):
            return found
        namespace, _, name = key.partition("/")
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound:
            return None

    async def _reclaim(self, volume: Object, policy: str, by: str) -> None:
        if (volume.get("status") or {}).get("phase") != "Failed":
            await self._set_phase(volume, "Released")
        if policy == "Recycle":
            await self._fail(volume, "VolumeRecycleFailed", "the reclaim policy Recycle is not offered; use Delete or Retain")
        elif policy == "Delete" and not by:
            text = "error getting deleter volume plugin for volume: no deletable volume plugin matched"
            await self._fail(volume, "VolumeFailedDelete", text)

    async def _fail(self, volume: Object, reason: str, message: str) -> None:
        if (volume.get("status") or {}).get("phase") != "Failed":
            self._recorder.event(volume, WARNING, reason, message)
        await self._set_phase(volume, "Failed", message)

    async def _set_phase(self, volume: Object, phase: str, message: str = "") -> None:
        status = volume.get("status") or {}
        if status.get("phase") == phase and (status.get("message") or "") == message:
            return
        body: Object = {"status": {"phase": phase, "message": message or None}}
        if status.get("phase") != phase:
            body["status"]["lastPhaseTransitionTime"] = rfc3339(self._clock.now())
        await self._client.patch_status(PERSISTENT_VOLUMES, name_of(volume), "", body)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        claim = new or old or {}
        self._queue.add((CLAIM, key_of(claim)))
        volume = (claim.get("spec") or {}).get("volumeName")
        if volume and (new is None or old is None or (old.get("spec") or {}).get("volumeName") != volume):
            self._queue.add((VOLUME, volume))

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        volume = new or old or {}
        self._queue.add((VOLUME, key_of(volume)))
        key = claim_key_of(volume)
        if key:
            self._queue.add((CLAIM, key))
        elif new is not None and (old is None or (old.get("status") or {}) != (new.get("status") or {})):
            for claim in self._claims.list():  # one that waits may take it
                if not (claim.get("spec") or {}).get("volumeName") and class_of(claim) == class_of(new):
                    self._queue.add((CLAIM, key_of(claim)))

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        for claim in self._claims.list():
            if not (claim.get("spec") or {}).get("volumeName"):
                self._queue.add((CLAIM, key_of(claim)))

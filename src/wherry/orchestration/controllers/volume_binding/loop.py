"""Bind claims to volumes, tell the phases of both, and reclaim volumes whose claim is gone.

In:    informers of claims, volumes, storage classes, nodes, pods.
Out:   claimRefs, volume names, phases; the annotation that asks a provisioner; events.
Never: makes or deletes storage; see `volume_provisioning`. Recycle is refused (deprecated upstream).
"""

from collections.abc import Iterable

from wherry.kit.clock import rfc3339
from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
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
from wherry.orchestration.objects.volume_match import SELECTED_NODE, claim_key_of, class_of
from wherry.orchestration.objects.well_known import ANN_BOUND_BY_CONTROLLER, BETA_STORAGE_CLASS_ANNOTATION

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


def _of_the_claim(_: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    claim = new or old or {}
    yield CLAIM, key_of(claim)
    volume = (claim.get("spec") or {}).get("volumeName")
    if volume and (new is None or old is None or (old.get("spec") or {}).get("volumeName") != volume):
        yield VOLUME, volume


def _of_the_volume(seen: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    volume = new or old or {}
    yield VOLUME, key_of(volume)
    key = claim_key_of(volume)
    if key:
        yield CLAIM, key
    elif new is not None and (old is None or (old.get("status") or {}) != (new.get("status") or {})):
        for claim in _unbound(seen):  # one that waits may take it
            if class_of(claim) == class_of(new):
                yield CLAIM, key_of(claim)


def _of_the_class(seen: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    for claim in _unbound(seen):
        yield CLAIM, key_of(claim)


def _unbound(seen: Seen) -> Iterable[Object]:
    return (c for c in seen[PERSISTENT_VOLUME_CLAIMS].list() if not (c.get("spec") or {}).get("volumeName"))


def _classes_of(volume: Object) -> list[str]:
    return [class_of(volume)]


class Controller(Loop[Key]):
    """persistentvolume-binder-controller."""

    name = "persistentvolume-controller"
    workers = 4
    watches = (
        Watch(PERSISTENT_VOLUME_CLAIMS, _of_the_claim),
        Watch(PERSISTENT_VOLUMES, _of_the_volume, indexes={BY_CLASS: _classes_of}),
        Watch(STORAGE_CLASSES, _of_the_class),
        Watch(NODES, nobody),
        Watch(PODS, nobody, indexes={BY_CLAIM: claim_keys}),
    )

    async def reconcile(self, key: Key, seen: Seen) -> None:
        """One claim or one volume."""
        kind, name = key
        try:
            if kind == CLAIM:
                await self._sync_claim(seen[PERSISTENT_VOLUME_CLAIMS].get(name), seen)
            else:
                await self._sync_volume(seen[PERSISTENT_VOLUMES].get(name), seen)
        except NotFound:
            return  # gone meanwhile; its event will come

    async def _sync_claim(self, claim: Object | None, seen: Seen) -> None:
        if claim is None or is_deleting(claim) and claims.BIND_COMPLETED not in annotations_of(claim):
            return
        if await self._gave_default_class(claim, seen):
            return
        match claims.decide(claim, _around(claim, seen)):
            case claims.Bind(volume):
                await self._bind(claim, volume)
            case claims.Provision(provisioner):
                await self._ask(claim, provisioner)
            case claims.Wait(reason, message, type_):
                if reason:
                    self.recorder.event(claim, type_, reason, message)
                await self._set_claim_status(claim, {**(claim.get("status") or {}), "phase": "Pending"})
            case claims.Lost(reason, message):
                if (claim.get("status") or {}).get("phase") != "Lost":
                    self.recorder.event(claim, WARNING, reason, message)
                await self._set_claim_status(claim, {**(claim.get("status") or {}), "phase": "Lost"})

    async def _gave_default_class(self, claim: Object, seen: Seen) -> bool:
        """A claim from before there was a default class gets it (KEP-3333)."""
        spec = claim.get("spec") or {}
        has_class = spec.get("storageClassName") is not None or BETA_STORAGE_CLASS_ANNOTATION in annotations_of(claim)
        if has_class or spec.get("volumeName"):
            return False
        default = default_class(seen[STORAGE_CLASSES].list())
        if default is None:
            return False
        patch = {"metadata": {"resourceVersion": revision_of(claim)}, "spec": {"storageClassName": name_of(default)}}
        await self.client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
        return True

    async def _ask(self, claim: Object, provisioner: str) -> None:
        if annotations_of(claim).get(PROVISIONER) != provisioner:
            patch = {"metadata": {"annotations": {PROVISIONER: provisioner, PROVISIONER_BETA: provisioner}}}
            await self.client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
            self.recorder.event(claim, NORMAL, "ExternalProvisioning", (
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
            volume = await self.client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch)
        await self._set_phase(volume, "Bound")
        patch = bind.claim_patch(claim, volume)
        if patch is not None:
            claim = await self.client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
        await self._set_claim_status(claim, bind.claim_status(claim, volume))

    async def _set_claim_status(self, claim: Object, status: Object) -> None:
        if (claim.get("status") or {}) != status:
            await self.client.patch_status(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), {"status": status})

    async def _sync_volume(self, volume: Object | None, seen: Seen) -> None:
        if volume is None:
            return
        match volumes.decide(volume, await self._claim_of(volume, seen)):
            case volumes.Phase(phase):
                await self._set_phase(volume, phase)
            case volumes.WakeClaim(key):
                if not (volume["spec"].get("claimRef") or {}).get("uid"):
                    await self._set_phase(volume, "Available")
                seen.wake((CLAIM, key))
            case volumes.Unbind(keeps_reservation):
                ref = {"uid": None, "resourceVersion": None} if keeps_reservation else None
                metadata = {"resourceVersion": revision_of(volume), "annotations": {ANN_BOUND_BY_CONTROLLER: None}}
                patch = {"metadata": metadata, "spec": {"claimRef": ref}}
                volume = await self.client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch)
                await self._set_phase(volume, "Available")
            case volumes.Reclaim(policy, by):
                await self._reclaim(volume, policy, by)

    async def _claim_of(self, volume: Object, seen: Seen) -> Object | None:
        """The claim it names. One that the cache lacks is asked for: a volume must never be released by mistake."""
        key = claim_key_of(volume)
        uid = ((volume.get("spec") or {}).get("claimRef") or {}).get("uid")
        found = seen[PERSISTENT_VOLUME_CLAIMS].get(key) if key else None
        if not uid or (found is not None and found["metadata"]["uid"] == uid):
            return found
        namespace, _, name = key.partition("/")
        try:
            return await self.client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
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
            self.recorder.event(volume, WARNING, reason, message)
        await self._set_phase(volume, "Failed", message)

    async def _set_phase(self, volume: Object, phase: str, message: str = "") -> None:
        status = volume.get("status") or {}
        if status.get("phase") == phase and (status.get("message") or "") == message:
            return
        body: Object = {"status": {"phase": phase, "message": message or None}}
        if status.get("phase") != phase:
            body["status"]["lastPhaseTransitionTime"] = rfc3339(self.clock.now())
        await self.client.patch_status(PERSISTENT_VOLUMES, name_of(volume), "", body)


def _around(claim: Object, seen: Seen) -> claims.Surroundings:
    selected = annotations_of(claim).get(SELECTED_NODE, "")
    waiting = [p for p in seen[PODS].by_index(BY_CLAIM, key_of(claim)) if not (p.get("spec") or {}).get("nodeName")]
    known = seen[PERSISTENT_VOLUMES]
    return claims.Surroundings(
        known.get, known.by_index(BY_CLASS, class_of(claim)), seen[STORAGE_CLASSES].get(class_of(claim)),
        seen[NODES].get(selected) if selected else None, name_of(waiting[0]) if waiting else "",
    )  # fmt: skip

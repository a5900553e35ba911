"""The four writes of a binding, each left out when it says nothing new: pure.

In:    a claim and its volume, as last seen.
Out:   merge patches, conditional on resourceVersion where two could race. Order: volume, its phase, claim, its phase;
       each state in between is one that `decide` continues from.
Spec:  Kubernetes pkg/controller/volume/persistentvolume/pv_controller.go (bind).
"""

from wherry.orchestration.controllers.volume_binding.claims import BIND_COMPLETED
from wherry.orchestration.objects.meta import Object, annotations_of, name_of, namespace_of, revision_of, uid_of
from wherry.orchestration.objects.volume_match import is_reserved_for
from wherry.orchestration.objects.well_known import ANN_BOUND_BY_CONTROLLER


def claim_reference(claim: Object) -> Object:
    """The claimRef."""
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace_of(claim), "name": name_of(claim),
        "uid": uid_of(claim), "resourceVersion": revision_of(claim),
    }  # fmt: skip


def volume_patch(claim: Object, volume: Object) -> Object | None:
    """Point the volume at the claim."""
    ref = (volume.get("spec") or {}).get("claimRef") or {}
    if ref.get("uid") == uid_of(claim):
        return None
    metadata: Object = {"resourceVersion": revision_of(volume)}
    if not is_reserved_for(volume, claim):
        metadata["annotations"] = {ANN_BOUND_BY_CONTROLLER: "yes"}
    return {"metadata": metadata, "spec": {"claimRef": claim_reference(claim)}}


def claim_patch(claim: Object, volume: Object) -> Object | None:
    """Point the claim at the volume."""
    wanted = {BIND_COMPLETED: "yes"}
    if not (claim.get("spec") or {}).get("volumeName"):
        wanted[ANN_BOUND_BY_CONTROLLER] = "yes"
    elif wanted.items() <= annotations_of(claim).items():
        return None
    return {
        "metadata": {"resourceVersion": revision_of(claim), "annotations": wanted},
        "spec": {"volumeName": name_of(volume)},
    }


def claim_status(claim: Object, volume: Object) -> Object:
    """The status of a bound claim. Its capacity is set once: later growth is the expansion's to report."""
    status = {**(claim.get("status") or {})}
    spec = volume.get("spec") or {}
    is_new = status.get("phase") != "Bound" or not status.get("capacity")
    status["phase"] = "Bound"
    status["accessModes"] = list(spec.get("accessModes") or ())
    if is_new:
        status["capacity"] = {"storage": (spec.get("capacity") or {}).get("storage", "0")}
    return status

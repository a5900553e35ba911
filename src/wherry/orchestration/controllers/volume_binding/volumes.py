"""What to do with a volume: pure.

In:    the volume, the claim its claimRef names.
Out:   one of `Phase`, `Unbind`, `Reclaim`, `WakeClaim`.
Spec:  Kubernetes pkg/controller/volume/persistentvolume/pv_controller.go (syncVolume).
"""

from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, name_of, uid_of
from wherry.orchestration.objects.volume_match import claim_key_of
from wherry.orchestration.objects.well_known import ANN_BOUND_BY_CONTROLLER

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


@dataclass(frozen=True, slots=True)
class Phase:
    """Nothing but the phase may need writing."""

    phase: str


@dataclass(frozen=True, slots=True)
class WakeClaim:
    """The claim has to finish the binding."""

    key: str


@dataclass(frozen=True, slots=True)
class Unbind:
    """The claim went elsewhere: take our claimRef away, or only its uid when a person reserved the volume."""

    keeps_reservation: bool


@dataclass(frozen=True, slots=True)
class Reclaim:
    """The claim is gone. `policy` Retain, Delete or Recycle; `by` is the provisioner that has to delete."""

    policy: str
    by: str


Verdict = Phase | WakeClaim | Unbind | Reclaim


def decide(volume: Object, claim: Object | None) -> Verdict:
    """`claim`: the newest object of the name in claimRef, whatever its uid."""
    spec = volume.get("spec") or {}
    ref = spec.get("claimRef")
    if not ref:
        return Phase("Available")
    if not ref.get("uid"):
        # Reserved by a person: the claim, once it is there, does the binding.
        is_open = claim is not None and not (claim.get("spec") or {}).get("volumeName")
        return WakeClaim(claim_key_of(volume)) if is_open else Phase("Available")
    if claim is None or uid_of(claim) != ref["uid"]:
        return _reclaim(volume)
    chosen = (claim.get("spec") or {}).get("volumeName") or ""
    if chosen == name_of(volume):
        return Phase("Bound")
    if not chosen:
        return WakeClaim(claim_key_of(volume))
    if PROVISIONED_BY in annotations_of(volume) and spec.get("persistentVolumeReclaimPolicy") == "Delete":
        return _reclaim(volume)  # made for a claim that found another one first
    return Unbind(keeps_reservation=ANN_BOUND_BY_CONTROLLER not in annotations_of(volume))


def _reclaim(volume: Object) -> Verdict:
    policy = str((volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") or "Retain")
    return Reclaim(policy, annotations_of(volume).get(PROVISIONED_BY, ""))


def may_be_deleted(volume: Object) -> bool:
    """The pv-protection finalizer may go."""
    return is_deleting(volume) and (volume.get("status") or {}).get("phase") != "Bound"

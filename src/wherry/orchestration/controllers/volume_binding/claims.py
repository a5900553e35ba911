"""What to do with a claim: pure.

In:    the claim, the volume it names or that suits it, its class, whether a pod waits.
Out:   one of `Bind`, `Wait`, `Provision`, `Lost`.
Spec:  Kubernetes pkg/controller/volume/persistentvolume/pv_controller.go (syncClaim): texts and reasons are its.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wherry.orchestration.objects.meta import Object, annotations_of, uid_of
from wherry.orchestration.objects.volume_match import (
    SELECTED_NODE,
    best_match,
    class_of,
    is_reserved_for,
    mismatch,
)
from wherry.orchestration.objects.well_known import ANN_BOUND_BY_CONTROLLER, NOT_SUPPORTED_PROVISIONER

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, slots=True)
class Bind:
    """Write, where it is missing, that the two belong together."""

    volume: Object


@dataclass(frozen=True, slots=True)
class Wait:
    """Pending. An event unless `reason` is empty."""

    reason: str = ""
    message: str = ""
    type: str = NORMAL


@dataclass(frozen=True, slots=True)
class Provision:
    """Ask the class's provisioner for a volume."""

    provisioner: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The volume is gone or another's."""

    reason: str
    message: str


Verdict = Bind | Wait | Provision | Lost


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a claim is judged by. `volume` looks one up by name; `candidates` are those of its class."""

    volume: Callable[[str], Object | None]
    candidates: Iterable[Object]
    storage_class: Object | None
    node: Object | None  # the one the scheduler selected
    waiting_pod: str = ""  # a pod that uses the claim and has no node


def decide(claim: Object, around: Surroundings) -> Verdict:
    """The verdict on a claim that is not being deleted."""
    name = str((claim.get("spec") or {}).get("volumeName") or "")
    if BIND_COMPLETED in annotations_of(claim):
        return _bound(claim, name, around)
    if name:
        return _chosen(claim, name, around)
    return _open(claim, around)


def _open(claim: Object, around: Surroundings) -> Verdict:
    is_delayed = _waits_for_pod(around.storage_class) and SELECTED_NODE not in annotations_of(claim)
    candidates = [v for v in around.candidates if is_reserved_for(v, claim)] if is_delayed else around.candidates
    found = best_match(claim, candidates, around.node)
    if found is not None:
        return Bind(found)
    if is_delayed:
        if around.waiting_pod:
            return Wait("WaitForPodScheduled", f"waiting for pod {around.waiting_pod} to be scheduled")
        return Wait("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    if not class_of(claim):
        return Wait("FailedBinding", "no persistent volumes available for this claim and no storage class is set")
    if around.storage_class is None:
        return Wait("ProvisioningFailed", f'storageclass.storage.k8s.io "{class_of(claim)}" not found', WARNING)
    provisioner = str(around.storage_class.get("provisioner") or "")
    return Wait() if provisioner == NOT_SUPPORTED_PROVISIONER else Provision(provisioner)


def _waits_for_pod(storage_class: Object | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _chosen(claim: Object, name: str, around: Surroundings) -> Verdict:
    """A person, or a bind of ours that did not end, chose the volume."""
    volume = around.volume(name)
    if volume is None:
        return Wait()
    if not (volume.get("spec") or {}).get("claimRef"):
        why = mismatch(claim, volume)
        if why:
            return Wait("VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}', WARNING)
        return Bind(volume)
    if is_reserved_for(volume, claim):
        return Bind(volume)
    if ANN_BOUND_BY_CONTROLLER in annotations_of(claim):
        return Lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    return Wait("FailedBinding", f'volume "{name}" already bound to a different claim.', WARNING)


def _bound(claim: Object, name: str, around: Surroundings) -> Verdict:
    if not name:
        return Lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    volume = around.volume(name)
    if volume is None:
        return Lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    ref = (volume.get("spec") or {}).get("claimRef")
    if not ref or ref.get("uid") in (None, "", uid_of(claim)):
        return Bind(volume)
    return Lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def volume_name_of(claim: Object) -> str:
    """The name of the volume made for a claim."""
    return f"pvc-{uid_of(claim)}"

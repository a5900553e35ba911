"""Which PersistentVolume suits a PersistentVolumeClaim: what the volume controller and the scheduler share. Pure.

Spec:  Kubernetes staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go (FindMatchingVolume).
"""

from collections.abc import Iterable

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, labels_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.placement import selector_matches
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector
from wherry.orchestration.objects.well_known import BETA_STORAGE_CLASS_ANNOTATION

SELECTED_NODE = "volume.kubernetes.io/selected-node"


def class_of(obj: Object) -> str:
    """The storage class of a claim or volume, "" for none."""
    return annotations_of(obj).get(BETA_STORAGE_CLASS_ANNOTATION) or str((obj.get("spec") or {}).get("storageClassName") or "")


def requested_bytes(claim: Object) -> int:
    """spec.resources.requests.storage."""
    resources = (claim.get("spec") or {}).get("resources") or {}
    return quantity.value((resources.get("requests") or {}).get("storage") or 0)


def capacity_bytes(volume: Object) -> int:
    """spec.capacity.storage of a volume."""
    return quantity.value(((volume.get("spec") or {}).get("capacity") or {}).get("storage") or 0)


def claim_key_of(volume: Object) -> str:
    """Key of the claim a volume is bound to or reserved for, "" for none."""
    ref = (volume.get("spec") or {}).get("claimRef")
    return f"{ref.get('namespace', '')}/{ref.get('name', '')}" if ref else ""


def is_reserved_for(volume: Object, claim: Object) -> bool:
    """The volume's claimRef names this claim; a claimRef without uid was written by a person."""
    ref = (volume.get("spec") or {}).get("claimRef") or {}
    same = ref.get("name") == name_of(claim) and ref.get("namespace") == namespace_of(claim)
    return same and ref.get("uid", "") in ("", uid_of(claim))


def mismatch(claim: Object, volume: Object) -> str:
    """Why a volume that a person chose does not satisfy the claim, "" when it does."""
    if requested_bytes(claim) > capacity_bytes(volume):
        return "requested PV is too small"
    if class_of(claim) != class_of(volume):
        return "storageClassName does not match"
    if _mode(claim) != _mode(volume):
        return "incompatible volumeMode"
    if not _modes(claim) <= _modes(volume):
        return "incompatible accessMode"
    return ""


def best_match(claim: Object, volumes: Iterable[Object], node: Object | None) -> Object | None:
    """The volume reserved for the claim, or else the smallest available one that satisfies it.

    `node`: where the volume must be usable, None for anywhere.
    """
    selector = (claim.get("spec") or {}).get("selector")
    wanted = from_label_selector(selector) if selector else None
    best: Object | None = None
    for volume in volumes:
        if _mode(volume) != _mode(claim) or is_deleting(volume) or requested_bytes(claim) > capacity_bytes(volume):
            continue
        if not _usable_on(volume, node):
            continue
        if is_reserved_for(volume, claim):
            return volume
        if _suits(claim, volume, wanted) and (best is None or _order(volume) < _order(best)):
            best = volume
    return best


def _suits(claim: Object, volume: Object, selector: LabelSelector | None) -> bool:
    spec = volume.get("spec") or {}
    if spec.get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
        return False
    if class_of(volume) != class_of(claim) or not _modes(claim) <= _modes(volume):
        return False
    if (spec.get("volumeAttributesClassName") or "") != ((claim.get("spec") or {}).get("volumeAttributesClassName") or ""):
        return False
    return selector is None or selector.matches(labels_of(volume))


def _usable_on(volume: Object, node: Object | None) -> bool:
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    return node is None or not required or selector_matches(required, node)


def _order(volume: Object) -> tuple[int, str]:
    return capacity_bytes(volume), name_of(volume)


def _mode(obj: Object) -> str:
    return str((obj.get("spec") or {}).get("volumeMode") or "Filesystem")


def _modes(obj: Object) -> set[str]:
    return set((obj.get("spec") or {}).get("accessModes") or ())

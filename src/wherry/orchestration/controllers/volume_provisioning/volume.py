"""The PersistentVolume made for a claim, and why one cannot be made: pure.

Spec:  github.com/kubernetes-csi/external-provisioner (annotations, finalizer, events); the driver is wherry.dev/local.
"""

from wherry.orchestration.controllers.volume_binding.bind import claim_reference
from wherry.orchestration.controllers.volume_binding.claims import volume_name_of
from wherry.orchestration.controllers.volume_binding.volumes import PROVISIONED_BY
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUMES
from wherry.orchestration.objects.meta import Object, is_deleting, labels_of, name_of
from wherry.orchestration.objects.volume_match import requested_bytes
from wherry.orchestration.objects.well_known import LABEL_HOSTNAME

DRIVER = "wherry.dev/local"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
FINISHED = ("Released", "Failed")


def refusal(claim: Object) -> str:
    """Why the local driver cannot serve the claim, "" when it can."""
    spec = claim.get("spec") or {}
    if spec.get("volumeMode") == "Block":
        return f"driver {DRIVER} does not offer volumeMode Block; use Filesystem"
    source = spec.get("dataSource") or spec.get("dataSourceRef")
    if source:
        return f"driver {DRIVER} does not offer volumes from a {source.get('kind')}"
    if spec.get("selector"):
        return "claim Selector is not supported"
    return ""


def volume_for(claim: Object, storage_class: Object, node: Object, size_bytes: int) -> Object:
    """The volume, reserved for the claim, usable on `node` only."""
    spec = claim.get("spec") or {}
    requested = spec["resources"]["requests"]["storage"]
    name = volume_name_of(claim)
    hostname = labels_of(node).get(LABEL_HOSTNAME) or name_of(node)
    policy = storage_class.get("reclaimPolicy") or "Delete"
    return {
        "apiVersion": PERSISTENT_VOLUMES.api_version, "kind": PERSISTENT_VOLUMES.kind,
        "metadata": {
            "name": name,
            "annotations": {PROVISIONED_BY: DRIVER},
            "finalizers": [FINALIZER] if policy == "Delete" else [],
        },
        "spec": {
            "capacity": {"storage": requested if size_bytes == requested_bytes(claim) else str(size_bytes)},
            "accessModes": list(spec.get("accessModes") or ()),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": name_of(storage_class),
            "mountOptions": list(storage_class.get("mountOptions") or ()),
            "csi": {"driver": DRIVER, "volumeHandle": name},
            "claimRef": claim_reference(claim),
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": LABEL_HOSTNAME, "operator": "In", "values": [hostname]}]}]}},
        },
    }  # fmt: skip


def is_ours(volume: Object) -> bool:
    """True for volumes of this driver, provisioned or written by hand."""
    return ((volume.get("spec") or {}).get("csi") or {}).get("driver") == DRIVER


def handle_of(volume: Object) -> str:
    """The name the machine knows the volume by."""
    return str(volume["spec"]["csi"]["volumeHandle"])


def must_be_deleted(volume: Object) -> bool:
    """Its claim is gone, or a person deletes it while no claim has it, and its policy is Delete."""
    if not is_ours(volume) or (volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") != "Delete":
        return False
    phase = (volume.get("status") or {}).get("phase")
    made_by_us = (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == DRIVER
    return made_by_us and (phase in FINISHED or (is_deleting(volume) and phase != "Bound"))


def holds_needlessly(volume: Object) -> bool:
    """Our finalizer is on a volume that will not be deleted by us."""
    kept = (volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") != "Delete"
    return kept and is_deleting(volume) and FINALIZER in (volume["metadata"].get("finalizers") or ())

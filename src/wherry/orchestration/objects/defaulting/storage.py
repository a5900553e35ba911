"""Defaults of volumes, claims and storage.k8s.io/v1.

Spec: pkg/apis/{core,storage}/v1 defaults of Kubernetes 1.37.
"""

from wherry.orchestration.objects.defaulting.fill import fill, fill_zero, section
from wherry.orchestration.objects.defaulting.pods import fill_volume_source
from wherry.orchestration.objects.meta import Object


def fill_claim(claim: Object) -> None:
    """A PersistentVolumeClaim, also inside a StatefulSet."""
    fill(section(claim, "spec"), volumeMode="Filesystem")
    fill(section(claim, "status"), phase="Pending")


def _volume(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    for kind, source in spec.items():
        if isinstance(source, dict):
            fill_volume_source(kind, source)
    fill(section(obj, "status"), phase="Pending")


def _storage_class(obj: Object) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _csi_driver(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(
        spec, attachRequired=True, podInfoOnMount=False, storageCapacity=False, requiresRepublish=False,
        seLinuxMount=False, fsGroupPolicy="ReadWriteOnceWithFSType",
    )
    fill_zero(spec, volumeLifecycleModes=["Persistent"])


DEFAULTERS = {
    ("", "PersistentVolumeClaim"): fill_claim,
    ("", "PersistentVolume"): _volume,
    ("storage.k8s.io", "StorageClass"): _storage_class,
    ("storage.k8s.io", "CSIDriver"): _csi_driver,
}

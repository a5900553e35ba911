"""Rows of volumes, claims, classes and the CSI and device kinds."""

from collections.abc import Sequence
from datetime import datetime

from wherry.orchestration.apiserver.tables.columns import NONE, UNSET, Cells, age, printer, spec_of, status_of
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, name_of
from wherry.orchestration.objects.well_known import (
    BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION,
    BETA_STORAGE_CLASS_ANNOTATION,
    IS_DEFAULT_STORAGE_CLASS_ANNOTATION,
)

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_DEFAULT_CLASS = (IS_DEFAULT_STORAGE_CLASS_ANNOTATION, BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION)


def _modes(modes: Sequence[str] | None) -> str:
    held = set(modes or ())
    return ",".join(short for long, short in _MODES.items() if long in held)


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else str(status_of(obj).get("phase", ""))


def _class(obj: Object) -> str:
    return annotations_of(obj).get(BETA_STORAGE_CLASS_ANNOTATION) or spec_of(obj).get("storageClassName") or ""


def _volume(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    claim = spec.get("claimRef")
    return [
        name_of(obj), (spec.get("capacity") or {}).get("storage", "0"), _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "", _class(obj),
        spec.get("volumeAttributesClassName") or UNSET, status_of(obj).get("reason", ""), age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def _claim(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    capacity, modes = "", ""
    if spec.get("volumeName"):
        capacity = (status.get("capacity") or {}).get("storage", "0")
        modes = _modes(status.get("accessModes"))
    return [name_of(obj), _phase(obj), spec.get("volumeName", ""), capacity, modes, _class(obj),
            spec.get("volumeAttributesClassName") or UNSET, age(obj, now), spec.get("volumeMode") or UNSET]


def _storage_class(obj: Object, now: datetime) -> Cells:
    is_default = any(annotations_of(obj).get(key) == "true" for key in _DEFAULT_CLASS)
    name = f"{name_of(obj)} (default)" if is_default else name_of(obj)
    return [name, obj.get("provisioner", ""), obj.get("reclaimPolicy") or "Delete",
            obj.get("volumeBindingMode") or "Immediate", bool(obj.get("allowVolumeExpansion")), age(obj, now)]


def _attributes_class(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), obj.get("driverName", ""), age(obj, now)]


def _attachment(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    volume = (spec.get("source") or {}).get("persistentVolumeName") or ""
    return [name_of(obj), spec.get("attacher", ""), volume, spec.get("nodeName", ""),
            bool(status_of(obj).get("attached")), age(obj, now)]


def _csi_node(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), len(spec_of(obj).get("drivers") or ()), age(obj, now)]


def _csi_driver(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    requests = spec.get("tokenRequests")
    modes = spec.get("volumeLifecycleModes") or ["Persistent"]
    return [
        name_of(obj), spec.get("attachRequired", True), bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if requests is None else ",".join(request.get("audience", "") for request in requests),
        bool(spec.get("requiresRepublish")), ",".join(modes) or NONE, age(obj, now),
    ]


def _csi_capacity(obj: Object, now: datetime) -> Cells:
    del now
    return [name_of(obj), obj.get("storageClassName", ""), obj.get("capacity") or UNSET]


def _resource_claim(obj: Object, now: datetime) -> Cells:
    status = status_of(obj)
    words = ["deleted"] if is_deleting(obj) else []
    if status.get("allocation"):
        words.append("allocated")
        words += ["reserved"] if status.get("reservedFor") else []
    elif not words:
        words = ["pending"]
    return [name_of(obj), ",".join(words), age(obj, now)]


def _resource_slice(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    return [name_of(obj), spec.get("nodeName") or UNSET, spec.get("driver", ""),
            (spec.get("pool") or {}).get("name", ""), age(obj, now)]


def _name_and_age(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), age(obj, now)]


PERSISTENT_VOLUME = printer(
    "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode*",
    _volume)
PERSISTENT_VOLUME_CLAIM = printer(
    "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode*", _claim)
STORAGE_CLASS = printer(
    "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age", _storage_class)
VOLUME_ATTRIBUTES_CLASS = printer("Name|DriverName|Age", _attributes_class)
VOLUME_ATTACHMENT = printer("Name|Attacher|PV|Node|Attached|Age", _attachment)
CSI_NODE = printer("Name|Drivers#|Age", _csi_node)
CSI_DRIVER = printer(
    "Name|AttachRequired!|PodInfoOnMount!|StorageCapacity!|TokenRequests|RequiresRepublish!|Modes|Age", _csi_driver)
CSI_STORAGE_CAPACITY = printer("Name|StorageClassName|Capacity", _csi_capacity)
RESOURCE_CLAIM = printer("Name|State|Age", _resource_claim)
RESOURCE_SLICE = printer("Name|Node|Driver|Pool|Age", _resource_slice)
RESOURCE_CLAIM_TEMPLATE = printer("Name|Age", _name_and_age)
DEVICE_CLASS = printer("Name|Age", _name_and_age)

"""Checks of volumes, claims and storage.k8s.io.

Spec: pkg/apis/{core,storage}/validation.
"""

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.metadata import check_selector
from wherry.orchestration.objects.validation.pods import check_node_selector
from wherry.orchestration.objects.validation.volumes import check_host_path

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_VOLUME_FIELDS = {
    "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
    "volumeMode", "nodeAffinity", "volumeAttributesClassName",
}
_CLAIM_FORBIDDEN = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def check_claim_spec(spec: Object, path: str, found: Causes) -> None:
    """A PersistentVolumeClaimSpec, of a claim or in a StatefulSet."""
    _check_access(spec, path, found)
    check_selector(spec.get("selector"), f"{path}.selector", found)
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        found.required(f"{path}.resources[storage]")
    elif quantity.parse(storage) <= 0:
        found.invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    if class_name := spec.get("storageClassName"):
        found.invalid_each(f"{path}.storageClassName", class_name, names.subdomain_wrong(class_name))
    found.one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES, is_required=False)
    for field in ("dataSource", "dataSourceRef"):
        for key in ("name", "kind"):
            if spec.get(field) is not None and not spec[field].get(key):
                found.required(f"{path}.{field}.{key}")
    if spec.get("dataSource") and spec.get("dataSourceRef", spec["dataSource"]) != spec["dataSource"]:
        found.invalid(path, {}, "must match dataSourceRef")


def _check_access(spec: Object, path: str, found: Causes) -> None:
    modes = spec.get("accessModes") or ()
    if not modes:
        found.required(f"{path}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in ACCESS_MODES:
            found.not_supported(f"{path}.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        found.forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")


def claim(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    check_claim_spec(spec, "spec", found)
    if old is not None:
        _check_claim_update(spec, old, found)


def _check_claim_update(spec: Object, old: Object, found: Causes) -> None:
    before = old.get("spec") or {}
    kept = {**spec, "resources": before.get("resources"),
            "volumeAttributesClassName": before.get("volumeAttributesClassName")}
    if not before.get("volumeName"):
        kept["volumeName"] = before.get("volumeName")  # the binder may still set it
    if before.get("storageClassName") is None:
        kept["storageClassName"] = None  # a late default class may fill it
    if _said(kept) != _said({**before}):
        found.forbidden("spec", _CLAIM_FORBIDDEN)
        return
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    had = ((before.get("resources") or {}).get("requests") or {}).get("storage", "0")
    if quantity.parse(wanted) < quantity.parse(had):
        allocated = ((old.get("status") or {}).get("capacity") or {}).get("storage", had)
        if quantity.parse(wanted) <= quantity.parse(allocated):
            found.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    elif wanted != had and (old.get("status") or {}).get("phase") != "Bound":
        found.forbidden("spec", _CLAIM_FORBIDDEN)


def _said(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if value not in (None, "", [], {})}


def volume(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    _check_access(spec, "spec", found)
    capacity = (spec.get("capacity") or {}).get("storage")
    if capacity is None:
        found.not_supported("spec.capacity", spec.get("capacity"), ("storage",))
    elif quantity.parse(capacity) <= 0:
        found.invalid("spec.capacity[storage]", capacity, "must be greater than zero")
    found.one_of("spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"), RECLAIM_POLICIES)
    found.one_of("spec.volumeMode", spec.get("volumeMode"), VOLUME_MODES, is_required=False)
    sources = [key for key, value in spec.items() if key not in _VOLUME_FIELDS and value is not None]
    if not sources:
        found.required("spec", "must specify a volume type")
    for key in sources[1:]:
        found.forbidden(f"spec.{key}", "may not specify more than 1 volume type")
    _check_volume_source(spec, found)
    if required := (spec.get("nodeAffinity") or {}).get("required"):
        check_node_selector(required, "spec.nodeAffinity.required", found)
    elif spec.get("nodeAffinity") is not None:
        found.required("spec.nodeAffinity.required", "must specify required node constraints")
    if old is not None:
        before = old.get("spec") or {}
        if any(spec.get(key) != before.get(key) for key in {*sources, *before} - _VOLUME_FIELDS):
            found.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
        found.unchanged("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))


def _check_volume_source(spec: Object, found: Causes) -> None:
    if (host_path := spec.get("hostPath")) is not None:
        check_host_path(host_path, "spec.hostPath", found)
        if host_path.get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            found.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    if (local := spec.get("local")) is not None:
        if not local.get("path"):
            found.required("spec.local.path")
        if not spec.get("nodeAffinity"):
            found.required("spec.nodeAffinity", "Local volume requires node affinity")
    if (csi := spec.get("csi")) is not None:
        for key in ("driver", "volumeHandle"):
            if not csi.get(key):
                found.required(f"spec.csi.{key}")


def storage_class(obj: Object, old: Object | None, found: Causes) -> None:
    provisioner = obj.get("provisioner") or ""
    if not provisioner:
        found.required("provisioner")
    else:
        found.invalid_each("provisioner", provisioner, names.qualified_wrong(provisioner.lower()))
    found.one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    found.one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    if any(not key for key in obj.get("parameters") or ()):
        found.invalid("parameters", "", "field can not be empty.")
    if old is None:
        return
    for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if (obj.get(key) or None) != (old.get(key) or None):
            if key in ("reclaimPolicy", "volumeBindingMode"):
                found.invalid(key, obj.get(key), "field is immutable")
            else:
                found.forbidden(key, f"updates to {key} are forbidden.")


def volume_attachment(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    for key in ("attacher", "nodeName"):
        if not spec.get(key):
            found.required(f"spec.{key}")
    source = spec.get("source") or {}
    if not source.get("persistentVolumeName") and not source.get("inlineVolumeSpec"):
        found.required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    if old is not None and spec != (old.get("spec") or {}):
        found.invalid("spec", spec, "field is immutable")


def csi_driver(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    for index, mode in enumerate(spec.get("volumeLifecycleModes") or ()):
        if mode not in ("Ephemeral", "Persistent"):
            found.not_supported(f"spec.volumeLifecycleModes[{index}]", mode, ("Ephemeral", "Persistent"))
    policies = ("File", "None", "ReadWriteOnceWithFSType")
    found.one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), policies, is_required=False)
    if old is not None:
        before = old.get("spec") or {}
        for key in ("attachRequired", "volumeLifecycleModes"):
            found.unchanged(f"spec.{key}", spec.get(key), before.get(key))


def csi_node(obj: Object, old: Object | None, found: Causes) -> None:
    seen: set[str] = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        path = f"spec.drivers[{index}]"
        if not driver.get("name"):
            found.required(f"{path}.name")
        elif driver["name"] in seen:
            found.duplicate(f"{path}.name", driver["name"])
        seen.add(driver.get("name") or "")
        if not driver.get("nodeID"):
            found.required(f"{path}.nodeID")


_GROUP = "storage.k8s.io"
VALIDATORS = {
    ("", "PersistentVolumeClaim"): claim,
    ("", "PersistentVolume"): volume,
    (_GROUP, "StorageClass"): storage_class,
    (_GROUP, "VolumeAttachment"): volume_attachment,
    (_GROUP, "CSIDriver"): csi_driver,
    (_GROUP, "CSINode"): csi_node,
}

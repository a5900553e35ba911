"""Checks of the volumes of a pod.

Spec: pkg/apis/core/validation, "ValidateVolumes".
"""

from typing import Any

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.containers import check_field_ref, check_file_path, check_resource_ref

MODE_RANGE = range(0o1000)
MODE_WRONG = "must be a number between 0 and 0777 (octal), both inclusive"
HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
TOKEN_SECONDS_MIN = 600
DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def check_volumes(volumes: Any, path: str, found: Causes) -> dict[str, Object]:
    """The volumes by name, for the checks of mounts."""
    by_name: dict[str, Object] = {}
    for index, volume in enumerate(volumes or ()):
        place, name = f"{path}[{index}]", volume.get("name") or ""
        if not name:
            found.required(f"{place}.name")
        else:
            found.invalid_each(f"{place}.name", name, names.label_wrong(name))
            if name in by_name:
                found.duplicate(f"{place}.name", name)
        by_name[name] = volume
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        if not sources:
            found.required(place, "must specify a volume type")
        for key in sources[1:]:
            found.forbidden(f"{place}.{key}", "may not specify more than 1 volume type")
        for key in sources[:1]:
            _check_source(key, volume[key], f"{place}.{key}", found)
    return by_name


def _check_source(kind: str, source: Object, path: str, found: Causes) -> None:
    match kind:
        case "emptyDir":
            limit = source.get("sizeLimit")
            if limit is not None and quantity.parse(limit) < 0:
                found.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")
        case "hostPath":
            check_host_path(source, path, found)
        case "secret":
            _check_files(source, "secretName", source.get("secretName"), path, found)
        case "configMap":
            _check_files(source, "name", source.get("name"), path, found)
        case "persistentVolumeClaim":
            if not source.get("claimName"):
                found.required(f"{path}.claimName")
        case "downwardAPI":
            _check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
            _check_downward_items(source, path, found)
        case "projected":
            _check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
            for index, part in enumerate(source.get("sources") or ()):
                _check_projection(part, f"{path}.sources[{index}]", found)
        case "nfs":
            for key in ("server", "path"):
                if not source.get(key):
                    found.required(f"{path}.{key}")
        case "csi":
            if not source.get("driver"):
                found.required(f"{path}.driver")
        case "ephemeral":
            if not (source.get("volumeClaimTemplate") or {}).get("spec"):
                found.required(f"{path}.volumeClaimTemplate")


def check_host_path(source: Object, path: str, found: Causes) -> None:
    """A hostPath of a pod or a PersistentVolume."""
    target = source.get("path") or ""
    if not target:
        found.required(f"{path}.path")
    elif ".." in target.split("/"):
        found.invalid(f"{path}.path", target, "must not contain '..'")
    if (source.get("type") or "") not in HOST_PATH_TYPES:
        found.not_supported(f"{path}.type", source["type"], HOST_PATH_TYPES)


def _check_files(source: Object, key: str, name: Any, path: str, found: Causes) -> None:
    if not name:
        found.required(f"{path}.{key}")
    _check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
    for index, item in enumerate(source.get("items") or ()):
        place = f"{path}.items[{index}]"
        if not item.get("key"):
            found.required(f"{place}.key")
        if not item.get("path"):
            found.required(f"{place}.path")
        else:
            check_file_path(item["path"], f"{place}.path", found)
        _check_mode(item.get("mode"), f"{place}.mode", found)


def _check_mode(mode: Any, path: str, found: Causes) -> None:
    if mode is not None and mode not in MODE_RANGE:
        found.invalid(path, mode, MODE_WRONG)


def _check_downward_items(source: Object, path: str, found: Causes) -> None:
    for index, item in enumerate(source.get("items") or ()):
        place = f"{path}.items[{index}]"
        if not item.get("path"):
            found.required(f"{place}.path")
        else:
            check_file_path(item["path"], f"{place}.path", found)
        if item.get("fieldRef") is not None:
            check_field_ref(item["fieldRef"], f"{place}.fieldRef", DOWNWARD_FIELDS, found)
        elif item.get("resourceFieldRef") is not None:
            if not item["resourceFieldRef"].get("containerName"):
                found.required(f"{place}.resourceFieldRef.containerName")
            check_resource_ref(item["resourceFieldRef"], f"{place}.resourceFieldRef", found)
        else:
            found.required(place, "one of fieldRef and resourceFieldRef is required")
        _check_mode(item.get("mode"), f"{place}.mode", found)


def _check_projection(part: Object, path: str, found: Causes) -> None:
    given = [key for key, value in part.items() if value is not None]
    if not given:
        found.required(path, "must specify a volume type")
    for key in given[1:]:
        found.forbidden(f"{path}.{key}", "may not specify more than 1 volume type")
    for key in given[:1]:
        source, place = part[key], f"{path}.{key}"
        if key in ("secret", "configMap"):
            _check_files(source, "name", source.get("name"), place, found)
        elif key == "downwardAPI":
            _check_downward_items(source, place, found)
        elif key == "serviceAccountToken":
            seconds = source.get("expirationSeconds")
            if seconds is not None and seconds < TOKEN_SECONDS_MIN:
                found.invalid(f"{place}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            if not source.get("path"):
                found.required(f"{place}.path")
            else:
                check_file_path(source["path"], f"{place}.path", found)

"""The files of configMap, secret, downwardAPI and projected volumes. Pure.

In:    pod, volume source, the ConfigMaps and Secrets it names, tokens already asked for.
Out:   `Payload`: relative path -> bytes and mode. The writer decides whether anything changed.
Spec:  core/v1 KeyToPath, DownwardAPIVolumeFile, VolumeProjection; default mode 0644.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.kit.errors import Invalid, Unsupported
from wherry.orchestration.agent.facts.pod import all_containers, security_value, spec_of
from wherry.orchestration.agent.plan.downward import field_value, resource_value
from wherry.orchestration.agent.plan.environment import References
from wherry.orchestration.objects.meta import Object

MODE_DEFAULT = 0o644
TOKEN_MODE_OWNED = 0o600
PATH_MAX = 4096
NAME_MAX = 255

PAYLOAD_KINDS = ("configMap", "secret", "downwardAPI", "projected")
_PLUGINS = {"configMap": "configmap", "secret": "secret", "downwardAPI": "downward-api", "projected": "projected"}


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume. `owner` is a user id that owns it, None for root."""

    data: bytes
    mode: int = MODE_DEFAULT
    owner: int | None = None


Payload = dict[str, File]


@dataclass(frozen=True, slots=True)
class PayloadInputs:
    """What the pod names. `tokens` is keyed by the index in projected.sources."""

    references: References
    allocatable: Mapping[str, str]
    tokens: Mapping[int, str]


def plugin_of(kind: str) -> str:
    """The name in the folder `kubernetes.io~<plugin>`."""
    return _PLUGINS[kind]


def payload(pod: Object, kind: str, source: Object, inputs: PayloadInputs) -> Payload:
    """Raise `Invalid` with upstream's text when something that is not optional is missing."""
    mode = _mode(source, MODE_DEFAULT)
    match kind:
        case "configMap":
            files = _config_map(source, str(source.get("name", "")), mode, inputs)
        case "secret":
            files = _secret(source, str(source.get("secretName", "")), mode, inputs)
        case "downwardAPI":
            files = _downward(pod, source, mode, inputs)
        case _:
            files = _projected(pod, source, mode, inputs)
    for path in files:
        check_path(path)
    return files


def token_sources(source: Object) -> list[tuple[int, Object]]:
    """(index, serviceAccountToken) of a projected volume."""
    sources = source.get("sources") or ()
    return [(i, s["serviceAccountToken"]) for i, s in enumerate(sources) if s.get("serviceAccountToken")]


def check_path(path: str) -> None:
    """Raise `Invalid` for a path that could leave the volume or hide the writer's own entries."""
    if not path or path.startswith("/"):
        raise Invalid(f"invalid path: must be relative path: {path}")
    parts = path.split("/")
    if ".." in parts:
        raise Invalid(f"invalid path: must not contain '..': {path}")
    if parts[0].startswith(".."):
        raise Invalid(f"invalid path: must not start with '..': {path}")
    if len(path) > PATH_MAX or any(len(part) > NAME_MAX for part in parts):
        raise Invalid(f"invalid path: must be at most {PATH_MAX} characters, {NAME_MAX} a part: {path[:80]}")


def _mode(source: Object, default: int) -> int:
    given = source.get("defaultMode")
    return int(given) if given is not None else default


def _config_map(source: Object, name: str, mode: int, inputs: PayloadInputs) -> Payload:
    found = inputs.references.config_map(name)
    if found is None:
        if source.get("optional"):
            return {}
        raise Invalid(f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _chosen(data, source, mode, "configmap references non-existent config key: {}")


def _secret(source: Object, name: str, mode: int, inputs: PayloadInputs) -> Payload:
    found = inputs.references.secret(name)
    if found is None:
        if source.get("optional"):
            return {}
        raise Invalid(f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _chosen(data, source, mode, "references non-existent secret key: {}")


def _chosen(data: Mapping[str, bytes], source: Object, mode: int, missing: str) -> Payload:
    items = source.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files: Payload = {}
    for item in items:
        key = str(item.get("key", ""))
        if key not in data:
            if source.get("optional"):
                continue
            raise Invalid(missing.format(key))
        files[str(item.get("path", ""))] = File(data[key], _item_mode(item, mode))
    return files


def _item_mode(item: Object, mode: int) -> int:
    given: Any = item.get("mode")
    return int(given) if given is not None else mode


def _downward(pod: Object, source: Object, mode: int, inputs: PayloadInputs) -> Payload:
    files: Payload = {}
    for item in source.get("items") or ():
        if reference := item.get("fieldRef"):
            text = field_value(pod, str(reference.get("fieldPath", "")))
        else:
            text = resource_value(pod, item.get("resourceFieldRef") or {}, container="", allocatable=inputs.allocatable)
        files[str(item.get("path", ""))] = File(text.encode(), _item_mode(item, mode))
    return files


def _projected(pod: Object, source: Object, mode: int, inputs: PayloadInputs) -> Payload:
    files: Payload = {}
    for index, part in enumerate(source.get("sources") or ()):
        if (found := part.get("configMap")) is not None:
            files |= _config_map(found, str(found.get("name", "")), mode, inputs)
        elif (found := part.get("secret")) is not None:
            files |= _secret(found, str(found.get("name", "")), mode, inputs)
        elif (found := part.get("downwardAPI")) is not None:
            files |= _downward(pod, found, mode, inputs)
        elif (found := part.get("serviceAccountToken")) is not None:
            files[str(found.get("path", ""))] = _token_file(pod, inputs.tokens[index], mode)
        else:
            raise Unsupported(f"projected source {'/'.join(part) or 'none'} is not offered")
    return files


def _token_file(pod: Object, token: str, mode: int) -> File:
    """Private to the pod's one user when there is one; with fsGroup the group may read it."""
    users = {security_value(pod, container, "runAsUser") for _, container in all_containers(pod)}
    owner = users.pop() if len(users) == 1 else None
    has_group = (spec_of(pod).get("securityContext") or {}).get("fsGroup") is not None
    if owner is not None or has_group:
        return File(token.encode(), TOKEN_MODE_OWNED, None if owner is None else int(owner))
    return File(token.encode(), mode)

"""Checks of containers: names, images, ports, environment, mounts, probes, lifecycle.

Spec: pkg/apis/core/validation, "validateContainers". Works on a decoded and defaulted PodSpec.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.resources import check_requirements

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)
RESOURCE_FIELDS = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_EPHEMERAL_FORBIDDEN = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources")
_SECRET_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def check_containers(spec: Object, volumes: Mapping[str, Object], path: str, found: Causes) -> None:
    """All containers of a PodSpec; `volumes` by name."""
    seen: set[str] = set()
    containers = spec.get("containers") or ()
    if not containers:
        found.required(f"{path}.containers")
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            place = f"{path}.{key}[{index}]"
            _check_container(container, place, volumes, spec, found, is_ephemeral=key == "ephemeralContainers")
            name = container.get("name") or ""
            if name and name in seen:
                found.duplicate(f"{place}.name", name)
            seen.add(name)
    _check_host_ports(spec.get("containers") or (), f"{path}.containers", found)
    for index, container in enumerate(spec.get("initContainers") or ()):
        _check_init(container, f"{path}.initContainers[{index}]", found)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        _check_ephemeral(container, f"{path}.ephemeralContainers[{index}]", {c.get("name") for c in containers}, found)


def _check_container(
    container: Object, path: str, volumes: Mapping[str, Object], spec: Object, found: Causes, *, is_ephemeral: bool
) -> None:
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        found.required(f"{path}.name")
    else:
        found.invalid_each(f"{path}.name", name, names.label_wrong(name))
    if not image:
        found.required(f"{path}.image")
    elif image.strip() != image:
        found.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    found.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    found.one_of(f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"),
                 ("FallbackToLogsOnError", "File"))
    _check_ports(container.get("ports") or (), f"{path}.ports", spec, found)
    _check_environment(container, path, found)
    _check_mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes, found)
    _check_devices(container, path, volumes, found)
    if not is_ephemeral:
        check_requirements(container.get("resources"), f"{path}.resources", found)
    _check_security(container.get("securityContext") or {}, f"{path}.securityContext", found)
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            _check_probe(container[key], f"{path}.{key}", key, found)
    for key in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(key)
        if handler is not None:
            _check_handler(handler, f"{path}.lifecycle.{key}", found)


def _check_ports(ports: Iterable[Object], path: str, spec: Object, found: Causes) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place, name = f"{path}[{index}]", port.get("name") or ""
        if name:
            wrong = names.port_name_wrong(name)
            found.invalid_each(f"{place}.name", name, wrong)
            if not wrong and name in seen:
                found.duplicate(f"{place}.name", name)
            seen.add(name)
        if not port.get("containerPort"):
            found.required(f"{place}.containerPort")
        elif port["containerPort"] not in names.PORT_RANGE:
            found.invalid(f"{place}.containerPort", port["containerPort"], names.PORT_WRONG)
        host_port = port.get("hostPort") or 0
        if host_port and host_port not in names.PORT_RANGE:
            found.invalid(f"{place}.hostPort", host_port, names.PORT_WRONG)
        if spec.get("hostNetwork") and host_port and host_port != port.get("containerPort"):
            found.invalid(f"{place}.hostPort", host_port, "must match `containerPort` when `hostNetwork` is true")
        found.one_of(f"{place}.protocol", port.get("protocol"), PROTOCOLS)


def _check_host_ports(containers: Iterable[Object], path: str, found: Causes) -> None:
    seen: set[tuple[str, str, int]] = set()
    for index, container in enumerate(containers):
        for place, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = (str(port.get("protocol")), port.get("hostIP") or "", port["hostPort"])
            if key in seen:
                found.duplicate(f"{path}[{index}].ports[{place}].hostPort", f"{key[0]}/{key[1]}/{key[2]}")
            seen.add(key)


def _check_environment(container: Object, path: str, found: Causes) -> None:
    for index, variable in enumerate(container.get("env") or ()):
        place, name = f"{path}.env[{index}]", variable.get("name") or ""
        if not name:
            found.required(f"{place}.name")
        else:
            found.invalid_each(f"{place}.name", name, names.variable_wrong(name))
        if variable.get("valueFrom") is not None:
            _check_source(variable, f"{place}.valueFrom", found)
    for index, source in enumerate(container.get("envFrom") or ()):
        place = f"{path}.envFrom[{index}]"
        given = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        if len(given) > 1:
            found.invalid(place, "", "may not have more than one field specified at a time")
        elif not given:
            found.invalid(place, "", "must specify one of: `configMapRef` or `secretRef`")
        elif not source[given[0]].get("name"):
            found.required(f"{place}.{given[0]}.name")


def _check_source(variable: Object, path: str, found: Causes) -> None:
    source = variable["valueFrom"]
    given = [key for key in _SECRET_SOURCES if source.get(key) is not None]
    if variable.get("value") and given:
        found.invalid(path, "", "may not be specified when `value` is not empty")
    if len(given) > 1:
        found.invalid(path, "", "may not have more than one field specified at a time")
    elif not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        found.invalid(path, "", text)
    for key in given:
        ref, place = source[key], f"{path}.{key}"
        if key in ("configMapKeyRef", "secretKeyRef"):
            if not ref.get("name"):
                found.required(f"{place}.name")
            if not ref.get("key"):
                found.required(f"{place}.key")
            else:
                found.invalid_each(f"{place}.key", ref["key"], names.config_key_wrong(ref["key"]))
        elif key == "fieldRef":
            check_field_ref(ref, place, FIELD_PATHS, found)
        elif key == "resourceFieldRef":
            check_resource_ref(ref, place, found)


def check_field_ref(ref: Object, path: str, supported: tuple[str, ...], found: Causes) -> None:
    """A downward API field, such as `metadata.labels['app']`."""
    field = ref.get("fieldPath") or ""
    if not field:
        found.required(f"{path}.fieldPath")
        return
    base, bracket, rest = field.partition("[")
    if bracket and base in ("metadata.labels", "metadata.annotations") and rest[:1] == rest[-2:-1] == "'":
        key = rest[1:-2]
        wrong = names.qualified_wrong(key.lower() if base.endswith("annotations") else key)
        found.invalid_each(path, key, wrong)
    elif field not in supported:
        found.not_supported(f"{path}.fieldPath", field, supported)


def check_resource_ref(ref: Object, path: str, found: Causes) -> None:
    """A downward API resource, such as `limits.cpu`."""
    resource = ref.get("resource") or ""
    if not resource:
        found.required(f"{path}.resource")
    elif resource not in RESOURCE_FIELDS and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        found.not_supported(f"{path}.resource", resource, RESOURCE_FIELDS)


def _check_mounts(mounts: Iterable[Object], path: str, volumes: Mapping[str, Object], found: Causes) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        place, name = f"{path}[{index}]", mount.get("name") or ""
        if not name:
            found.required(f"{place}.name")
        elif name not in volumes:
            found.not_found(f"{place}.name", name)
        target = mount.get("mountPath") or ""
        if not target:
            found.required(f"{place}.mountPath")
        elif target in seen:
            found.invalid(f"{place}.mountPath", target, "must be unique")
        seen.add(target)
        if mount.get("subPath") and mount.get("subPathExpr"):
            found.invalid(f"{place}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
        for key in ("subPath", "subPathExpr"):
            check_local_path(mount.get(key) or "", f"{place}.{key}", found)
        propagation = mount.get("mountPropagation")
        found.one_of(f"{place}.mountPropagation", propagation, ("Bidirectional", "HostToContainer", "None"),
                     is_required=False)


def check_local_path(text: str, path: str, found: Causes) -> None:
    """A path below a volume: relative, and never upwards."""
    if text.startswith("/"):
        found.invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        found.invalid(path, text, "must not contain '..'")


def check_file_path(text: str, path: str, found: Causes) -> None:
    """Where a volume puts a file: also no name of those that its writer keeps for itself (`..data`)."""
    check_local_path(text, path, found)
    if text.startswith("..") and not text.startswith("../"):
        found.invalid(path, text, "must not start with '..'")


def _check_devices(container: Object, path: str, volumes: Mapping[str, Object], found: Causes) -> None:
    for index, device in enumerate(container.get("volumeDevices") or ()):
        place, name = f"{path}.volumeDevices[{index}]", device.get("name") or ""
        if not name:
            found.required(f"{place}.name")
        elif name not in volumes:
            found.not_found(f"{place}.name", name)
        if not device.get("devicePath"):
            found.required(f"{place}.devicePath")


def _check_security(context: Object, path: str, found: Causes) -> None:
    for key in ("runAsUser", "runAsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value < 2**31:
            found.invalid(f"{path}.{key}", value, "must be between 0 and 2147483647, inclusive")
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        found.invalid(path, context, text)
    check_seccomp(context.get("seccompProfile"), f"{path}.seccompProfile", found)


def check_seccomp(profile: Object | None, path: str, found: Causes) -> None:
    """A SeccompProfile, of a container or a pod."""
    if profile is None:
        return
    found.one_of(f"{path}.type", profile.get("type"), ("Localhost", "RuntimeDefault", "Unconfined"))
    if profile.get("type") == "Localhost":
        if not profile.get("localhostProfile"):
            found.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            check_local_path(profile["localhostProfile"], f"{path}.localhostProfile", found)
    elif profile.get("localhostProfile"):
        found.invalid(f"{path}.localhostProfile", profile["localhostProfile"],
                      "can only be set when seccomp type is Localhost")


def _check_probe(probe: Object, path: str, key: str, found: Causes) -> None:
    _check_handler(probe, path, found)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        found.not_negative(f"{path}.{field}", probe.get(field))
    if key != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
        found.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if key == "readinessProbe":
            found.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
        elif grace <= 0:
            found.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _check_handler(handler: Object, path: str, found: Causes) -> None:
    given = [key for key in _HANDLERS if handler.get(key) is not None]
    if not given:
        found.required(path, "must specify a handler type")
    for key in given[1:]:
        found.forbidden(f"{path}.{key}", "may not specify more than 1 handler type")
    for key in given[:1]:
        action, place = handler[key], f"{path}.{key}"
        if key == "exec" and not action.get("command"):
            found.required(f"{place}.command")
        if key in ("httpGet", "tcpSocket"):
            _check_port_or_name(action.get("port"), f"{place}.port", found)
        if key == "grpc" and action.get("port") not in names.PORT_RANGE:
            found.invalid(f"{place}.port", action.get("port") or 0, names.PORT_WRONG)
        if key == "httpGet":
            if not action.get("path"):
                found.required(f"{place}.path")
            found.one_of(f"{place}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))


def _check_port_or_name(port: Any, path: str, found: Causes) -> None:
    if isinstance(port, str):
        found.invalid_each(path, port, names.port_name_wrong(port))
    elif port not in names.PORT_RANGE:
        found.invalid(path, port or 0, names.PORT_WRONG)


def _check_init(container: Object, path: str, found: Causes) -> None:
    policy = container.get("restartPolicy")
    found.one_of(f"{path}.restartPolicy", policy, ("Always", "Never", "OnFailure"), is_required=False)
    if policy == "Always":
        return
    for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            found.forbidden(f"{path}.{key}", "may not be set for init containers without restartPolicy=Always")


def _check_ephemeral(container: Object, path: str, targets: set[Any], found: Causes) -> None:
    for key in _EPHEMERAL_FORBIDDEN:
        if container.get(key):
            found.forbidden(f"{path}.{key}", "cannot be set for an Ephemeral Container")
    target = container.get("targetContainerName") or ""
    if target and target not in targets:
        found.not_found(f"{path}.targetContainerName", target)

"""Defaults of a pod's spec, also inside templates.

Spec: pkg/apis/core/v1 defaults of Kubernetes 1.37. `fill_pod` is for Pods, `fill_template` for everything with a template:
      requests from limits, host ports and service links are filled only in a Pod, as upstream does it.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, fill_zero, section
from wherry.orchestration.objects.meta import Object

FILE_MODE = 0o644
TOKEN_EXPIRATION_S = 3600
GRACE_PERIOD_S = 30


def fill_pod(pod: Object) -> None:
    """A Pod: everything `fill_spec` does, and what only real pods get."""
    spec = section(pod, "spec")
    fill_spec(spec)
    fill(spec, enableServiceLinks=True)
    for container in [*each(spec, "initContainers"), *each(spec, "containers")]:
        _fill_requests(container)
        if spec.get("hostNetwork"):
            for port in each(container, "ports"):
                fill_zero(port, hostPort=port.get("containerPort"))
    fill(section(pod, "status"), phase="Pending")


def fill_template(template: Object) -> None:
    """A PodTemplateSpec."""
    fill_spec(section(template, "spec"))


def fill_spec(spec: Object) -> None:
    """A PodSpec."""
    fill(
        spec, dnsPolicy="ClusterFirst", restartPolicy="Always", securityContext={},
        terminationGracePeriodSeconds=GRACE_PERIOD_S, schedulerName="default-scheduler",
    )
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        # The old name is kept equal to the new one, as upstream's conversion does.
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in each(spec, key):
            _fill_container(container)
    for volume in each(spec, "volumes"):
        _fill_volume(volume)


def _fill_container(container: Object) -> None:
    fill(
        container, imagePullPolicy=pull_policy(str(container.get("image") or "")), resources={},
        terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
    )
    for port in each(container, "ports"):
        fill(port, protocol="TCP")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(key), dict):
            _fill_probe(container[key])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _fill_http(handler)
    for variable in each(container, "env"):
        if source := variable.get("valueFrom"):
            _fill_field_ref(source)
            if file_ref := source.get("fileKeyRef"):
                fill(file_ref, optional=False)


def pull_policy(image: str) -> str:
    """Always for `:latest` and for no tag at all, IfNotPresent for any other tag or a digest."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if digest:
        return "Always" if tag == "latest" else "IfNotPresent"
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def _fill_probe(probe: Object) -> None:
    fill_zero(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    _fill_http(probe)
    if isinstance(probe.get("grpc"), dict) and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _fill_http(handler: Object) -> None:
    if isinstance(handler.get("httpGet"), dict):
        fill(handler["httpGet"], path="/", scheme="HTTP")


def _fill_field_ref(source: Object) -> None:
    if isinstance(source.get("fieldRef"), dict):
        fill(source["fieldRef"], apiVersion="v1")


def _fill_requests(container: Object) -> None:
    resources = section(container, "resources")
    limits = resources.get("limits")
    if limits:
        requests = section(resources, "requests")
        for name, amount in limits.items():
            requests.setdefault(name, amount)


def _fill_volume(volume: Object) -> None:
    sources = {key: value for key, value in volume.items() if key != "name" and value is not None}
    if not sources:
        volume["emptyDir"] = {}
    for kind, source in sources.items():
        if isinstance(source, dict):
            fill_volume_source(kind, source)


def fill_volume_source(kind: str, source: Object) -> None:
    """One volume source by its field name; PersistentVolumes use the same."""
    match kind:
        case "secret" | "configMap":
            fill(source, defaultMode=FILE_MODE)
        case "downwardAPI":
            fill(source, defaultMode=FILE_MODE)
            for item in each(source, "items"):
                _fill_field_ref(item)
        case "projected":
            fill(source, defaultMode=FILE_MODE)
            for part in each(source, "sources"):
                _fill_projection(part)
        case "hostPath":
            if source.get("type") is None:
                source["type"] = ""
        case "iscsi":
            fill(source, iscsiInterface="default")
        case "rbd":
            fill(source, pool="rbd", user="admin", keyring="/etc/ceph/keyring")
        case "azureDisk":
            fill(source, cachingMode="ReadWrite", kind="Shared", fsType="ext4", readOnly=False)
        case "scaleIO":
            fill(source, storageMode="ThinProvisioned", fsType="xfs")
        case "image":
            fill(source, pullPolicy=pull_policy(str(source.get("reference") or "")))
        case "ephemeral":
            fill(section(section(source, "volumeClaimTemplate"), "spec"), volumeMode="Filesystem")


def _fill_projection(part: Object) -> None:
    if isinstance(part.get("serviceAccountToken"), dict):
        fill_zero(part["serviceAccountToken"], expirationSeconds=TOKEN_EXPIRATION_S)
    for item in each(part.get("downwardAPI") or {}, "items"):
        _fill_field_ref(item)


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, of a filled PodSpec.

    Not a default: admission may still change resources, so the API server asks when a pod is about to be stored.
    """
    guaranteed, any_set = True, False
    for container in [*each(spec, "initContainers"), *each(spec, "containers")]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            limit, request = limits.get(name), requests.get(name)
            any_set = any_set or not _is_zero(limit) or not _is_zero(request)
            guaranteed = guaranteed and not _is_zero(limit) and request == limit
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _is_zero(amount: object) -> bool:
    return amount in (None, "", "0", 0)

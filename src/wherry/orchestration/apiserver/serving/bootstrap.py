"""The objects every cluster starts with, written before the first request is answered.

Out:   namespaces, priority classes, the `kubernetes` Service with its endpoints, the service range, default roles,
       local APIServices. What exists is left as the user made it; roles get back what they lack (autoupdate).
Spec:  upstream controlplane/controller/{systemnamespaces,kubernetesservice,defaultservicecidr}, rbac bootstrap policy.
"""

from collections.abc import Sequence

from wherry.kit.clock import Clock, rfc3339
from wherry.orchestration.apiserver.auth import bootstrap as roles
from wherry.orchestration.apiserver.discovery.priorities import local_priority
from wherry.orchestration.apiserver.registry.served import ServedTable
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.objects.kinds import API_SERVICES, SERVICE_CIDRS
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import (
    AUTO_REGISTER_MANAGED_LABEL,
    LABEL_METADATA_NAME,
    LABEL_SERVICE_NAME,
    LABEL_SKIP_MIRROR,
)

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
SYSTEM_PRIORITIES = (
    ("system-cluster-critical", 2_000_000_000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
)
DEFAULT_CIDR = "kubernetes"


def objects(
    settings: ApiServerSettings, resources: Sequence[Resource], clock: Clock, trust: Object | None = None
) -> list[Object]:
    """Everything, in the order it is written."""
    return [
        *kept_objects(settings, clock, trust),
        *roles.objects(),
        *(_api_service(group, version, clock) for group, version in dict.fromkeys((r.group, r.version) for r in resources)),
    ]


def kept_objects(settings: ApiServerSettings, clock: Clock, trust: Object | None = None) -> list[Object]:
    """What comes back when it is deleted; roles and APIServices are looked after at the start only, as upstream.

    `trust` is the ConfigMap extension-apiserver-authentication.
    """
    return [
        *(_namespace(name) for name in SYSTEM_NAMESPACES),
        *(_priority(*row) for row in SYSTEM_PRIORITIES),
        _service(settings), _endpoints(settings), _endpoint_slice(settings), _service_cidr(settings, clock),
        *([trust] if trust else ()),
    ]


def missing_or_changed(table: ServedTable, wanted: Sequence[Object]) -> list[tuple[Object, Object | None]]:
    """(object to write, the existing one or None), for those that are not as they must be."""
    found: list[tuple[Object, Object | None]] = []
    for obj in wanted:
        served = table.by_kind(obj["apiVersion"], obj["kind"])
        assert served is not None
        cached = served.cache.items.get(served.key_of(obj))
        if cached is None:
            found.append((obj, None))
            continue
        existing = cached.obj()
        changed = _changed(existing, obj)
        if changed is not None:
            found.append((changed, existing))
    return found


def _changed(existing: Object, wanted: Object) -> Object | None:
    if wanted["apiVersion"].startswith("rbac."):
        return roles.reconciled(existing, wanted)
    if wanted["kind"] == "ConfigMap":
        data = {**(existing.get("data") or {}), **wanted["data"]}
        return None if data == existing.get("data") else existing | {"data": data}
    place = wanted["kind"], wanted["metadata"]["name"], wanted["metadata"].get("namespace")
    if place == ("Endpoints", "kubernetes", "default") and existing.get("subsets") != wanted["subsets"]:
        return existing | {"subsets": wanted["subsets"]}
    if place == ("EndpointSlice", "kubernetes", "default") and (
            existing.get("endpoints") != wanted["endpoints"] or existing.get("ports") != wanted["ports"]):
        return existing | {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
    return None


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {LABEL_METADATA_NAME: name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    }


def _priority(name: str, value: int, description: str) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name, "generation": 1},
        "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
    }


def _labels(**more: str) -> Object:
    return {"component": "apiserver", "provider": "kubernetes"} | more


def _service(settings: ApiServerSettings) -> Object:
    address = str(settings.kubernetes_service_ip)
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": _labels()},
        "spec": {
            "clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": settings.advertise_port}],
        },
        "status": {"loadBalancer": {}},
    }


def _endpoints(settings: ApiServerSettings) -> Object:
    return {
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
                     "labels": {LABEL_SKIP_MIRROR: "true"}},
        "subsets": [{
            "addresses": [{"ip": str(settings.advertise_address)}],
            "ports": [{"name": "https", "port": settings.advertise_port, "protocol": "TCP"}],
        }],
    }


def _endpoint_slice(settings: ApiServerSettings) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "generation": 1,
                     "labels": {LABEL_SERVICE_NAME: "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(settings.advertise_address)], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": settings.advertise_port, "protocol": "TCP"}],
    }


def _service_cidr(settings: ApiServerSettings, clock: Clock) -> Object:
    condition = {"type": "Ready", "status": "True", "reason": "", "lastTransitionTime": rfc3339(clock.now()),
                 "message": "Kubernetes Service CIDR is ready"}
    return {
        "apiVersion": SERVICE_CIDRS.api_version, "kind": "ServiceCIDR", "metadata": {"name": DEFAULT_CIDR},
        "spec": {"cidrs": [str(settings.service_cidr)]}, "status": {"conditions": [condition]},
    }


def _api_service(group: str, version: str, clock: Clock) -> Object:
    name = f"{version}.{group}" if group else f"{version}."
    condition = {"type": "Available", "status": "True", "reason": "Local", "lastTransitionTime": rfc3339(clock.now()),
                 "message": "Local APIServices are always available"}
    of_group, of_version = local_priority(group, version)
    spec: Object = {"groupPriorityMinimum": of_group, "version": version, "versionPriority": of_version}
    if group:
        spec["group"] = group
    return {
        "apiVersion": API_SERVICES.api_version, "kind": API_SERVICES.kind,
        "metadata": {"name": name, "labels": {AUTO_REGISTER_MANAGED_LABEL: "onstart"}},
        "spec": spec, "status": {"conditions": [condition]},
    }

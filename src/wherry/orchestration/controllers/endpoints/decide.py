"""The Endpoints object a Service should have: pure.

Spec:  Kubernetes pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints RepackSubsets.
"""

from collections.abc import Iterable
from typing import Any

from wherry.orchestration.controllers.backends import selection as read
from wherry.orchestration.controllers.backends.ports import endpoint_ports
from wherry.orchestration.controllers.backends.slices import ports_key
from wherry.orchestration.controllers.backends.triggers import LAST_CHANGE
from wherry.orchestration.controllers.endpoint_slice.decide import address_of, families_of, is_headless
from wherry.orchestration.objects.kinds import ENDPOINTS
from wherry.orchestration.objects.meta import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.well_known import IS_HEADLESS_SERVICE

CAPACITY = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"


def subsets_of(service: Object, pods: Iterable[Object]) -> tuple[list[Object], bool]:
    """(subsets in a fixed order, whether addresses were left out because there are more than `CAPACITY`)."""
    spec = service.get("spec") or {}
    publishes_all = bool(spec.get("publishNotReadyAddresses"))
    family = families_of(service)[0]
    groups: dict[bytes, tuple[list[Object], list[Object], list[Object]]] = {}
    for pod in sorted(pods, key=lambda pod: (namespace_of(pod), name_of(pod))):
        address = address_of(pod, family) if read.is_endpoint(pod, with_terminating=publishes_all) else ""
        if not address:
            continue
        ports = endpoint_ports(pod, service)
        if not ports and spec.get("ports"):
            continue
        _, ready, not_ready = groups.setdefault(ports_key(ports), (ports, [], []))
        (ready if publishes_all or read.is_ready(pod) else not_ready).append(_address(pod, service, address))
    return _within_capacity([_subset(*groups[key]) for key in sorted(groups)])


def _address(pod: Object, service: Object, address: str) -> Object:
    spec = pod.get("spec") or {}
    found: dict[str, Any] = {
        "ip": address,
        "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
    }
    if spec.get("nodeName"):
        found["nodeName"] = spec["nodeName"]
    if spec.get("hostname") and spec.get("subdomain") == name_of(service):
        found["hostname"] = spec["hostname"]
    return found


def _subset(ports: list[Object], ready: list[Object], not_ready: list[Object]) -> Object:
    # This API leaves an empty name out; EndpointSlices have it.
    plain = [{name: value for name, value in port.items() if value != ""} for port in ports]
    rows = {"addresses": _sorted(ready), "notReadyAddresses": _sorted(not_ready), "ports": plain}
    return {name: value for name, value in rows.items() if value}


def _sorted(addresses: list[Object]) -> list[Object]:
    return sorted(addresses, key=lambda a: (a["ip"], a["targetRef"]["uid"]))


def _within_capacity(subsets: list[Object]) -> tuple[list[Object], bool]:
    """At most `CAPACITY` addresses, ready ones first."""
    total = sum(len(s.get("addresses") or ()) + len(s.get("notReadyAddresses") or ()) for s in subsets)
    if total <= CAPACITY:
        return subsets, False
    left = CAPACITY
    for field in ("addresses", "notReadyAddresses"):
        for subset in subsets:
            subset[field] = (subset.get(field) or [])[:left]
            left -= len(subset[field])
    kept = [{name: value for name, value in subset.items() if value} for subset in subsets]
    return [s for s in kept if s.get("addresses") or s.get("notReadyAddresses")], True


def decide(service: Object, pods: Iterable[Object], old: Object | None, trigger: str) -> Object | None:
    """The Endpoints to write, or None when `old` says it all. With a resourceVersion it is an update."""
    subsets, is_cut = subsets_of(service, pods)
    labels = {**labels_of(service), MANAGED_BY: MANAGER}
    labels.pop(IS_HEADLESS_SERVICE, None)
    if is_headless(service):
        labels[IS_HEADLESS_SERVICE] = ""
    annotations = {name: value for name, value in annotations_of(old or {}).items() if name not in (OVER_CAPACITY, LAST_CHANGE)}
    if is_cut:
        annotations[OVER_CAPACITY] = "truncated"
    is_same = old is not None and (old.get("subsets") or []) == subsets and labels_of(old) == labels
    if is_same and {name: value for name, value in annotations_of(old or {}).items() if name != LAST_CHANGE} == annotations:
        return None
    if trigger:
        annotations[LAST_CHANGE] = trigger
    metadata = {**old["metadata"]} if old is not None else {"name": name_of(service), "namespace": namespace_of(service)}
    metadata |= {"labels": labels, "annotations": annotations}
    return {"apiVersion": ENDPOINTS.api_version, "kind": ENDPOINTS.kind, "metadata": metadata, "subsets": subsets}

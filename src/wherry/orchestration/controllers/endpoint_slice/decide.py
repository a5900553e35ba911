"""The EndpointSlices a Service should have: pure.

In:    a Service, the pods it selects, the slices it has, the zones of nodes.
Out:   a `SlicePlan` per address family.
Spec:  Kubernetes staging/src/k8s.io/endpointslice (utils.go, reconciler.go); KEP-2433 and KEP-4444 (hints).
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from wherry.orchestration.controllers.backends import selection as read
from wherry.orchestration.controllers.backends.ports import endpoint_ports
from wherry.orchestration.controllers.backends.slices import MANAGED_BY, SlicePlan, Template, Wanted, plan
from wherry.orchestration.objects.kinds import SERVICES
from wherry.orchestration.objects.meta import (
    Object,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from wherry.orchestration.objects.well_known import IS_HEADLESS_SERVICE, LABEL_SERVICE_NAME

MANAGER = "endpointslice-controller.k8s.io"
SAME_ZONE = ("PreferClose", "PreferSameZone")
SAME_NODE = "PreferSameNode"
OUR_LABELS = (LABEL_SERVICE_NAME, MANAGED_BY, IS_HEADLESS_SERVICE)

ZoneOf = Callable[[str], str]


def families_of(service: Object) -> tuple[str, ...]:
    """`IPv4`, `IPv6`: those the Service has."""
    return tuple((service.get("spec") or {}).get("ipFamilies") or ("IPv4",))


def decide(
    service: Object, pods: Iterable[Object], slices: Sequence[Object], zone_of: ZoneOf, trigger: str
) -> list[SlicePlan]:
    """Plans for each family of the Service, and one that removes the slices of families it has no longer."""
    pods = sorted((p for p in pods if read.is_endpoint(p, with_terminating=True)), key=lambda p: (namespace_of(p), name_of(p)))
    families = families_of(service)
    plans = [
        plan(
            [s for s in slices if s.get("addressType") == family and not is_deleting(s)],
            _wanted(service, pods, family, zone_of), template_of(service, family, trigger), keep_one=True,
        )
        for family in families
    ]  # fmt: skip
    return [*plans, SlicePlan(delete=[s for s in slices if s.get("addressType") not in families])]


def _wanted(service: Object, pods: Iterable[Object], family: str, zone_of: ZoneOf) -> Wanted:
    wanted = Wanted()
    for pod in pods:
        address = address_of(pod, family)
        if address:
            wanted.add(endpoint_ports(pod, service), endpoint_of(pod, service, address, zone_of))
    return wanted


def address_of(pod: Object, family: str) -> str:
    """The pod's address of that family, "" for none."""
    status = pod.get("status") or {}
    version = 6 if family == "IPv6" else 4
    given = [entry.get("ip", "") for entry in status.get("podIPs") or ()] or [status.get("podIP", "")]
    return next((ip for ip in given if ip and ip_address(ip).version == version), "")


def endpoint_of(pod: Object, service: Object, address: str, zone_of: ZoneOf) -> Object:
    """The endpoint of a pod."""
    spec = pod.get("spec") or {}
    serving, terminating = read.is_ready(pod), is_deleting(pod)
    publishes_all = bool((service.get("spec") or {}).get("publishNotReadyAddresses"))
    ready = publishes_all or (serving and not terminating)
    node = spec.get("nodeName") or ""
    zone = zone_of(node) if node else ""
    endpoint: dict[str, Any] = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
    }
    if node:
        endpoint["nodeName"] = node
    if zone:
        endpoint["zone"] = zone
    hostname = spec.get("hostname")
    if hostname and spec.get("subdomain") == name_of(service) and namespace_of(service) == namespace_of(pod):
        endpoint["hostname"] = hostname
    hints = _hints(service, zone, node) if ready else None
    if hints:
        endpoint["hints"] = hints
    return endpoint


def _hints(service: Object, zone: str, node: str) -> Object:
    distribution = (service.get("spec") or {}).get("trafficDistribution")
    hints: Object = {}
    if distribution in (*SAME_ZONE, SAME_NODE) and zone:
        hints["forZones"] = [{"name": zone}]
    if distribution == SAME_NODE and node:
        hints["forNodes"] = [{"name": node}]
    return hints


def template_of(service: Object, family: str, trigger: str) -> Template:
    """Labels are the Service's, but the ones that are ours; no annotation is copied."""
    labels = {name: value for name, value in labels_of(service).items() if name not in OUR_LABELS}
    if is_headless(service):
        labels[IS_HEADLESS_SERVICE] = ""
    return Template(
        namespace_of(service), prefix_of(name_of(service)), family,
        {**labels, LABEL_SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER}, {},
        owner_reference(service, api_version=SERVICES.api_version, kind=SERVICES.kind), trigger,
    )  # fmt: skip


def is_headless(service: Object) -> bool:
    """spec.clusterIP is None."""
    return bool((service.get("spec") or {}).get("clusterIP") in ("None", "", None))


def prefix_of(name: str) -> str:
    """A generateName."""
    return f"{name}-"

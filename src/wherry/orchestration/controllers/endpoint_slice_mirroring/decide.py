"""The EndpointSlices that say what hand-made Endpoints say: pure.

In:    Endpoints of a Service without selector, the slices made from them.
Out:   a `SlicePlan` per address family.
Spec:  Kubernetes pkg/controller/endpointslicemirroring (reconciler.go, utils.go).
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from wherry.orchestration.controllers.backends.selection import has_pods
from wherry.orchestration.controllers.backends.slices import MANAGED_BY, SlicePlan, Template, Wanted, plan
from wherry.orchestration.controllers.backends.triggers import LAST_CHANGE
from wherry.orchestration.objects.kinds import ENDPOINTS
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)
from wherry.orchestration.objects.well_known import (
    LABEL_SERVICE_NAME,
    LABEL_SKIP_MIRROR,
    LAST_APPLIED_CONFIG_ANNOTATION,
    LEADER_ELECTION_RECORD_ANNOTATION_KEY,
)

MANAGER = "endpointslicemirroring-controller.k8s.io"
NOT_MIRRORED_LABELS = (LABEL_SERVICE_NAME, MANAGED_BY, LABEL_SKIP_MIRROR)
NOT_MIRRORED_ANNOTATIONS = (LAST_CHANGE, LAST_APPLIED_CONFIG_ANNOTATION)
ADDRESSES_MAX = 1000  # per subset
FAMILIES = {4: "IPv4", 6: "IPv6"}


def is_mirrored(endpoints: Object, service: Object | None) -> bool:
    """True when slices must follow these Endpoints."""
    if service is None or has_pods(service) or (service.get("spec") or {}).get("selector"):
        return False
    is_record = LEADER_ELECTION_RECORD_ANNOTATION_KEY in annotations_of(endpoints)
    return labels_of(endpoints).get(LABEL_SKIP_MIRROR) != "true" and not is_record


def decide(endpoints: Object, slices: Sequence[Object]) -> list[SlicePlan]:
    """Plans for both families; a family without addresses keeps no slice."""
    trigger = annotations_of(endpoints).get(LAST_CHANGE, "")
    return [
        plan(
            [s for s in slices if s.get("addressType") == family and not is_deleting(s)],
            _wanted(endpoints, version), _template(endpoints, family, trigger), keep_one=False,
        )
        for version, family in FAMILIES.items()
    ]  # fmt: skip


def _wanted(endpoints: Object, version: int) -> Wanted:
    wanted = Wanted()
    for subset in endpoints.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        rows = [(a, True) for a in subset.get("addresses") or ()] + [(a, False) for a in subset.get("notReadyAddresses") or ()]
        for address, ready in rows[:ADDRESSES_MAX]:
            if ip_address(address["ip"]).version == version:
                wanted.add(ports, _endpoint(address, ready))
    return wanted


def _port(port: Object) -> Object:
    return {"name": "", "protocol": "TCP", **port}


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _template(endpoints: Object, family: str, trigger: str) -> Template:
    labels = {name: value for name, value in labels_of(endpoints).items() if name not in NOT_MIRRORED_LABELS}
    annotations = {name: value for name, value in annotations_of(endpoints).items() if name not in NOT_MIRRORED_ANNOTATIONS}
    return Template(
        namespace_of(endpoints), f"{name_of(endpoints)}-", family,
        {**labels, LABEL_SERVICE_NAME: name_of(endpoints), MANAGED_BY: MANAGER}, annotations,
        owner_reference(endpoints, api_version=ENDPOINTS.api_version, kind=ENDPOINTS.kind), trigger,
    )  # fmt: skip

"""What an APIService means: who serves a group-version, in which order, and what is said of it. Pure.

In:    APIServices, the Service one of them names, that Service's EndpointSlices.
Out:   `Backend`, the condition Available, the APIServices that custom resources get by themselves.
Spec:  https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/ ; kube-aggregator's
       status controllers (reasons and messages) and autoregistration.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.kit.clock import rfc3339
from wherry.orchestration.apiserver.discovery.priorities import CUSTOM_GROUP, CUSTOM_VERSION
from wherry.orchestration.apiserver.registry.endpoints import port_of
from wherry.orchestration.objects.kinds import API_SERVICES
from wherry.orchestration.objects.meta import Object, condition_of, labels_of, name_of
from wherry.orchestration.objects.well_known import AUTO_REGISTER_MANAGED_LABEL

AVAILABLE = "Available"
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the requests of one group-version go. `ca_bundle` is PEM in base64, "" for the machine's roots."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    ca_bundle: str
    skips_verification: bool

    @property
    def path(self) -> str:
        """The path of its discovery document."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def service_key(self) -> str:
        """`namespace/name` of its Service."""
        return f"{self.namespace}/{self.service}"

    @property
    def server_name(self) -> str:
        """The name its certificate must have."""
        return f"{self.service}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a backend is not available, as the condition says it."""

    reason: str
    message: str
    status: str = "False"


def backend_of(api_service: Object) -> Backend | None:
    """None for a local one."""
    spec = api_service["spec"]
    target = spec.get("service")
    if not target:
        return None
    return Backend(
        name_of(api_service), spec.get("group") or "", spec["version"], target.get("namespace") or "", target.get("name") or "",
        target.get("port") or HTTPS_PORT, spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify")))


def is_available(api_service: Object) -> bool:
    """What the condition says."""
    found = condition_of((api_service.get("status") or {}).get("conditions"), AVAILABLE)
    return found is not None and found.get("status") == "True"


def problem_of(backend: Backend, service: Object | None, slices: Sequence[Object]) -> Problem | None:
    """What the cluster's own objects tell before anybody is asked. `slices` are those of the Service."""
    place = f'service/{backend.service} in "{backend.namespace}"'
    if service is None:
        return Problem("ServiceNotFound", f"{place} is not present")
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        return None
    port = port_of(service, backend.port)
    if port is None:
        return Problem("ServicePortError", f"{place} is not listening on port {backend.port}")
    if not slices:
        return Problem("EndpointsNotFound", f"cannot find endpointslices for {place}")
    name = port.get("name") or ""
    if not any(_serves(slice_, name) for slice_ in slices):
        return Problem("MissingEndpoints", f'endpointslices for {place} have no addresses with port name "{name}"')
    return None


def _serves(slice_: Object, port_name: str) -> bool:
    is_ready = any((e.get("conditions") or {}).get("ready") is not False for e in slice_.get("endpoints") or ())
    return is_ready and any((p.get("name") or "") == port_name and p.get("port") for p in slice_.get("ports") or ())


def with_available(api_service: Object, problem: Problem | None, now: datetime) -> Object:
    """The APIService with its condition; the same object where nothing changes. A local one is always available."""
    if not (api_service["spec"].get("service")):
        wanted = ("True", "Local", "Local APIServices are always available")
    elif problem is None:
        wanted = ("True", "Passed", "all checks passed")
    else:
        wanted = (problem.status, problem.reason, problem.message)
    status = api_service.get("status") or {}
    conditions = list(status.get("conditions") or ())
    before = condition_of(conditions, AVAILABLE)
    if before is not None and (before.get("status"), before.get("reason"), before.get("message")) == wanted:
        return api_service
    since = rfc3339(now)
    if before is not None and before.get("status") == wanted[0]:
        since = before.get("lastTransitionTime") or since
    condition = {"type": AVAILABLE, "status": wanted[0], "reason": wanted[1], "message": wanted[2], "lastTransitionTime": since}
    others = [c for c in conditions if c.get("type") != AVAILABLE]
    return {**api_service, "status": {**status, "conditions": [*others, condition]}}


def of_custom(group: str, version: str, now: datetime) -> Object:
    """The APIService that a custom group-version gets, and loses with its last definition."""
    spec = {"group": group, "version": version, "groupPriorityMinimum": CUSTOM_GROUP, "versionPriority": CUSTOM_VERSION}
    made: Object = {"apiVersion": API_SERVICES.api_version, "kind": API_SERVICES.kind,
                    "metadata": {"name": f"{version}.{group}", "labels": {AUTO_REGISTER_MANAGED_LABEL: "true"}}, "spec": spec}
    return with_available(made, None, now)


def is_orphan(api_service: Object, served: Iterable[tuple[str, str]]) -> bool:
    """Made for a custom group-version that is gone."""
    spec = api_service["spec"]
    is_ours = labels_of(api_service).get(AUTO_REGISTER_MANAGED_LABEL) == "true" and not spec.get("service")
    return is_ours and (spec.get("group") or "", spec["version"]) not in set(served)

"""Defaults of RBAC, scheduling, policy, flow control, tokens and device requests.

Spec: the v1 defaults of those groups, Kubernetes 1.37.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, fill_zero, section
from wherry.orchestration.objects.meta import Object

RBAC = "rbac.authorization.k8s.io"
TOKEN_EXPIRATION_S = 3600


def _binding(obj: Object) -> None:
    fill(section(obj, "roleRef"), apiGroup=RBAC)
    for subject in each(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            fill(subject, apiGroup=RBAC)


def _priority_class(obj: Object) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


def _disruption_budget(obj: Object) -> None:
    section(obj, "spec")
    fill(section(obj, "status"), currentHealthy=0, desiredHealthy=0, disruptionsAllowed=0, expectedPods=0)


def _flow_schema(obj: Object) -> None:
    fill_zero(section(obj, "spec"), matchingPrecedence=1000)
    section(obj, "status")


def _priority_level(obj: Object) -> None:
    spec = section(obj, "spec")
    if isinstance(exempt := spec.get("exempt"), dict):
        fill(exempt, nominalConcurrencyShares=0, lendablePercent=0)
    if isinstance(limited := spec.get("limited"), dict):
        fill(limited, nominalConcurrencyShares=30, lendablePercent=0)
        if isinstance(queuing := section(limited, "limitResponse").get("queuing"), dict):
            fill_zero(queuing, handSize=8, queues=64, queueLengthLimit=50)
    section(obj, "status")


def _token_request(obj: Object) -> None:
    fill(section(obj, "spec"), expirationSeconds=TOKEN_EXPIRATION_S)


def _claim(obj: Object) -> None:
    _fill_devices(section(obj, "spec"))


def _claim_template(obj: Object) -> None:
    _fill_devices(section(section(obj, "spec"), "spec"))


def _fill_devices(spec: Object) -> None:
    for request in each(spec.get("devices") or {}, "requests"):
        for exact in [request.get("exactly"), *each(request, "firstAvailable")]:
            if isinstance(exact, dict):
                _fill_device_request(exact)


def _fill_device_request(request: Object) -> None:
    fill(request, allocationMode="ExactCount")
    if request["allocationMode"] == "ExactCount":
        fill_zero(request, count=1)
    for toleration in each(request, "tolerations"):
        fill(toleration, operator="Equal")


DEFAULTERS = {
    (RBAC, "RoleBinding"): _binding,
    (RBAC, "ClusterRoleBinding"): _binding,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): _flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): _priority_level,
    ("authentication.k8s.io", "TokenRequest"): _token_request,
    ("resource.k8s.io", "ResourceClaim"): _claim,
    ("resource.k8s.io", "ResourceClaimTemplate"): _claim_template,
}

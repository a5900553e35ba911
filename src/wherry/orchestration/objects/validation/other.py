"""Checks of RBAC, policy, scheduling, leases, runtime classes, certificates and flow control.

Spec: the validation packages of those groups, Kubernetes 1.37.
"""

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.metadata import check_labels, check_selector
from wherry.orchestration.objects.validation.pods import check_tolerations
from wherry.orchestration.objects.validation.resources import check_amount
from wherry.orchestration.objects.validation.workloads import check_int_or_percent

RBAC = "rbac.authorization.k8s.io"
USER_PRIORITY_MAX = 1_000_000_000
SYSTEM_PREFIX = "system-"
CERTIFICATE_SECONDS_MIN = 600
KEY_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)


def _check_rules(obj: Object, is_namespaced: bool, found: Causes) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            found.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if is_namespaced:
                text = "namespaced rules cannot apply to non-resource URLs"
                found.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text)
            if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text)
            continue
        if not rule.get("apiGroups"):
            found.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            found.required(f"{path}.resources", "resource rules must supply at least one resource")


def role(obj: Object, old: Object | None, found: Causes) -> None:
    _check_rules(obj, True, found)


def cluster_role(obj: Object, old: Object | None, found: Causes) -> None:
    _check_rules(obj, False, found)
    for index, selector in enumerate((obj.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()):
        check_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]", found)


def role_binding(obj: Object, old: Object | None, found: Causes) -> None:
    _check_binding(obj, old, ("ClusterRole", "Role"), found)


def cluster_role_binding(obj: Object, old: Object | None, found: Causes) -> None:
    _check_binding(obj, old, ("ClusterRole",), found)
    for index, subject in enumerate(obj.get("subjects") or ()):
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            found.required(f"subjects[{index}].namespace")


def _check_binding(obj: Object, old: Object | None, kinds: tuple[str, ...], found: Causes) -> None:
    ref = obj.get("roleRef") or {}
    if ref.get("apiGroup") != RBAC:
        found.not_supported("roleRef.apiGroup", ref.get("apiGroup") or "", (RBAC,))
    if ref.get("kind") not in kinds:
        found.not_supported("roleRef.kind", ref.get("kind") or "", kinds)
    if not ref.get("name"):
        found.required("roleRef.name")
    else:
        found.invalid_each("roleRef.name", ref["name"], names.path_segment_wrong(ref["name"]))
    for index, subject in enumerate(obj.get("subjects") or ()):
        _check_subject(subject, f"subjects[{index}]", found)
    if old is not None and ref != (old.get("roleRef") or {}):
        found.invalid("roleRef", ref, "cannot change roleRef")


def _check_subject(subject: Object, path: str, found: Causes) -> None:
    kind, name, group = subject.get("kind") or "", subject.get("name") or "", subject.get("apiGroup") or ""
    if not name:
        found.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            found.invalid_each(f"{path}.name", name, names.subdomain_wrong(name))
        if group:
            found.not_supported(f"{path}.apiGroup", group, ("",))
    elif kind in ("User", "Group"):
        if group != RBAC:
            found.not_supported(f"{path}.apiGroup", group, (RBAC,))
    else:
        found.not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def disruption_budget(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    if low is not None and high is not None:
        found.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for key, value in (("minAvailable", low), ("maxUnavailable", high)):
        if value is not None:
            check_int_or_percent(value, f"spec.{key}", found)
    check_selector(spec.get("selector"), "spec.selector", found)
    found.one_of("spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"),
                 ("AlwaysAllow", "IfHealthyBudget"), is_required=False)


def priority_class(obj: Object, old: Object | None, found: Causes) -> None:
    name, value = (obj.get("metadata") or {}).get("name") or "", obj.get("value") or 0
    is_system = name in ("system-node-critical", "system-cluster-critical")
    if name.startswith(SYSTEM_PREFIX) and not is_system:
        text = "priority class names with 'system-' prefix are reserved for system use only. error: "
        found.forbidden("metadata.name", f"{text}name {name} is not a known system priority class")
    elif not is_system and value > USER_PRIORITY_MAX:
        text = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        found.forbidden("value", text)
    found.one_of("preemptionPolicy", obj.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"), is_required=False)
    if old is not None:
        if value != (old.get("value") or 0):
            found.forbidden("value", "may not be changed in an update.")
        found.unchanged("preemptionPolicy", obj.get("preemptionPolicy"), old.get("preemptionPolicy"))


def runtime_class(obj: Object, old: Object | None, found: Causes) -> None:
    handler = obj.get("handler") or ""
    found.invalid_each("handler", handler, names.label_wrong(handler))
    for name, amount in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
        check_amount(name, amount, f"overhead.podFixed[{name}]", found)
    scheduling = obj.get("scheduling") or {}
    check_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector", found)
    check_tolerations(scheduling.get("tolerations") or (), "scheduling.tolerations", found)
    if old is not None:
        found.unchanged("handler", handler, old.get("handler"))


def lease(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        found.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    found.not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def controller_revision(obj: Object, old: Object | None, found: Causes) -> None:
    if obj.get("data") is None:
        found.required("data", "data is mandatory")
    found.not_negative("revision", obj.get("revision"))
    if old is not None:
        found.unchanged("data", obj.get("data"), old.get("data"))


def signing_request(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("request"):
        found.invalid("spec.request", "", "PEM block type must be CERTIFICATE REQUEST")
    signer = spec.get("signerName") or ""
    if not signer:
        found.required("spec.signerName")
    elif "/" not in signer:
        found.invalid("spec.signerName", signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
    if not spec.get("usages"):
        found.required("spec.usages")
    for index, usage in enumerate(spec.get("usages") or ()):
        if usage not in KEY_USAGES:
            found.not_supported(f"spec.usages[{index}]", usage, KEY_USAGES)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < CERTIFICATE_SECONDS_MIN:
        text = "may not specify a duration less than 600 seconds (10 minutes)"
        found.invalid("spec.expirationSeconds", seconds, text)


def priority_level(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    found.one_of("spec.type", kind, ("Exempt", "Limited"))
    if kind == "Limited" and spec.get("limited") is None:
        found.required("spec.limited", "must not be empty when type is Limited")
    if kind == "Exempt" and spec.get("limited") is not None:
        found.forbidden("spec.limited", "must be nil if the type is not Limited")


def flow_schema(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    if not (spec.get("priorityLevelConfiguration") or {}).get("name"):
        found.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    precedence = spec.get("matchingPrecedence") or 0
    if not 1 <= precedence <= 10000:
        found.invalid("spec.matchingPrecedence", precedence, "must be between 1 and 10000")


VALIDATORS = {
    (RBAC, "Role"): role,
    (RBAC, "ClusterRole"): cluster_role,
    (RBAC, "RoleBinding"): role_binding,
    (RBAC, "ClusterRoleBinding"): cluster_role_binding,
    ("policy", "PodDisruptionBudget"): disruption_budget,
    ("scheduling.k8s.io", "PriorityClass"): priority_class,
    ("node.k8s.io", "RuntimeClass"): runtime_class,
    ("coordination.k8s.io", "Lease"): lease,
    ("apps", "ControllerRevision"): controller_revision,
    ("certificates.k8s.io", "CertificateSigningRequest"): signing_request,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): priority_level,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): flow_schema,
}

"""Checks of a PodSpec, in pods and in templates.

Spec: pkg/apis/core/validation, "ValidatePodSpec".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.containers import check_containers, check_seccomp
from wherry.orchestration.objects.validation.metadata import check_annotations, check_labels, check_selector
from wherry.orchestration.objects.validation.resources import check_requirements
from wherry.orchestration.objects.validation.volumes import check_volumes

DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
DNS_SERVERS_MAX = 3


def check_pod_spec(spec: Object, path: str, found: Causes) -> None:
    """A decoded and defaulted PodSpec."""
    volumes = check_volumes(spec.get("volumes"), f"{path}.volumes", found)
    check_containers(spec, volumes, path, found)
    found.one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    found.one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector", found)
    check_requirements(spec.get("resources"), f"{path}.resources", found)
    for key, check in (
        ("serviceAccountName", names.subdomain_wrong), ("nodeName", names.subdomain_wrong),
        ("hostname", names.label_wrong), ("subdomain", names.label_wrong), ("priorityClassName", names.subdomain_wrong),
        ("runtimeClassName", names.subdomain_wrong),
    ):
        if spec.get(key):
            found.invalid_each(f"{path}.{key}", spec[key], check(spec[key]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        found.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    found.not_negative(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"))
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            found.required(f"{path}.imagePullSecrets[{index}].name")
    check_tolerations(spec.get("tolerations") or (), f"{path}.tolerations", found)
    _check_security(spec, path, found)
    _check_dns(spec, path, found)
    _check_aliases(spec.get("hostAliases") or (), f"{path}.hostAliases", found)
    _check_spread(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints", found)
    check_affinity(spec.get("affinity") or {}, f"{path}.affinity", found)
    _check_gates(spec, path, found)


def check_template(template: Object, path: str, found: Causes) -> None:
    """A PodTemplateSpec."""
    meta = template.get("metadata") or {}
    check_labels(meta.get("labels"), f"{path}.metadata.labels", found)
    check_annotations(meta.get("annotations"), f"{path}.metadata.annotations", found)
    check_pod_spec(template.get("spec") or {}, f"{path}.spec", found)
    if (template.get("spec") or {}).get("ephemeralContainers"):
        found.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def check_tolerations(tolerations: Iterable[Object], path: str, found: Causes) -> None:
    """Tolerations, of pods and runtime classes."""
    for index, toleration in enumerate(tolerations):
        place, key = f"{path}[{index}]", toleration.get("key") or ""
        operator, effect = toleration.get("operator") or "Equal", toleration.get("effect") or ""
        if key:
            found.invalid_each(f"{place}.key", key, names.qualified_wrong(key))
        elif operator != "Exists":
            text = "operator must be Exists when `key` is empty, which means \"match all values and all keys\""
            found.invalid(f"{place}.operator", operator, text)
        if operator == "Equal":
            found.invalid_each(f"{place}.operator", toleration.get("value") or "",
                               names.label_value_wrong(toleration.get("value") or ""))
        elif operator == "Exists":
            if toleration.get("value"):
                found.invalid(f"{place}.operator", toleration.get("value"),
                              "value must be empty when `operator` is 'Exists'")
        else:
            found.not_supported(f"{place}.operator", operator, ("Equal", "Exists"))
        if effect and effect not in TAINT_EFFECTS:
            found.not_supported(f"{place}.effect", effect, TAINT_EFFECTS)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            found.invalid(f"{place}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")


def _check_security(spec: Object, path: str, found: Causes) -> None:
    context, place = spec.get("securityContext") or {}, f"{path}.securityContext"
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value < 2**31:
            found.invalid(f"{place}.{key}", value, "must be between 0 and 2147483647, inclusive")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group < 2**31:
            found.invalid(f"{place}.supplementalGroups[{index}]", group, "must be between 0 and 2147483647, inclusive")
    found.one_of(f"{place}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"),
                 is_required=False)
    check_seccomp(context.get("seccompProfile"), f"{place}.seccompProfile", found)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        found.invalid(f"{path}.shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled")


def _check_dns(spec: Object, path: str, found: Causes) -> None:
    config, place = spec.get("dnsConfig") or {}, f"{path}.dnsConfig"
    servers = config.get("nameservers") or ()
    if spec.get("dnsPolicy") == "None":
        if not config:
            found.required(place, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not servers:
            found.required(f"{place}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    if len(servers) > DNS_SERVERS_MAX:
        found.invalid(f"{place}.nameservers", list(servers), f"must not have more than {DNS_SERVERS_MAX} nameservers")
    for index, server in enumerate(servers):
        if names.address_of(server) is None:
            found.invalid(f"{place}.nameservers[{index}]", server, IP_WRONG)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.required(f"{place}.options[{index}]", "must not be empty")


IP_WRONG = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def _check_aliases(aliases: Iterable[Object], path: str, found: Causes) -> None:
    for index, alias in enumerate(aliases):
        if names.address_of(alias.get("ip") or "") is None:
            found.invalid(f"{path}[{index}].ip", alias.get("ip") or "", IP_WRONG)
        for place, name in enumerate(alias.get("hostnames") or ()):
            found.invalid_each(f"{path}[{index}].hostnames[{place}]", name, names.subdomain_wrong(name))


def _check_spread(constraints: Iterable[Object], path: str, found: Causes) -> None:
    for index, constraint in enumerate(constraints):
        place = f"{path}[{index}]"
        if (constraint.get("maxSkew") or 0) <= 0:
            found.invalid(f"{place}.maxSkew", constraint.get("maxSkew") or 0, "must be greater than zero")
        if not constraint.get("topologyKey"):
            found.required(f"{place}.topologyKey", "can not be empty")
        unsatisfiable = constraint.get("whenUnsatisfiable")
        found.one_of(f"{place}.whenUnsatisfiable", unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        domains = constraint.get("minDomains")
        if domains is not None and domains <= 0:
            found.invalid(f"{place}.minDomains", domains, "must be greater than zero")
        if domains is not None and unsatisfiable != "DoNotSchedule":
            found.invalid(f"{place}.minDomains", domains,
                          "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway")
        check_selector(constraint.get("labelSelector"), f"{place}.labelSelector", found)


def check_affinity(affinity: Object, path: str, found: Causes) -> None:
    """Node, pod and pod anti-affinity."""
    node = affinity.get("nodeAffinity") or {}
    if required := node.get("requiredDuringSchedulingIgnoredDuringExecution"):
        check_node_selector(required, f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", found)
    for index, term in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        place = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        _check_weight(term, place, found)
        _check_node_term(term.get("preference") or {}, f"{place}.preference", found)
    for key in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(key) or {}
        for index, term in enumerate(terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            _check_pod_term(term, f"{path}.{key}.requiredDuringSchedulingIgnoredDuringExecution[{index}]", found)
        for index, weighted in enumerate(terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            place = f"{path}.{key}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            _check_weight(weighted, place, found)
            _check_pod_term(weighted.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm", found)


def _check_weight(term: Object, path: str, found: Causes) -> None:
    if not 1 <= (term.get("weight") or 0) <= 100:
        found.invalid(f"{path}.weight", term.get("weight") or 0, "must be in the range 1-100")


def check_node_selector(selector: Object, path: str, found: Causes) -> None:
    """A NodeSelector: at least one term."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        found.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        _check_node_term(term, f"{path}.nodeSelectorTerms[{index}]", found)


def _check_node_term(term: Object, path: str, found: Causes) -> None:
    for index, need in enumerate(term.get("matchExpressions") or ()):
        place, operator, values = f"{path}.matchExpressions[{index}]", need.get("operator"), need.get("values") or ()
        if operator in ("In", "NotIn") and not values:
            found.required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            found.forbidden(f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator in ("Gt", "Lt") and len(values) != 1:
            found.required(f"{place}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        elif operator not in NODE_OPERATORS:
            found.invalid(f"{place}.operator", operator or "", "not a valid selector operator")
        found.invalid_each(f"{place}.key", need.get("key") or "", names.qualified_wrong(need.get("key") or ""))


def _check_pod_term(term: Mapping[str, Any], path: str, found: Causes) -> None:
    check_selector(term.get("labelSelector"), f"{path}.labelSelector", found)
    check_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector", found)
    key = term.get("topologyKey") or ""
    if not key:
        found.required(f"{path}.topologyKey", "can not be empty")
    found.invalid_each(f"{path}.topologyKey", key, names.qualified_wrong(key))


def _check_gates(spec: Object, path: str, found: Causes) -> None:
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        name = gate.get("name") or ""
        found.invalid_each(f"{path}.schedulingGates[{index}].name", name, names.qualified_wrong(name))
        if name in seen:
            found.duplicate(f"{path}.schedulingGates[{index}].name", name)
        seen.add(name)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType") or ""
        found.invalid_each(f"{path}.readinessGates[{index}].conditionType", kind, names.qualified_wrong(kind))

"""Checks of custom resource definitions, webhooks, admission policies and API services.

Spec: apiextensions, admissionregistration and apiregistration validation, Kubernetes 1.37.
Never: compiles CEL; policies whose expressions must run are the API server's to refuse.
"""

from typing import Any

from wherry.orchestration.objects.meta import Object, annotations_of, condition_of, name_of
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.crd_structure import check_schema
from wherry.orchestration.objects.validation.metadata import check_selector

APPROVAL = "api-approved.kubernetes.io"
WEBHOOK_SECONDS = range(1, 31)
REVIEW_VERSIONS = ("v1", "v1beta1")
_PROTECTED = (".k8s.io", ".kubernetes.io")


def custom_resource_definition(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    group, declared = spec.get("group") or "", spec.get("names") or {}
    if not group:
        found.required("spec.group")
    else:
        found.invalid_each("spec.group", group, names.subdomain_wrong(group))
        if "." not in group:
            found.invalid("spec.group", group, "should be a domain with at least one dot")
    found.one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    _check_names(declared, found)
    if name_of(obj) != f"{declared.get('plural')}.{group}":
        found.invalid("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group')
    _check_versions(spec, found)
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.invalid("spec.preserveUnknownFields", True, text)
    _check_conversion(spec.get("conversion") or {}, found)
    if f".{group}".endswith(_PROTECTED) and not annotations_of(obj).get(APPROVAL):
        text = (
            f'protected groups must have approval annotation "{APPROVAL}", '
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
        found.required(f"metadata.annotations[{APPROVAL}]", text)
    if old is not None:
        _check_definition_update(obj, old, found)


def _check_names(declared: Object, found: Causes) -> None:
    for key in ("plural", "singular", "kind", "listKind"):
        value = declared.get(key) or ""
        if not value:
            found.required(f"spec.names.{key}")
            continue
        text = value.lower() if key in ("kind", "listKind") else value
        wrong = names.label_1035_wrong(text)
        if key in ("kind", "listKind"):
            wrong = tuple(f"may have mixed case, but should otherwise match: {one}" for one in wrong)
        found.invalid_each(f"spec.names.{key}", value, wrong)
    if declared.get("kind") and declared.get("kind") == declared.get("listKind"):
        found.invalid("spec.names.listKind", declared["listKind"], "kind and listKind may not be the same")
    for key in ("shortNames", "categories"):
        for index, value in enumerate(declared.get(key) or ()):
            found.invalid_each(f"spec.names.{key}[{index}]", value, names.label_1035_wrong(value))


def _check_versions(spec: Object, found: Causes) -> None:
    versions = spec.get("versions") or ()
    seen: set[str] = set()
    if not versions:
        found.required("spec.versions", "must have at least one version")
        return
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name") or ""
        found.invalid_each(f"{path}.name", name, names.label_1035_wrong(name))
        if name in seen:
            found.invalid("spec.versions", name, "must have unique version names")
        seen.add(name)
        check_schema((version.get("schema") or {}).get("openAPIV3Schema"), f"{path}.schema.openAPIV3Schema", found)
        _check_subresources(version.get("subresources") or {}, f"{path}.subresources", found)
        for place, column in enumerate(version.get("additionalPrinterColumns") or ()):
            _check_column(column, f"{path}.additionalPrinterColumns[{place}]", found)
    if sum(1 for version in versions if version.get("storage")) != 1:
        found.invalid("spec.versions", list(seen), "must have exactly one version marked as storage version")


def _check_subresources(declared: Object, path: str, found: Causes) -> None:
    scale = declared.get("scale")
    if scale is None:
        return
    for key, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(key) or ""
        if not value:
            found.required(f"{path}.scale.{key}")
        elif not value.startswith(root):
            found.invalid(f"{path}.scale.{key}", value, f"should be a json path under {root[:-1]}")
    label = scale.get("labelSelectorPath") or ""
    if label and not label.startswith((".spec.", ".status.")):
        text = "should be a json path under either .spec or .status"
        found.invalid(f"{path}.scale.labelSelectorPath", label, text)


def _check_column(column: Object, path: str, found: Causes) -> None:
    for key in ("name", "jsonPath"):
        if not column.get(key):
            found.required(f"{path}.{key}")
    kinds = ("boolean", "date", "integer", "number", "string")
    found.one_of(f"{path}.type", column.get("type"), kinds)


def _check_conversion(conversion: Object, found: Causes) -> None:
    found.one_of("spec.conversion.strategy", conversion.get("strategy"), ("None", "Webhook"))
    webhook = conversion.get("webhook")
    if conversion.get("strategy") == "Webhook":
        if not webhook or not webhook.get("clientConfig"):
            found.required("spec.conversion.webhook.clientConfig", "required when strategy is set to Webhook")
            return
        check_client_config(webhook["clientConfig"], "spec.conversion.webhook.clientConfig", found)
        versions = webhook.get("conversionReviewVersions") or ()
        _check_review_versions(versions, "spec.conversion.webhook.conversionReviewVersions", found)
    elif webhook:
        found.forbidden("spec.conversion.webhook", "should not be set when strategy is not set to Webhook")


def _check_definition_update(obj: Object, old: Object, found: Causes) -> None:
    spec, before = obj.get("spec") or {}, old.get("spec") or {}
    found.unchanged("spec.group", spec.get("group"), before.get("group"))
    established = condition_of((old.get("status") or {}).get("conditions"), "Established")
    if established is not None and established.get("status") == "True":
        found.unchanged("spec.scope", spec.get("scope"), before.get("scope"))
        for key in ("plural", "kind"):
            new = (spec.get("names") or {}).get(key)
            found.unchanged(f"spec.names.{key}", new, (before.get("names") or {}).get(key))
    served = {version.get("name") for version in spec.get("versions") or ()}
    for index, stored in enumerate((obj.get("status") or {}).get("storedVersions") or ()):
        if stored not in served:
            text = "missing from spec.versions; "
            found.invalid(f"status.storedVersions[{index}]", stored,
                          f"{text}{stored} was previously a storage version, and must remain in spec.versions until a "
                          "storage migration ensures no data remains persisted in it and removes it from "
                          "status.storedVersions")


def check_client_config(config: Object, path: str, found: Causes) -> None:
    """How a webhook is reached: exactly one of url and service."""
    url, target = config.get("url"), config.get("service")
    if (url is None) == (target is None):
        found.required(path, "exactly one of url or service is required")
    if url is not None and not str(url).startswith("https://"):
        found.invalid(f"{path}.url", url, "'https' is the only allowed URL scheme")
    if target is not None:
        for key in ("name", "namespace"):
            if not target.get(key):
                found.required(f"{path}.service.{key}", f"service {key} is required")
        port = target.get("port")
        if port is not None and port not in names.PORT_RANGE:
            found.invalid(f"{path}.service.port", port, f"port is not valid: {names.PORT_WRONG}")


def _check_review_versions(versions: Any, path: str, found: Causes) -> None:
    if not versions:
        found.required(path)
    elif not set(versions) & set(REVIEW_VERSIONS):
        text = f"must include at least one of {', '.join(REVIEW_VERSIONS)}"
        found.invalid(path, list(versions), text)


def webhooks(obj: Object, old: Object | None, found: Causes) -> None:
    seen: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name") or ""
        if not name:
            found.required(f"{path}.name")
        elif name.count(".") < 2:
            found.invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
        if name in seen:
            found.duplicate(f"{path}.name", name)
        seen.add(name)
        _check_rules(webhook.get("rules") or (), f"{path}.rules", found)
        found.one_of(f"{path}.failurePolicy", webhook.get("failurePolicy"), ("Fail", "Ignore"))
        found.one_of(f"{path}.matchPolicy", webhook.get("matchPolicy"), ("Equivalent", "Exact"))
        effects = webhook.get("sideEffects")
        if effects not in ("None", "NoneOnDryRun"):
            if not effects:
                found.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
            else:
                found.not_supported(f"{path}.sideEffects", effects, ("None", "NoneOnDryRun"))
        seconds = webhook.get("timeoutSeconds")
        if seconds is not None and seconds not in WEBHOOK_SECONDS:
            found.invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
        for key in ("namespaceSelector", "objectSelector"):
            check_selector(webhook.get(key), f"{path}.{key}", found)
        check_client_config(webhook.get("clientConfig") or {}, f"{path}.clientConfig", found)
        _check_review_versions(webhook.get("admissionReviewVersions"), f"{path}.admissionReviewVersions", found)


def _check_rules(rules: Any, path: str, found: Causes) -> None:
    for index, rule in enumerate(rules):
        place = f"{path}[{index}]"
        for key in ("operations", "apiGroups", "apiVersions", "resources"):
            values = rule.get(key) or ()
            if not values:
                found.required(f"{place}.{key}")
            elif "*" in values and len(values) > 1 and key != "resources":
                text = "if '*' is present, must not specify other values" if key != "operations" else (
                    "if '*' is present, must not specify other operations"
                )
                found.invalid(f"{place}.{key}", list(values), text)
        for at, operation in enumerate(rule.get("operations") or ()):
            if operation not in ("*", "CREATE", "UPDATE", "DELETE", "CONNECT"):
                found.not_supported(f"{place}.operations[{at}]", operation, ("*", "CONNECT", "CREATE", "DELETE", "UPDATE"))
        found.one_of(f"{place}.scope", rule.get("scope"), ("*", "Cluster", "Namespaced"), is_required=False)


def policy(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    constraints = spec.get("matchConstraints")
    if constraints is None:
        found.required("spec.matchConstraints")
    elif not constraints.get("resourceRules"):
        found.required("spec.matchConstraints.resourceRules")
    found.one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    if obj.get("kind") == "ValidatingAdmissionPolicy":
        if not spec.get("validations") and not spec.get("auditAnnotations"):
            found.required("spec.validations", "validations or auditAnnotations must be specified")
        for index, validation in enumerate(spec.get("validations") or ()):
            if not (validation.get("expression") or "").strip():
                found.required(f"spec.validations[{index}].expression", "expression is not specified")
    elif not spec.get("mutations"):
        found.required("spec.mutations", "mutations must contain at least one item")


def policy_binding(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("policyName"):
        found.required("spec.policyName")
    if obj.get("kind") == "ValidatingAdmissionPolicyBinding":
        actions = spec.get("validationActions") or ()
        if not actions:
            found.required("spec.validationActions", "at least one validation action is required")
        for action in actions:
            if action not in ("Audit", "Deny", "Warn"):
                found.not_supported("spec.validationActions", action, ("Audit", "Deny", "Warn"))
        if {"Deny", "Warn"} <= set(actions):
            text = (
                "must not contain both Deny and Warn (repeating the same validation failure in the API response and "
                "headers serves no purpose)"
            )
            found.invalid("spec.validationActions", list(actions), text)


def api_service(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    if name_of(obj) != f"{version}.{group}":
        found.invalid("metadata.name", name_of(obj), f'must be `spec.version+"."+spec.group`: "{version}.{group}"')
    if not version:
        found.required("spec.version")
    for key, low, high in (("groupPriorityMinimum", 0, 20000), ("versionPriority", 0, 1000)):
        if not low < (spec.get(key) or 0) <= high:
            found.invalid(f"spec.{key}", spec.get(key) or 0, f"must be positive and less than {high}")
    target = spec.get("service")
    if target is None:
        if spec.get("caBundle"):
            found.invalid("spec.caBundle", "", "local APIServices may not have a caBundle")
        return
    for key in ("name", "namespace"):
        if not target.get(key):
            found.required(f"spec.service.{key}")
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        found.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


_REGISTRATION = "admissionregistration.k8s.io"
VALIDATORS = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): api_service,
    (_REGISTRATION, "ValidatingWebhookConfiguration"): webhooks,
    (_REGISTRATION, "MutatingWebhookConfiguration"): webhooks,
    (_REGISTRATION, "ValidatingAdmissionPolicy"): policy,
    (_REGISTRATION, "MutatingAdmissionPolicy"): policy,
    (_REGISTRATION, "ValidatingAdmissionPolicyBinding"): policy_binding,
    (_REGISTRATION, "MutatingAdmissionPolicyBinding"): policy_binding,
}

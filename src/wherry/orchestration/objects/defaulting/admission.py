"""Defaults of webhooks, admission policies, custom resource definitions and API services.

Spec: pkg/apis/admissionregistration/v1, apiextensions/v1 and apiregistration/v1 defaults of Kubernetes 1.37.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, fill_zero, section
from wherry.orchestration.objects.meta import Object

WEBHOOK_TIMEOUT_S = 10
HTTPS_PORT = 443


def _webhooks(obj: Object) -> None:
    for webhook in each(obj, "webhooks"):
        fill(
            webhook, failurePolicy="Fail", matchPolicy="Equivalent", namespaceSelector={}, objectSelector={},
            timeoutSeconds=WEBHOOK_TIMEOUT_S,
        )
        for rule in each(webhook, "rules"):
            fill(rule, scope="*")
        _fill_client(webhook.get("clientConfig") or {})


def _mutating_webhooks(obj: Object) -> None:
    _webhooks(obj)
    for webhook in each(obj, "webhooks"):
        fill(webhook, reinvocationPolicy="Never")


def _fill_client(client: Object) -> None:
    if isinstance(client.get("service"), dict):
        fill_zero(client["service"], port=HTTPS_PORT)


def _policy(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, failurePolicy="Fail")
    _fill_matches(spec.get("matchConstraints"))


def _policy_binding(obj: Object) -> None:
    _fill_matches(section(obj, "spec").get("matchResources"))


def _fill_matches(matches: Object | None) -> None:
    if matches is None:
        return
    fill(matches, matchPolicy="Equivalent", namespaceSelector={}, objectSelector={})
    for rule in [*each(matches, "resourceRules"), *each(matches, "excludeResourceRules")]:
        fill(rule, scope="*")


def _custom_resource_definition(obj: Object) -> None:
    spec = section(obj, "spec")
    names = section(spec, "names")
    if names.get("kind"):
        fill(names, singular=str(names["kind"]).lower(), listKind=f"{names['kind']}List")
    conversion = section(spec, "conversion")
    fill(conversion, strategy="None")
    _fill_client((conversion.get("webhook") or {}).get("clientConfig") or {})


def _api_service(obj: Object) -> None:
    spec = section(obj, "spec")
    if isinstance(spec.get("service"), dict):
        fill_zero(spec["service"], port=HTTPS_PORT)
    section(obj, "status")


_REGISTRATION = "admissionregistration.k8s.io"
DEFAULTERS = {
    (_REGISTRATION, "ValidatingWebhookConfiguration"): _webhooks,
    (_REGISTRATION, "MutatingWebhookConfiguration"): _mutating_webhooks,
    (_REGISTRATION, "ValidatingAdmissionPolicy"): _policy,
    (_REGISTRATION, "MutatingAdmissionPolicy"): _policy,
    (_REGISTRATION, "ValidatingAdmissionPolicyBinding"): _policy_binding,
    (_REGISTRATION, "MutatingAdmissionPolicyBinding"): _policy_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}

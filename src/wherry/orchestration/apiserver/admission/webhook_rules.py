"""Webhooks without I/O: which are asked about a request, what they are asked, and what their answer means.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
Stricter: matchConditions (CEL) are not evaluated: the webhook is asked, and the writer is warned.
Lacks:    matchPolicy Equivalent acts as Exact.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import AdmissionRequest
from wherry.orchestration.apiserver.auth.reviews import user_info
from wherry.orchestration.objects.meta import META_API_VERSION, Object, labels_of, name_of
from wherry.orchestration.objects.patch import json_patch
from wherry.orchestration.objects.selectors import from_label_selector

Hook = Mapping[str, Any]
# Configurations cannot intercept themselves: a broken one could never be mended.
EXEMPT_GROUP = "admissionregistration.k8s.io"


class WebhookFailed(errors.ApiError):
    """The webhook gave no usable answer; the failure policy decides."""


def hooks_of(configurations: Sequence[Object]) -> Iterator[Hook]:
    """All hooks, configurations by name, hooks in the order written."""
    for configuration in sorted(configurations, key=name_of):
        yield from configuration.get("webhooks") or ()


def matches(hook: Hook, request: AdmissionRequest, namespace: Object | None) -> bool:
    """Whether the hook is asked. `namespace` is the request's, or the Namespace being written."""
    if request.resource.group == EXEMPT_GROUP:
        return False
    if not any(rule_matches(rule, request) for rule in hook.get("rules") or ()):
        return False
    return selectors_match(hook, request, namespace)


def selectors_match(hook: Hook, request: AdmissionRequest, namespace: Object | None) -> bool:
    """`namespaceSelector` and `objectSelector` of a hook or an admission policy."""
    if namespace is not None and not from_label_selector(hook.get("namespaceSelector") or {}).matches(labels_of(namespace)):
        return False
    selector = from_label_selector(hook.get("objectSelector") or {})
    shown = [obj for obj in (request.obj, request.old) if obj is not None]
    return selector.is_everything or any(selector.matches(labels_of(obj)) for obj in shown)


def rule_matches(rule: Mapping[str, Any], request: AdmissionRequest) -> bool:
    """A RuleWithOperations covers the request."""
    def covers(names: Sequence[str] | None, value: str) -> bool:
        return "*" in (names or ()) or value in (names or ())

    resource = request.resource
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != resource.namespaced:
        return False
    return (
        covers(rule.get("operations"), request.operation)
        and covers(rule.get("apiGroups"), resource.group)
        and covers(rule.get("apiVersions"), resource.version)
        and any(_names(pattern, resource.plural, request.subresource) for pattern in rule.get("resources") or ())
    )


def _names(pattern: str, plural: str, subresource: str) -> bool:
    wanted, slash, sub = pattern.partition("/")
    if wanted not in ("*", plural):
        return False
    return sub in ("*", subresource) if slash else not subresource


def review(request: AdmissionRequest, uid: str) -> Object:
    """The AdmissionReview to send."""
    resource = request.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    shown = request.obj if request.obj is not None else request.old
    if shown is not None and request.operation == "CONNECT":
        kind = {"group": "", "version": "v1", "kind": shown["kind"]}
    place = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    asked: Object = {
        "uid": uid, "kind": kind, "resource": place, "requestKind": kind, "requestResource": place,
        "name": request.name, "operation": request.operation, "userInfo": user_info(request.user),
        "object": request.obj, "oldObject": request.old, "dryRun": request.is_dry_run,
        "options": {"apiVersion": META_API_VERSION, "kind": f"{request.operation.capitalize()}Options", **request.options},
    }
    if request.namespace:
        asked["namespace"] = request.namespace
    if request.subresource:
        asked |= {"subResource": request.subresource, "requestSubResource": request.subresource}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked}


def read_answer(hook: Hook, uid: str, body: bytes) -> Object:
    """The `response` of an answered review. Raise `WebhookFailed`."""
    try:
        answer = orjson.loads(body)
        response = answer["response"]
        if response.get("uid") != uid:
            raise ValueError(f"expected response.uid={uid}")
        if not isinstance(response.get("allowed"), bool):
            raise ValueError("response.allowed is not a boolean")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise failed(hook, f"received invalid webhook response: {error}") from error
    return dict(response)


def failed(hook: Hook, why: str) -> WebhookFailed:
    """The error of a webhook that could not be asked."""
    message = f'Internal error occurred: failed calling webhook "{hook["name"]}": {why}'
    return WebhookFailed(500, "InternalError", message)


def denial(hook: Hook, response: Object) -> errors.ApiError:
    """The error of a webhook that said no."""
    status = response.get("status") or {}
    start = f'admission webhook "{hook["name"]}" denied the request'
    why = status.get("message") or status.get("reason")
    asked = status.get("code")
    code = asked if isinstance(asked, int) and asked >= 400 else 400
    return errors.ApiError(
        code, status.get("reason") or ("Forbidden" if code == 403 else "BadRequest" if code == 400 else ""),
        f"{start}: {why}" if why else f"{start} without explanation", details=status.get("details"))


def patched(hook: Hook, response: Object, obj: Object) -> Object | None:
    """The object with the answer's JSON patch, None when there is none. Raise `WebhookFailed`."""
    if not response.get("patch"):
        return None
    if response.get("patchType") != "JSONPatch":
        raise failed(hook, f"webhook returned response.patchType {response.get('patchType')!r}, expected JSONPatch")
    try:
        changed = json_patch.apply(obj, orjson.loads(base64.b64decode(response["patch"])))
    except (binascii.Error, orjson.JSONDecodeError, Invalid, TypeError) as error:
        raise failed(hook, f"received invalid webhook patch: {error}") from error
    if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
        raise failed(hook, "received webhook patch that does not leave an object")
    return changed

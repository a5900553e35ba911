"""Rows of bindings, certificates and admission kinds."""

from datetime import datetime

from wherry.orchestration.apiserver.tables.ages import human
from wherry.orchestration.apiserver.tables.columns import NONE, UNSET, Cells, age, printer, spec_of, status_of
from wherry.orchestration.objects.meta import Object, condition_of, name_of


def _binding(obj: Object, now: datetime) -> Cells:
    ref = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()
    users, groups = (
        ", ".join(s.get("name", "") for s in subjects if s.get("kind") == kind) for kind in ("User", "Group")
    )
    accounts = ", ".join(
        f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount")
    return [name_of(obj), f"{ref.get('kind', '')}/{ref.get('name', '')}", age(obj, now), users, groups, accounts]


def _signing_request(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    seconds = spec.get("expirationSeconds")
    conditions = status.get("conditions")
    word = "Denied" if condition_of(conditions, "Denied") else "Approved" if condition_of(conditions, "Approved") else "Pending"
    word += ",Failed" if condition_of(conditions, "Failed") else ""
    word += ",Issued" if status.get("certificate") else ""
    return [name_of(obj), age(obj, now), spec.get("signerName") or NONE, spec.get("username", ""),
            NONE if seconds is None else human(seconds), word]


def _trust_bundle(obj: Object, now: datetime) -> Cells:
    del now
    return [name_of(obj), spec_of(obj).get("signerName", "")]


def _webhooks(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _admission_policy(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    kind = spec.get("paramKind")
    text = UNSET if not kind else f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}"
    return [name_of(obj), len(spec.get("validations") or spec.get("mutations") or ()), text, age(obj, now)]


def _admission_binding(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    ref = spec.get("paramRef")
    text = UNSET
    if ref:
        name = ref.get("name") or "*"
        text = f"{ref['namespace']}/{name}" if ref.get("namespace") else f"*/{name}"
    return [name_of(obj), spec.get("policyName", ""), text, age(obj, now)]


BINDING = printer("Name|Role|Age|Users*|Groups*|ServiceAccounts*", _binding)
WEBHOOKS = printer("Name|Webhooks#|Age", _webhooks)
ADMISSION_BINDING = printer("Name|PolicyName|ParamRef|Age", _admission_binding)
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"

CERTIFICATE_SIGNING_REQUEST = printer(
    "Name|Age|SignerName|Requestor|RequestedDuration|Condition", _signing_request)
CLUSTER_TRUST_BUNDLE = printer("Name|SignerName", _trust_bundle)
VALIDATING_ADMISSION_POLICY = printer("Name|Validations#|ParamKind|Age", _admission_policy)
MUTATING_ADMISSION_POLICY = printer("Name|Mutations#|ParamKind|Age", _admission_policy)

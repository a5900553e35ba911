"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy without CEL: a bound policy that matches cannot be evaluated.

In:    a request; the stored policies and bindings.
Out:   upstream's effect of a policy that fails: `ApiError` 403 with failurePolicy Fail and action Deny (or a mutation),
       else a warning.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#failure-policy
Stricter: matchConditions and parameters cannot be evaluated either and count as matching; matchPolicy Equivalent takes
       every version of a resource.
Exempt: admissionregistration.k8s.io policies and bindings, as upstream, so that a policy can always be undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import AdmissionRequest, Plugin
from wherry.orchestration.apiserver.admission.webhook_rules import rule_matches, selectors_match
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    NAMESPACES,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource

EXEMPT = frozenset({
    "validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
})
_WATCHED = (VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS, MUTATING_ADMISSION_POLICIES,
            MUTATING_ADMISSION_POLICY_BINDINGS)


@dataclass(frozen=True, slots=True)
class Bound:
    """One binding with its policy. `denies`: a request that matches is refused."""

    kind: str
    policy: str
    binding: str
    constraints: Mapping[str, Any]
    resources: Mapping[str, Any]
    denies: bool


def bound(policies: Sequence[Object], bindings: Sequence[Object], kind: str) -> list[Bound]:
    """Every binding whose policy is there, by name."""
    by_name = {name_of(policy): policy.get("spec") or {} for policy in policies}
    found = []
    for binding in sorted(bindings, key=name_of):
        spec = binding.get("spec") or {}
        policy = by_name.get(spec.get("policyName", ""))
        if policy is None:
            continue
        acts = kind == MUTATING_ADMISSION_POLICIES.kind or "Deny" in (spec.get("validationActions") or ())
        denies = acts and policy.get("failurePolicy", "Fail") == "Fail"
        found.append(Bound(kind, spec["policyName"], name_of(binding), policy.get("matchConstraints") or {},
                           spec.get("matchResources") or {}, denies))
    return found


def matches(one: Bound, request: AdmissionRequest, namespace: Object | None) -> bool:
    """Whether policy and binding both cover the request."""
    return _covers(one.constraints, request, namespace) and _covers(one.resources, request, namespace)


def _covers(match: Mapping[str, Any], request: AdmissionRequest, namespace: Object | None) -> bool:
    is_exact = match.get("matchPolicy") == "Exact"

    def any_of(rules: Sequence[Mapping[str, Any]]) -> bool:
        return any(_names(rule, request) and rule_matches(rule if is_exact else {**rule, "apiVersions": ["*"]}, request)
                   for rule in rules)

    if any_of(match.get("excludeResourceRules") or ()):
        return False
    rules = match.get("resourceRules")
    if rules and not any_of(rules):
        return False
    return selectors_match(match, request, namespace)


def _names(rule: Mapping[str, Any], request: AdmissionRequest) -> bool:
    names = rule.get("resourceNames") or ()
    return not names or "*" in names or request.name in names


class AdmissionPolicies(Plugin):
    """See the module docstring. Put it behind the plugins that change objects."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._known: tuple[int, list[Bound]] = (-1, [])

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource.group == "admissionregistration.k8s.io" and request.resource.plural in EXEMPT:
            return
        known = self._bound()
        if not known:
            return
        namespace = self._namespace(request)
        for one in known:
            if matches(one, request, namespace):
                self._apply(one, request)

    def _apply(self, one: Bound, request: AdmissionRequest) -> None:
        start = f"{one.kind} '{one.policy}' with binding '{one.binding}'"
        if one.denies:
            raise errors.forbidden(
                request.resource, request.name,
                f"{start} denied request: its expressions (CEL) are not evaluated by this version, and its failurePolicy is Fail")
        text = f"{start} matches and was not evaluated: this version has no CEL"
        if text not in request.warnings:
            request.warnings.append(text)

    def _bound(self) -> list[Bound]:
        revision = self._source.revision(*_WATCHED)
        if self._known[0] != revision:
            found: list[Bound] = []
            for policies, bindings in (_WATCHED[:2], _WATCHED[2:]):
                found += self._of(policies, bindings)
            self._known = (revision, found)
        return self._known[1]

    def _of(self, policies: Resource, bindings: Resource) -> list[Bound]:
        return bound(self._source.list(policies), self._source.list(bindings), policies.kind)

    def _namespace(self, request: AdmissionRequest) -> Object | None:
        if request.place == ("", "namespaces"):
            return request.obj or request.old
        return self._source.get(NAMESPACES, "", request.namespace) if request.namespace else None

"""What a CustomResourceDefinition means: the resources it serves, and the conditions it gets.

In:    a CRD, the other CRDs of its group.
Out:   values only; `custom/loop.py` serves and writes them.
Spec:  https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Sequence
from datetime import datetime

from wherry.orchestration.objects.meta import Object, condition_of, with_condition
from wherry.orchestration.objects.not_enforced import REASON, rules_in
from wherry.orchestration.objects.resources import Resource


def is_established(crd: Object) -> bool:
    """Its resources are served."""
    condition = condition_of((crd.get("status") or {}).get("conditions"), "Established")
    return condition is not None and condition.get("status") == "True"


def storage_version(crd: Object) -> str:
    """The version objects are stored in."""
    return str(next((v["name"] for v in crd["spec"]["versions"] if v.get("storage")), ""))


def is_converted_by_webhook(crd: Object) -> bool:
    """Objects of other versions than the stored one need a webhook."""
    return bool((crd["spec"].get("conversion") or {}).get("strategy") == "Webhook")


def resource_of(crd: Object, version: Object) -> Resource:
    """The served resource of one version."""
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or {}
    names = names if names.get("plural") else spec["names"]
    subresources = tuple(name for name in ("status", "scale") if (version.get("subresources") or {}).get(name) is not None)
    return Resource(
        group=spec["group"], version=version["name"], kind=names["kind"], plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(), namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()), categories=tuple(names.get("categories") or ()),
        subresources=subresources)


def served_versions(crd: Object) -> list[Object]:
    """The versions marked as served."""
    return [v for v in crd["spec"]["versions"] if v.get("served")]


def status_of(crd: Object, others: Sequence[Object], now: datetime) -> Object:
    """The status with names accepted or refused. `others` are the CRDs of the same group."""
    spec, status = crd["spec"], dict(crd.get("status") or {})
    accepted = dict(status.get("acceptedNames") or {})
    conflict, accepted = _accept(spec["names"], accepted, others)
    conditions = status.get("conditions") or []
    if conflict is None:
        conditions = with_condition(conditions, _condition(
            "NamesAccepted", "True", "NoConflicts", "no conflicts found"), now)
        if not is_established(crd):
            conditions = with_condition(conditions, _condition(
                "Established", "True", "InitialNamesAccepted", "the initial names have been accepted"), now)
    else:
        conditions = with_condition(conditions, _condition("NamesAccepted", "False", *conflict), now)
        if not is_established(crd):
            conditions = with_condition(conditions, _condition(
                "Established", "False", "NotAccepted", "not all names are accepted"), now)
    if count := rules_in(crd):
        conditions = with_condition(conditions, _condition(
            "ValidationRulesEnforced", "False", REASON, f"{count} validation rules (CEL) are stored and not evaluated"), now)
    else:
        conditions = [c for c in conditions if c.get("type") != "ValidationRulesEnforced"]
    status |= {"acceptedNames": accepted, "conditions": conditions}
    status.setdefault("storedVersions", [storage_version(crd)])
    return status


def terminating(status: Object, reason: str, message: str, state: str, now: datetime) -> Object:
    """The status of a CRD that is being deleted."""
    condition = _condition("Terminating", state, reason, message)
    return {**status, "conditions": with_condition(status.get("conditions"), condition, now)}


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _accept(wanted: Object, accepted: Object, others: Sequence[Object]) -> tuple[tuple[str, str] | None, Object]:
    """((reason, message) of the last conflict or None, the names accepted)."""
    taken_names: set[str] = set()
    taken_kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        taken_names |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        taken_kinds |= {names.get("kind", ""), names.get("listKind", "")}
    conflict: tuple[str, str] | None = None
    for field, reason, taken in (("plural", "PluralConflict", taken_names), ("singular", "SingularConflict", taken_names),
                                 ("kind", "KindConflict", taken_kinds), ("listKind", "ListKindConflict", taken_kinds)):
        name = wanted.get(field) or ""
        if name and name in taken:
            conflict = (reason, f'"{name}" is already in use')
        elif name:
            accepted[field] = name
    clashing = [name for name in wanted.get("shortNames") or () if name in taken_names]
    if clashing:
        conflict = ("ShortNamesConflict", f'"{clashing[0]}" is already in use')
    elif wanted.get("shortNames"):
        accepted["shortNames"] = wanted["shortNames"]
    else:
        accepted.pop("shortNames", None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    else:
        accepted.pop("categories", None)
    return conflict, accepted

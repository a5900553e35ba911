"""Whether a pod may be on a node by its selector, required affinity and tolerations: pure.

Spec:  Kubernetes component-helpers scheduling/corev1 (nodeaffinity, tolerations).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wherry.orchestration.objects.meta import Object, labels_of, name_of

Spec = Mapping[str, Any]


def fits_selector(spec: Spec, node: Object) -> bool:
    """spec.nodeSelector and the required node affinity accept the node."""
    wanted = spec.get("nodeSelector") or {}
    if not wanted.items() <= labels_of(node).items():
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(fits_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def fits_term(term: Mapping[str, Any], node: Object) -> bool:
    """All expressions of one nodeSelectorTerm hold; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": name_of(node)}
    return all(_holds(e, labels_of(node)) for e in expressions) and all(_holds(e, names) for e in fields)


def _holds(expression: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    found = values.get(expression["key"])
    wanted: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return found in wanted
        case "NotIn":
            return found not in wanted
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt" as operator:
            if found is None or len(wanted) != 1 or not (_is_number(found) and _is_number(wanted[0])):
                return False
            return int(found) > int(wanted[0]) if operator == "Gt" else int(found) < int(wanted[0])
    return False


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def untolerated(
    tolerations: Sequence[Mapping[str, Any]], node: Object, effects: Iterable[str]
) -> Mapping[str, Any] | None:
    """The first taint of the node with one of `effects` that nothing tolerates, or None."""
    chosen = frozenset(effects)
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in chosen and not any(tolerates(t, taint) for t in tolerations):
            return dict(taint)
    return None


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """One toleration covers one taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
        case "Gt" | "Lt" as operator:
            theirs, ours = str(taint.get("value") or ""), str(toleration.get("value") or "")
            if not (_is_number(theirs) and _is_number(ours)):
                return False
            return int(theirs) > int(ours) if operator == "Gt" else int(theirs) < int(ours)
    return False

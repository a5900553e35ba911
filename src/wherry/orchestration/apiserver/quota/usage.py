"""What an object counts for in a ResourceQuota, and which quotas look at it.

In:    objects; a quota's spec.
Out:   amounts by quota resource name (`pods`, `requests.cpu`, `count/deployments.apps`, ...), exact.
Spec:  https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, annotations_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import BETA_STORAGE_CLASS_ANNOTATION

Usage = dict[str, Fraction]
ONE = Fraction(1)
COUNTED = ("configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services")
COMPUTE = ("cpu", "memory", "ephemeral-storage")
POD_SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")


def usage_of(resource: Resource, obj: Object) -> Usage:
    """What `obj` uses."""
    used: Usage = {f"count/{resource.qualified_name}": ONE}
    if resource.group or resource.plural not in COUNTED:
        return used
    if resource.plural == "pods":
        return used | _pod(obj)
    used[resource.plural] = ONE
    if resource.plural == "services":
        used |= _service(obj["spec"])
    elif resource.plural == "persistentvolumeclaims":
        used |= _claim(obj)
    return used


def _pod(pod: Object) -> Usage:
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    used: Usage = {"pods": ONE}
    spec = pod["spec"]
    for side, prefix in (("requests", "requests."), ("limits", "limits.")):
        for name, amount in _total(spec, side).items():
            used[f"{prefix}{name}"] = amount
            if side == "requests" and (name in COMPUTE or name.startswith("hugepages-")):
                used[name] = amount
    return used


def _total(spec: Object, side: str) -> Usage:
    """Of the containers together, or of the greatest init container; overhead on top."""
    total: Usage = {}
    sidecars: Usage = {}
    greatest: Usage = {}
    for container in spec.get("containers") or ():
        _add(total, _amounts(container, side))
    for container in spec.get("initContainers") or ():
        amounts = _amounts(container, side)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, amounts)
            amounts = dict(sidecars)
        else:
            _add(amounts, sidecars)
        for name, amount in amounts.items():
            greatest[name] = max(greatest.get(name, Fraction(0)), amount)
    _add(total, sidecars)
    for name, amount in greatest.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    for name, text in (spec.get("overhead") or {}).items():
        if name in total or side == "requests":
            total[name] = total.get(name, Fraction(0)) + quantity.parse(text)
    return total


def _amounts(container: Mapping[str, Any], side: str) -> Usage:
    return {name: quantity.parse(text) for name, text in ((container.get("resources") or {}).get(side) or {}).items()}


def _add(total: Usage, more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount


def _service(spec: Object) -> Usage:
    used: Usage = {}
    kind = spec.get("type")
    if kind == "LoadBalancer":
        used["services.loadbalancers"] = ONE
    if kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False):
        used["services.nodeports"] = Fraction(len(spec.get("ports") or ()))
    return used


def _claim(claim: Object) -> Usage:
    spec = claim.get("spec", {})
    text = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    used: Usage = {"requests.storage": quantity.parse(text)}
    storage_class = spec.get("storageClassName") or annotations_of(claim).get(BETA_STORAGE_CLASS_ANNOTATION)
    if storage_class:
        prefix = f"{storage_class}.storageclass.storage.k8s.io/"
        used |= {f"{prefix}requests.storage": quantity.parse(text), f"{prefix}persistentvolumeclaims": ONE}
    return used


def looks_at(quota: Object, resource: Resource, obj: Object) -> bool:
    """Whether the scopes of the quota hold for the object; scopes are about Pods only."""
    wanted = list(_scopes(quota))
    if not wanted:
        return True
    if (resource.group, resource.plural) != ("", "pods"):
        return False
    return all(_holds(scope, obj) for scope in wanted)


def _scopes(quota: Object) -> Iterator[Mapping[str, Any]]:
    spec = quota.get("spec", {})
    yield from ({"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ())
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _holds(scope: Mapping[str, Any], pod: Object) -> bool:
    spec = pod["spec"]
    is_best_effort = pod.get("status", {}).get("qosClass", _qos(pod)) == "BestEffort"
    match scope.get("scopeName"):
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return bool(is_best_effort)
        case "NotBestEffort":
            return not is_best_effort
        case "PriorityClass":
            return _priority_holds(scope, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec.get("affinity") or {})
    return False


def _qos(pod: Object) -> str:
    return "Burstable" if _total(pod["spec"], "requests") or _total(pod["spec"], "limits") else "BestEffort"


def _priority_holds(scope: Mapping[str, Any], name: str) -> bool:
    values = scope.get("values") or ()
    match scope.get("operator"):
        case "In":
            return name in values
        case "NotIn":
            return name not in values
        case "DoesNotExist":
            return not name
    return bool(name)


def _crosses_namespaces(affinity: Mapping[str, Any]) -> bool:
    terms = [
        term for kind in ("podAffinity", "podAntiAffinity") for term in [
            *((affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(weighted.get("podAffinityTerm") or {} for weighted in
              (affinity.get(kind) or {}).get("preferredDuringSchedulingIgnoredDuringExecution") or ())]]
    return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)


def unspecified(quota: Object, pod: Object) -> list[str]:
    """Texts such as `cpu for: main` for amounts the quota needs and containers do not give."""
    hard = quota.get("spec", {}).get("hard") or {}
    missing: dict[str, list[str]] = {}
    for container in [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]:
        resources = container.get("resources") or {}
        for name in hard:
            side, _, rest = name.partition(".") if name.startswith(("requests.", "limits.")) else ("requests", "", name)
            if rest in COMPUTE and rest not in (resources.get(side) or {}):
                missing.setdefault(name, []).append(container["name"])
    return [f"{name} for: {','.join(names)}" for name, names in sorted(missing.items())]

"""The roles and bindings every cluster starts with: upstream's defaults, kubeadm's, and those of Wherry's own parts.

Out:   `objects()`: ClusterRoles, ClusterRoleBindings, Roles and RoleBindings to create, or to bring up to date
       while their annotation `rbac.authorization.kubernetes.io/autoupdate` is "true" (`reconciled`).
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
Differs: nodes also hold system:node-proxier and system:kube-dns, because the node agent does that work here; the
       controllers run under the one name system:kube-controller-manager, which therefore holds every controller's role.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.orchestration.apiserver.auth.bootstrap_controllers import CONTROLLER_ROLES
from wherry.orchestration.apiserver.auth.bootstrap_roles import (
    AGGREGATED,
    AGGREGATION_LABEL,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACED_BINDINGS,
    NAMESPACED_ROLES,
)
from wherry.orchestration.apiserver.auth.rule_text import parse_rules
from wherry.orchestration.apiserver.auth.rules import effective_rules
from wherry.orchestration.objects.meta import Object, annotations_of

API_VERSION = "rbac.authorization.k8s.io/v1"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAP_LABEL = "kubernetes.io/bootstrapping"
CONTROLLER_PREFIX = "system:controller:"
CONTROLLER_MANAGER = "u:system:kube-controller-manager"

NODE_RULES: list[Object] = parse_rules(CLUSTER_ROLES["system:node"])


def objects() -> list[Object]:
    """Every default role and binding, roles first."""
    return [*cluster_roles(), *_namespaced_roles(), *_cluster_bindings(), *_namespaced_bindings()]


def cluster_roles() -> list[Object]:
    """Every default ClusterRole."""
    plain = [_role("ClusterRole", name, text) for name, text in CLUSTER_ROLES.items()]
    controllers = [_role("ClusterRole", CONTROLLER_PREFIX + name, text) for name, text in CONTROLLER_ROLES.items()]
    aggregated = [_aggregated(name) for name in AGGREGATED]
    for role in aggregated:  # filled in already, so that `kubectl describe` shows them before the controller ran
        role["rules"] = effective_rules(role, [*plain, *aggregated])
    return [*plain, *aggregated, *controllers]


def reconciled(existing: Object, default: Object) -> Object | None:
    """`existing` with rules and subjects the default has and it lacks; None when nothing is to change.

    As upstream: it only adds, and keeps its hands off when the user set the annotation to another value.
    """
    if annotations_of(existing).get(AUTOUPDATE) != "true":
        return None
    changed = dict(existing)
    for key in ("rules", "subjects"):
        lacking = [entry for entry in default.get(key) or () if entry not in (existing.get(key) or ())]
        if lacking and "aggregationRule" not in default:
            changed[key] = [*(existing.get(key) or ()), *lacking]
    return changed if changed != existing else None


def _aggregated(name: str) -> Object:
    label, labels = AGGREGATED[name]
    role = _role("ClusterRole", name, "")
    role["metadata"]["labels"].update({AGGREGATION_LABEL + target: "true" for target in labels})
    role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {AGGREGATION_LABEL + label: "true"}}]}
    return role


def _role(kind: str, name: str, text: str, namespace: str = "") -> Object:
    role: Object = {
        "apiVersion": API_VERSION, "kind": kind, "metadata": _metadata(name, namespace), "rules": parse_rules(text),
    }
    if name.startswith("system:aggregate-to-"):
        role["metadata"]["labels"][AGGREGATION_LABEL + name.removeprefix("system:aggregate-to-")] = "true"
    return role


def _namespaced_roles() -> list[Object]:
    return [_role("Role", name, text, namespace) for (namespace, name), text in NAMESPACED_ROLES.items()]


def _cluster_bindings() -> list[Object]:
    own = [_binding(name, "ClusterRole", role, subjects) for name, role, subjects in CLUSTER_BINDINGS]
    return own + [
        _binding(CONTROLLER_PREFIX + name, "ClusterRole", CONTROLLER_PREFIX + name,
                 f"s:kube-system/{name} {CONTROLLER_MANAGER}")
        for name in CONTROLLER_ROLES
    ]


def _namespaced_bindings() -> list[Object]:
    return [_binding(name, "Role", role, subjects, namespace) for namespace, name, role, subjects in NAMESPACED_BINDINGS]


def _binding(name: str, role_kind: str, role: str, subjects: str, namespace: str = "") -> Object:
    binding: Object = {
        "apiVersion": API_VERSION,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
    }
    if subjects:
        binding["subjects"] = list(_subjects(subjects.split()))
    return binding


def _subjects(texts: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for text in texts:
        kind, _, name = text.partition(":")
        if kind == "s":
            namespace, _, name = name.partition("/")
            yield {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        else:
            yield {
                "kind": {"u": "User", "g": "Group"}[kind], "apiGroup": "rbac.authorization.k8s.io", "name": name,
            }


def _metadata(name: str, namespace: str) -> Object:
    metadata: Object = {
        "name": name, "annotations": {AUTOUPDATE: "true"}, "labels": {BOOTSTRAP_LABEL: "rbac-defaults"},
    }
    return metadata | {"namespace": namespace} if namespace else metadata

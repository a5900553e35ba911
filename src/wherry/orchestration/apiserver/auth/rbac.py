"""RBAC: answers from an index over the four kinds, rebuilt when one of them changed.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/rbac/
Cost:  a repeated question is one dictionary look-up; a new one walks the caller's own bindings only. A rebuild reads
       every role and binding (70 default roles: about 3 ms) and happens on the first question after a change.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.apiserver.auth.authorizer import Attributes, Decision
from wherry.orchestration.apiserver.auth.bounded import BoundedCache
from wherry.orchestration.apiserver.auth.rules import Rule, effective_rules, read_rules
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import SERVICE_ACCOUNT_PREFIX, User
from wherry.orchestration.objects.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

RBAC_GROUP = "rbac.authorization.k8s.io"
DECISIONS_MAX = 8192
_KINDS = (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS)

RoleKey = tuple[str, str]  # (namespace, name); namespace "" for a ClusterRole


@dataclass(frozen=True, slots=True)
class _Grant:
    """One subject of one binding. `namespace` is "" for a ClusterRoleBinding."""

    namespace: str
    binding: str
    role_kind: str
    role: RoleKey
    subject: str

    def describe(self) -> str:
        kind, name = ("RoleBinding", f"{self.binding}/{self.namespace}") if self.namespace else (
            "ClusterRoleBinding", self.binding)
        return f'{kind} "{name}" of {self.role_kind} "{self.role[1]}" to {self.subject}'


class _Index:
    def __init__(self, source: ObjectSource) -> None:
        cluster_roles = source.list(CLUSTER_ROLES)
        self.raw: dict[RoleKey, list[Object]] = {
            ("", name_of(role)): effective_rules(role, cluster_roles) for role in cluster_roles
        }
        for role in source.list(ROLES):
            self.raw[namespace_of(role), name_of(role)] = role.get("rules") or []
        self.rules = {key: read_rules(rules) for key, rules in self.raw.items()}
        self.grants: dict[str, list[_Grant]] = defaultdict(list)  # "u:name" and "g:name" -> its grants
        for binding in (*source.list(CLUSTER_ROLE_BINDINGS), *source.list(ROLE_BINDINGS)):
            self._add(binding)

    def _add(self, binding: Object) -> None:
        namespace = namespace_of(binding)
        ref = binding.get("roleRef") or {}
        role = (namespace if ref.get("kind") == "Role" else "", ref.get("name", ""))
        for subject in binding.get("subjects") or ():
            key, text = _subject_key(subject, namespace)
            self.grants[key].append(_Grant(namespace, name_of(binding), ref.get("kind", ""), role, text))

    def grants_of(self, user: User, namespace: str) -> Iterator[_Grant]:
        """Cluster-wide grants first, then those of `namespace`."""
        keys = [f"u:{user.name}", *(f"g:{group}" for group in user.groups)]
        mine = [grant for key in keys for grant in self.grants.get(key, ())]
        yield from (grant for grant in mine if not grant.namespace)
        if namespace:
            yield from (grant for grant in mine if grant.namespace == namespace)


class RbacAuthorizer:
    """Allows what a Role or ClusterRole bound to the user, or to one of the user's groups, allows."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._revision = -1
        self._built: _Index | None = None
        self._decisions: BoundedCache[tuple[object, ...], Decision] = BoundedCache(DECISIONS_MAX)

    def authorize(self, attributes: Attributes) -> Decision:
        index = self._index()
        user = attributes.user
        key = (
            user.name, user.groups, attributes.verb, attributes.group, attributes.resource, attributes.subresource,
            attributes.namespace, attributes.name, attributes.path,
        )
        decision = self._decisions.get(key)
        if decision is None:
            decision = _decide(index, attributes)
            self._decisions.put(key, decision)
        return decision

    def rules_of(self, user: User, namespace: str) -> tuple[list[Object], list[str]]:
        """All rules that hold for `user` in `namespace` as PolicyRules, and what could not be resolved."""
        index = self._index()
        rules: list[Object] = []
        errors: list[str] = []
        for grant in index.grants_of(user, namespace):
            found = index.raw.get(grant.role)
            if found is None:
                errors.append(_missing(grant.role))
            else:
                rules.extend(found)
        return rules, errors

    def compiled_rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """`rules_of`, ready to match."""
        rules, errors = self.rules_of(user, namespace)
        return list(read_rules(rules)), errors

    def rules_of_role(self, kind: str, namespace: str, name: str) -> list[Object] | None:
        """The rules a roleRef stands for, or None when there is no such role."""
        return self._index().raw.get((namespace if kind == "Role" else "", name))

    def _index(self) -> _Index:
        revision = self._source.revision(*_KINDS)
        if self._built is None or revision != self._revision:
            self._built, self._revision = _Index(self._source), revision
            self._decisions.clear()
        return self._built


def _decide(index: _Index, attributes: Attributes) -> Decision:
    missing: list[str] = []
    for grant in index.grants_of(attributes.user, attributes.namespace):
        rules = index.rules.get(grant.role)
        if rules is None:
            missing.append(_missing(grant.role))
        elif any(rule.allows(attributes) for rule in rules):
            return Decision(True, f"RBAC: allowed by {grant.describe()}")
    if not missing:
        return Decision(False)
    text = missing[0] if len(missing) == 1 else "[" + ", ".join(missing) + "]"
    return Decision(False, f"RBAC: {text}")


def _missing(role: RoleKey) -> str:
    return f'{"role" if role[0] else "clusterrole"}.{RBAC_GROUP} "{role[1]}" not found'


def _subject_key(subject: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "ServiceAccount":
        inside = subject.get("namespace") or namespace
        return f"u:{SERVICE_ACCOUNT_PREFIX}{inside}:{name}", f'ServiceAccount "{name}/{inside}"'
    if kind == "Group":
        return f"g:{name}", f'Group "{name}"'
    return f"u:{name}", f'User "{name}"'

"""Nobody grants what they do not hold: checks on writes of roles and bindings, for admission to call.

In:    the caller, the new object, the old one, the authorizers.
Out:   nothing, or `ApiError` 403 with upstream's text.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from collections.abc import Sequence

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Authorizer
from wherry.orchestration.apiserver.auth.rbac import RBAC_GROUP, RbacAuthorizer
from wherry.orchestration.apiserver.auth.rules import compact, describe, uncovered
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.kinds import CLUSTER_ROLES, ROLES
from wherry.orchestration.objects.meta import Object, name_of, namespace_of
from wherry.orchestration.objects.resources import Resource


class EscalationCheck:
    """`authorizer` is the whole chain (for the verbs escalate and bind), `rbac` what knows the rules."""

    def __init__(self, authorizer: Authorizer, rbac: RbacAuthorizer) -> None:
        self._authorizer = authorizer
        self._rbac = rbac

    def check(self, user: User, resource: Resource, obj: Object, old: Object | None) -> None:
        """Raise when this write of a role or binding would give more than `user` holds. Others pass."""
        if resource.group != RBAC_GROUP or user.is_master:
            return
        if resource.kind in ("Role", "ClusterRole"):
            self._check_role(user, resource, obj, old)
        elif resource.kind in ("RoleBinding", "ClusterRoleBinding"):
            self._check_binding(user, resource, obj, old)

    def _check_role(self, user: User, resource: Resource, obj: Object, old: Object | None) -> None:
        same_rules = old is not None and obj.get("rules") == old.get("rules")
        if same_rules and old is not None and obj.get("aggregationRule") == old.get("aggregationRule"):
            return
        question = Attributes(
            user, "escalate", RBAC_GROUP, resource.version, resource.plural,
            namespace=namespace_of(obj), name=name_of(obj))
        if self._authorizer.authorize(question).allowed:
            return
        wanted: list[Object] = list(obj.get("rules") or ())
        if obj.get("aggregationRule"):  # it may select any role there is or will be
            wanted.append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
            wanted.append({"nonResourceURLs": ["*"], "verbs": ["*"]})
        self._require(user, resource, obj, wanted)

    def _check_binding(self, user: User, resource: Resource, obj: Object, old: Object | None) -> None:
        if old is not None and all(obj.get(key) == old.get(key) for key in ("roleRef", "subjects")):
            return
        ref = obj.get("roleRef") or {}
        kind, name, namespace = ref.get("kind", ""), ref.get("name", ""), namespace_of(obj)
        target = ROLES if kind == "Role" else CLUSTER_ROLES
        question = Attributes(user, "bind", RBAC_GROUP, target.version, target.plural, namespace=namespace, name=name)
        if self._authorizer.authorize(question).allowed:
            return
        rules = self._rbac.rules_of_role(kind, namespace, name)
        if rules is None:
            raise errors.not_found(target, name)
        self._require(user, resource, obj, rules)

    def _require(self, user: User, resource: Resource, obj: Object, wanted: Sequence[Object]) -> None:
        held, unresolved = self._rbac.compiled_rules_of(user, namespace_of(obj))
        missing = uncovered(wanted, held)
        if missing:
            groups = " ".join(f'"{group}"' for group in user.groups)
            lines = "\n".join(sorted(describe(rule) for rule in compact(missing)))
            text = (f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
                    f"not currently held:\n{lines}")
            if unresolved:
                text += f"; resolution errors: [{', '.join(unresolved)}]"
            raise errors.forbidden(resource, name_of(obj), text)

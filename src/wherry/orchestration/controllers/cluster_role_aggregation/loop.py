"""Write into aggregated ClusterRoles the rules of the roles they select.

In:    informer of ClusterRoles.
Out:   `rules` of roles with an aggregationRule.
Spec:  Kubernetes pkg/controller/clusterroleaggregation. The authorizer computes the same (apiserver/auth/rules.py), so
       access never waits for this; people and tools that read roles do.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.orchestration.apiserver.auth.rules import effective_rules
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.objects.kinds import CLUSTER_ROLES
from wherry.orchestration.objects.meta import Object, name_of, revision_of


def _all_aggregated(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    return (name_of(role) for role in seen[CLUSTER_ROLES].list() if role.get("aggregationRule"))


class Controller(Loop[str]):
    """clusterrole-aggregation-controller."""

    name = "clusterrole-aggregation-controller"
    workers = 2
    watches = (Watch(CLUSTER_ROLES, _all_aggregated),)

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Bring one aggregated role up to date."""
        role = seen[CLUSTER_ROLES].get(key)
        if role is None or not role.get("aggregationRule"):
            return
        rules = effective_rules(role, sorted(seen[CLUSTER_ROLES].list(), key=name_of))
        if _as_set(rules) == _as_set(role.get("rules") or []):
            return
        patch = {"metadata": {"resourceVersion": revision_of(role)}, "rules": rules}
        try:
            await self.client.patch(CLUSTER_ROLES, key, "", patch, field_manager=self.name)
        except NotFound:
            return


def _as_set(rules: list[Object]) -> set[str]:
    return {repr(sorted((name, value) for name, value in rule.items() if value)) for rule in rules}

"""Write into aggregated ClusterRoles the rules of the roles they select.

In:    informer of ClusterRoles.
Out:   `rules` of roles with an aggregationRule.
Spec:  Kubernetes pkg/controller/clusterroleaggregation. The authorizer computes the same (apiserver/auth/rules.py), so
       access never waits for this; people and tools that read roles do.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.apiserver.auth.rules import effective_rules
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.objects.kinds import CLUSTER_ROLES
from wherry.orchestration.objects.meta import Object, name_of, revision_of

COMPONENT = "clusterrole-aggregation-controller"
WORKERS = 2


class Controller:
    """clusterrole-aggregation-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._roles = informers.of(CLUSTER_ROLES)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._roles.wait_synced()
        self._roles.subscribe(self._role_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, name: str) -> None:
        """Bring one aggregated role up to date."""
        role = self._roles.get(name)
        if role is None or not role.get("aggregationRule"):
            return
        rules = effective_rules(role, sorted(self._roles.list(), key=name_of))
        if _as_set(rules) == _as_set(role.get("rules") or []):
            return
        patch = {"metadata": {"resourceVersion": revision_of(role)}, "rules": rules}
        try:
            await self._client.patch(CLUSTER_ROLES, name, "", patch, field_manager=COMPONENT)
        except NotFound:
            return

    def _role_changed(self, old: Object | None, new: Object | None) -> None:
        for role in self._roles.list():
            if role.get("aggregationRule"):
                self._queue.add(name_of(role))


def _as_set(rules: list[Object]) -> set[str]:
    return {repr(sorted((name, value) for name, value in rule.items() if value)) for rule in rules}

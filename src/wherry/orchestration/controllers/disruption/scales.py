"""How many pods the owners of some pods want.

In:    informers of the built-in owners; /scale of everything else, asked at the server.
Out:   replicas by uid of the owner that has them: a Deployment stands for its ReplicaSets.
Spec:  Kubernetes pkg/controller/disruption/disruption.go (finders).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from wherry.kit.errors import Invalid
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.discovery import Kinds, replicas_of
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.controllers.workload.children import is_owner_kind
from wherry.orchestration.objects.kinds import (
    DEPLOYMENTS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from wherry.orchestration.objects.kinds import by_kind as built_in
from wherry.orchestration.objects.meta import Object, controller_of, name_of, namespace_of, uid_of

WITH_REPLICAS = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)


@dataclass(frozen=True, slots=True)
class Scales:
    """Looks owners up; `seen` has all of `WITH_REPLICAS`."""

    client: Client
    kinds: Kinds
    seen: Seen

    async def of(self, pods: Iterable[Object]) -> dict[str, int]:
        """Raise `Invalid` when a pod's controller has no scale."""
        found: dict[str, int] = {}
        asked: set[str] = set()
        for pod in pods:
            owner = controller_of(pod)
            if owner is None or owner["uid"] in asked:
                continue
            asked.add(owner["uid"])
            scale = await self._of_owner(owner, namespace_of(pod))
            if scale is None:
                raise Invalid(f'found no controllers for pod "{name_of(pod)}"')
            found[scale[0]] = scale[1]
        return found

    async def _of_owner(self, owner: Object, namespace: str) -> tuple[str, int] | None:
        resource = next((known for known in WITH_REPLICAS if is_owner_kind(owner, known)), None)
        if resource is None:
            return await self._of_any(owner, namespace)
        obj = self.seen[resource].get(f"{namespace}/{owner['name']}")
        if obj is None or uid_of(obj) != owner["uid"]:
            return None
        parent = controller_of(obj)
        if parent is not None:
            return await self._of_owner(parent, namespace) or (uid_of(obj), _replicas(obj))
        return uid_of(obj), _replicas(obj)

    async def _of_any(self, owner: Object, namespace: str) -> tuple[str, int] | None:
        resource = built_in(owner["apiVersion"], owner["kind"]) or await self.kinds.find(owner["apiVersion"], owner["kind"])
        if resource is None or "scale" not in resource.subresources:
            return None
        replicas = await replicas_of(self.client, resource, owner, namespace)
        return None if replicas is None else (owner["uid"], replicas)


def _replicas(obj: Object) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)

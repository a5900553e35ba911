"""How many pods the owners of some pods want.

In:    informers of the built-in owners; /scale of everything else, asked at the server.
Out:   replicas by uid of the owner that has them: a Deployment stands for its ReplicaSets.
Spec:  Kubernetes pkg/controller/disruption/disruption.go (finders).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from wherry.kit.errors import Invalid, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.controllers.garbage_collector.kinds import Kinds
from wherry.orchestration.controllers.workload.children import is_owner_kind
from wherry.orchestration.objects.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from wherry.orchestration.objects.kinds import by_kind as built_in
from wherry.orchestration.objects.meta import Object, controller_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource

WITH_REPLICAS = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)
LOOKED_UP = (*WITH_REPLICAS, CUSTOM_RESOURCE_DEFINITIONS)


@dataclass(frozen=True, slots=True)
class Scales:
    """Looks owners up; `seen` has all of `LOOKED_UP`."""

    client: Client
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
        resource = self._resource(owner)
        if resource is None:
            return None
        try:
            scale = await self.client.get(resource, owner["name"], namespace, subresource="scale")
        except NotFound:
            return None
        if uid_of(scale) not in ("", owner["uid"]):
            return None
        return owner["uid"], int((scale.get("spec") or {}).get("replicas") or 0)

    def _resource(self, owner: Object) -> Resource | None:
        known = built_in(owner["apiVersion"], owner["kind"])
        if known is not None:
            return known if "scale" in known.subresources else None
        group = str(owner["apiVersion"]).rpartition("/")[0]
        for definition in self.seen[CUSTOM_RESOURCE_DEFINITIONS].list():
            spec = definition["spec"]
            if spec["group"] == group and spec["names"]["kind"] == owner["kind"]:
                return Kinds.of_definition(definition)
        return None


def _replicas(obj: Object) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)

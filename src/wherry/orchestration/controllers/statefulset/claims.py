"""Create a StatefulSet's PersistentVolumeClaims and keep their owners as the retention policy says.

Spec:  Kubernetes pkg/controller/statefulset/stateful_pod_control.go; KEP-1847.
"""

from collections.abc import Sequence

from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.controllers.statefulset.identity import claim_owners, claims_for, ordinal_of
from wherry.orchestration.controllers.workload import pods as read
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, revision_of


class Claims:
    """Works on the claims of one set at a time."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def create(self, owner: Object, ordinal: int, pod_name: str, seen: Seen) -> None:
        """Make the claims of one ordinal that are missing. Raise `Conflict` while an old one is being deleted."""
        for claim in claims_for(owner, ordinal):
            there = seen[PERSISTENT_VOLUME_CLAIMS].get(key_of(claim))
            if there is not None and is_deleting(there):
                raise Conflict(f"pvc {name_of(claim)} is being deleted")
            if there is not None:
                continue
            references = claim_owners(owner, ordinal, claim, None)
            if references:
                claim["metadata"]["ownerReferences"] = references
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim)
            except AlreadyExists:
                continue
            except WherryError as error:
                what = f"create Claim {name_of(claim)} for Pod {pod_name} in StatefulSet {name_of(owner)}"
                self._recorder.event(owner, WARNING, "FailedCreate", f"{what} failed error: {error}")
                raise
            self._recorder.event(
                owner, NORMAL, "SuccessfulCreate",
                f"create Claim {name_of(claim)} Pod {pod_name} in StatefulSet {name_of(owner)} success",
            )  # fmt: skip

    async def keep(self, owner: Object, pods: Sequence[Object], seen: Seen) -> None:
        """Make claims that pending members lack; bring the owners of all members' claims up to date."""
        if not owner["spec"].get("volumeClaimTemplates"):
            return
        for pod in pods:
            ordinal = ordinal_of(owner, pod)
            if read.phase_of(pod) == "Pending" and not is_deleting(pod):
                await self.create(owner, ordinal, name_of(pod), seen)
            await self.keep_of(owner, ordinal, pod, seen)

    async def keep_of(self, owner: Object, ordinal: int, pod: Object, seen: Seen) -> None:
        """Bring the owners of one member's claims up to date."""
        for template in claims_for(owner, ordinal):
            claim = seen[PERSISTENT_VOLUME_CLAIMS].get(key_of(template))
            if claim is None:
                continue
            references = claim_owners(owner, ordinal, claim, pod)
            if references == (claim["metadata"].get("ownerReferences") or []):
                continue
            patch = {"metadata": {"resourceVersion": revision_of(claim), "ownerReferences": references or None}}
            try:
                await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), patch)
            except NotFound:
                continue

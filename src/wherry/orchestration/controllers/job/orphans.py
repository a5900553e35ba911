"""Take the tracking finalizer off pods whose Job is gone, so that they can be deleted.

In:    informers of pods and Jobs.
Out:   the finalizer taken off.
Spec:  Kubernetes pkg/controller/job/job_controller.go (syncOrphanPod).
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.controllers.job.tally import FINALIZER, is_tracked
from wherry.orchestration.controllers.workload.children import BY_OWNER, controlled_by, is_owner_kind
from wherry.orchestration.objects.kinds import JOBS, PODS
from wherry.orchestration.objects.meta import Object, controller_of, key_of, name_of, namespace_of, revision_of, uid_of


async def without_finalizer(client: Client, pod: Object) -> None:
    """Take the tracking finalizer off; a pod that is gone is fine."""
    kept = [name for name in pod["metadata"].get("finalizers") or () if name != FINALIZER]
    metadata = {"uid": uid_of(pod), "resourceVersion": revision_of(pod), "finalizers": kept or None}
    try:
        await client.patch(PODS, name_of(pod), namespace_of(pod), {"metadata": metadata})
    except NotFound:
        return


def _untended(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if new is not None and is_tracked(new) and not _has_job(new, seen):
        yield key_of(new)


def _of_the_deleted(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if old is not None and new is None:
        yield from map(key_of, controlled_by(seen[PODS], old))


class Orphans(Loop[str]):
    """Releases tracked pods whose Job is gone. Keys are those of pods."""

    name = "job-orphans"
    watches = (Watch(PODS, _untended, indexes=BY_OWNER), Watch(JOBS, _of_the_deleted))

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Release the pod if its Job does not exist, asking the server and not only the cache."""
        pod = seen[PODS].get(key)
        if pod is None or not is_tracked(pod) or _has_job(pod, seen):
            return
        owner = controller_of(pod)
        if owner is not None and is_owner_kind(owner, JOBS):
            try:
                live = await self.client.get(JOBS, owner["name"], namespace_of(pod))
            except NotFound:
                live = {}
            if uid_of(live) == owner["uid"]:
                return
        await without_finalizer(self.client, pod)


def _has_job(pod: Object, seen: Seen) -> bool:
    owner = controller_of(pod)
    job = seen[JOBS].get(f"{namespace_of(pod)}/{owner['name']}") if owner is not None else None
    return job is not None and owner is not None and uid_of(job) == owner["uid"]

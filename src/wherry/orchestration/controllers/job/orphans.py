"""Take the tracking finalizer off pods whose Job is gone, so that they can be deleted.

Spec:  Kubernetes pkg/controller/job/job_controller.go (syncOrphanPod).
"""

import asyncio
from collections.abc import Coroutine

from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.job.tally import FINALIZER, is_tracked
from wherry.orchestration.controllers.workload.children import controlled_by, is_owner_kind
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


class Orphans:
    """Watches tracked pods and deleted Jobs."""

    def __init__(self, client: Client, jobs: Informer, pods: Informer) -> None:
        self._client = client
        self._jobs = jobs
        self._pods = pods
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run_with(self, work: Coroutine[None, None, None]) -> None:
        """Run beside `work` until cancelled."""
        self._jobs.subscribe(self._job_changed)
        self._pods.subscribe(self._pod_changed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work, name="jobs")
            tasks.create_task(run_controller("job-orphans", self._queue, self.reconcile, 1), name="job-orphans")

    async def reconcile(self, key: str) -> None:
        """Release the pod if its Job does not exist, asking the server and not only the cache."""
        pod = self._pods.get(key)
        if pod is None or not is_tracked(pod) or self._has_job(pod):
            return
        owner = controller_of(pod)
        if owner is not None and is_owner_kind(owner, JOBS):
            try:
                live = await self._client.get(JOBS, owner["name"], namespace_of(pod))
            except NotFound:
                live = {}
            if uid_of(live) == owner["uid"]:
                return
        await without_finalizer(self._client, pod)

    def _has_job(self, pod: Object) -> bool:
        owner = controller_of(pod)
        job = self._jobs.get(f"{namespace_of(pod)}/{owner['name']}") if owner is not None else None
        return job is not None and owner is not None and uid_of(job) == owner["uid"]

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is None:
            for pod in controlled_by(self._pods, old):
                self._queue.add(key_of(pod))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and is_tracked(new) and not self._has_job(new):
            self._queue.add(key_of(new))

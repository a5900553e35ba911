"""Empty a Namespace that is being deleted, then let it go.

In:    informers of namespaces and pods; the server's discovery, asked at each pass, so that custom and aggregated
       resources are emptied too.
Out:   deletions, pods first and alone (KEP-5080); conditions; the `kubernetes` finalizer taken off.
Spec:  Kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

import asyncio
import logging

import orjson

from wherry.kit.backoff import Backoff
from wherry.kit.clock import Clock
from wherry.kit.errors import Conflict, NotFound, Unsupported, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.errors import from_reply
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.namespace import served
from wherry.orchestration.controllers.namespace.conditions import Progress, conditions_of
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.objects.kinds import NAMESPACES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

COMPONENT = "namespace-controller"
FINALIZER = "kubernetes"
WORKERS = 10
AT_ONCE = 8
LOOK_AGAIN_S_FIRST = 0.1  # doubling while content remains; a pod's end wakes at once
LOOK_AGAIN_S_MAX = 5.0


class Controller:
    """namespace-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._namespaces = informers.of(NAMESPACES)
        self._pods = informers.of(PODS)
        self._passes = Backoff(LOOK_AGAIN_S_FIRST, LOOK_AGAIN_S_MAX)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._namespaces.wait_synced()
        wake_on_change(self._namespaces, self._queue)
        self._pods.subscribe(self._pod_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, name: str) -> None:
        """One pass over one namespace."""
        namespace = self._namespaces.get(name)
        if namespace is None or not is_deleting(namespace):
            self._passes.reset(name)
            return
        if FINALIZER not in (namespace.get("spec") or {}).get("finalizers", ()):
            return
        progress = await self._empty(name)
        try:
            await self._report(namespace, progress)
            if progress.is_done:
                await self._finalize(namespace)
                log.debug("namespace %s is empty and goes", name)
                return
        except NotFound:
            return
        self._queue.add_after(name, self._passes.next_delay_s(name))

    async def _empty(self, name: str) -> Progress:
        """Ask for the deletion of everything; pods must be gone before anything else goes."""
        progress = Progress()
        await self._empty_of(PODS, name, progress)
        if progress.remaining or progress.errors:
            return progress
        resources, progress.undiscovered = await self._discover()
        free = asyncio.Semaphore(AT_ONCE)

        async def one(resource: Resource) -> None:
            async with free:
                await self._empty_of(resource, name, progress)

        async with asyncio.TaskGroup() as tasks:
            for resource in resources:
                tasks.create_task(one(resource), name=f"content {resource.plural}")
        return progress

    async def _empty_of(self, resource: Resource, name: str, progress: Progress) -> None:
        try:
            found = (await self._client.list(resource, name, metadata_only=True)).items
            if not found:
                return
            await self._delete(resource, name, found)
            progress.count(_place(resource), (await self._client.list(resource, name, metadata_only=True)).items)
        except (NotFound, Unsupported):
            return  # no longer served, or not to be listed
        except WherryError as error:
            progress.errors.append(f"unexpected error deleting {_place(resource)}: {error}")

    async def _delete(self, resource: Resource, name: str, found: list[Object]) -> None:
        if all(is_deleting(obj) for obj in found):
            return
        if "deletecollection" in resource.verbs:
            await self._client.delete_collection(resource, name, propagation="Background")
            return
        for obj in found:
            try:
                await self._client.delete(resource, name_of(obj), name, uid=uid_of(obj), propagation="Background")
            except (NotFound, Conflict):
                continue

    async def _discover(self) -> tuple[list[Resource], list[str]]:
        documents = []
        for path in served.PATHS:
            reply = await self._client.request("GET", path, headers={"accept": served.ACCEPT})
            if reply.status != 200:
                raise from_reply(reply.status, reply.body)
            documents.append(orjson.loads(reply.body))
        return served.deletable(documents)

    async def _report(self, namespace: Object, progress: Progress) -> None:
        status = namespace.get("status") or {}
        old = status.get("conditions")
        if progress.is_done and not old:
            return  # it goes with the next call; nobody could read them
        conditions = conditions_of(old, progress, self._clock.now())
        if conditions != old:
            body = {"status": {"phase": "Terminating", "conditions": conditions}}
            await self._client.patch_status(NAMESPACES, name_of(namespace), "", body)

    async def _finalize(self, namespace: Object) -> None:
        newest = await self._client.get(NAMESPACES, name_of(namespace))
        if uid_of(newest) != uid_of(namespace):
            return
        left = [name for name in newest["spec"].get("finalizers") or () if name != FINALIZER]
        await self._client.update(NAMESPACES, {**newest, "spec": {**newest["spec"], "finalizers": left}}, subresource="finalize")

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod is gone: its namespace may have waited for that."""
        if new is not None or old is None:
            return
        namespace = self._namespaces.get(namespace_of(old))
        if namespace is not None and is_deleting(namespace):
            self._queue.add(name_of(namespace))


def _place(resource: Resource) -> str:
    """`pods.`, `deployments.apps`: as upstream writes resources of the core group."""
    return f"{resource.plural}.{resource.group}"

"""Empty a Namespace that is being deleted, then let it go.

In:    informers of namespaces and pods; the server's discovery, asked at each pass, so that custom and aggregated
       resources are emptied too.
Out:   deletions, pods first and alone (KEP-5080); conditions; the `kubernetes` finalizer taken off.
Spec:  Kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

import asyncio
import logging
from collections.abc import Iterable

from wherry.kit.backoff import Backoff
from wherry.kit.errors import Conflict, NotFound, Unsupported, WherryError
from wherry.orchestration.client.discovery import discover
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.controllers.namespace.conditions import Progress, conditions_of
from wherry.orchestration.objects.kinds import NAMESPACES, PODS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

FINALIZER = "kubernetes"
NEEDED_VERBS = frozenset({"delete", "list"})
AT_ONCE = 8
LOOK_AGAIN_S_FIRST = 0.1  # doubling while content remains; a pod's end wakes at once
LOOK_AGAIN_S_MAX = 5.0


def _of_the_gone(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """A pod is gone: its namespace may have waited for that."""
    namespace = seen[NAMESPACES].get(namespace_of(old)) if old is not None and new is None else None
    if namespace is not None and is_deleting(namespace):
        yield name_of(namespace)


class Controller(Loop[str]):
    """namespace-controller."""

    name = "namespace-controller"
    workers = 10
    watches = (Watch(NAMESPACES), Watch(PODS, _of_the_gone))

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._passes = Backoff(LOOK_AGAIN_S_FIRST, LOOK_AGAIN_S_MAX)

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """One pass over one namespace."""
        namespace = seen[NAMESPACES].get(key)
        if namespace is None or not is_deleting(namespace):
            self._passes.reset(key)
            return None
        if FINALIZER not in (namespace.get("spec") or {}).get("finalizers", ()):
            return None
        progress = await self._empty(key)
        try:
            await self._report(namespace, progress)
            if progress.is_done:
                await self._finalize(namespace)
                log.debug("namespace %s is empty and goes", key)
                return None
        except NotFound:
            return None
        return self._passes.next_delay_s(key)

    async def _empty(self, name: str) -> Progress:
        """Ask for the deletion of everything; pods must be gone before anything else goes."""
        progress = Progress()
        await self._empty_of(PODS, name, progress)
        if progress.remaining or progress.errors:
            return progress
        discovered = await discover(self.client)
        resources = [r for r in discovered.resources if r.namespaced and set(r.verbs) >= NEEDED_VERBS]
        progress.undiscovered = list(discovered.stale)
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
            found = (await self.client.list(resource, name, metadata_only=True)).items
            if not found:
                return
            await self._delete(resource, name, found)
            progress.count(_place(resource), (await self.client.list(resource, name, metadata_only=True)).items)
        except (NotFound, Unsupported):
            return  # no longer served, or not to be listed
        except WherryError as error:
            progress.errors.append(f"unexpected error deleting {_place(resource)}: {error}")

    async def _delete(self, resource: Resource, name: str, found: list[Object]) -> None:
        if all(is_deleting(obj) for obj in found):
            return
        if "deletecollection" in resource.verbs:
            await self.client.delete_collection(resource, name, propagation="Background")
            return
        for obj in found:
            try:
                await self.client.delete(resource, name_of(obj), name, uid=uid_of(obj), propagation="Background")
            except (NotFound, Conflict):
                continue

    async def _report(self, namespace: Object, progress: Progress) -> None:
        status = namespace.get("status") or {}
        old = status.get("conditions")
        if progress.is_done and not old:
            return  # it goes with the next call; nobody could read them
        conditions = conditions_of(old, progress, self.clock.now())
        if conditions != old:
            body = {"status": {"phase": "Terminating", "conditions": conditions}}
            await self.client.patch_status(NAMESPACES, name_of(namespace), "", body)

    async def _finalize(self, namespace: Object) -> None:
        newest = await self.client.get(NAMESPACES, name_of(namespace))
        if uid_of(newest) != uid_of(namespace):
            return
        left = [name for name in newest["spec"].get("finalizers") or () if name != FINALIZER]
        await self.client.update(NAMESPACES, {**newest, "spec": {**newest["spec"], "finalizers": left}}, subresource="finalize")


def _place(resource: Resource) -> str:
    """`pods.`, `deployments.apps`: as upstream writes resources of the core group."""
    return f"{resource.plural}.{resource.group}"

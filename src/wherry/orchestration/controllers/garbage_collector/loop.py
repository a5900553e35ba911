"""Delete what has lost its owners, in the background, in the foreground, or let it go.

In:    metadata of every object of every deletable resource, custom ones as their definitions come and go.
Out:   deletions, owner references and finalizers taken off; OwnerRefInvalidNamespace events.
Promises: nothing is deleted because an informer is late: an owner that the graph lacks is asked for at the server, and
       every deletion and patch is conditional on uid and resourceVersion of what was judged.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.garbage_collector import decide as act
from wherry.orchestration.controllers.garbage_collector.graph import Graph, Item, item_of
from wherry.orchestration.controllers.garbage_collector.kinds import Kinds
from wherry.orchestration.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS
from wherry.orchestration.objects.meta import Object, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

COMPONENT = "garbage-collector-controller"
WORKERS = 10
SYNC_S_MAX = 30.0
UNSEEN_OWNER_RECHECK_S = 15.0
ABSENT_MAX = 500


class Controller:
    """Collects garbage. `resources` are the ones to watch from the start; custom resources join by themselves."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorder: Recorder,
        clock: Clock,
        resources: Sequence[Resource] | None = None,
    ) -> None:
        self._client = client
        self._informers = informers
        self._recorder = recorder.named(COMPONENT)
        self._kinds = Kinds() if resources is None else Kinds(resources)
        self._graph = Graph()
        self._absent: OrderedDict[str, None] = OrderedDict()  # "namespace/uid" of owners known to be gone
        self._queue: KeyedQueue[str] = KeyedQueue()
        self._monitors: dict[Resource, Informer] = {}

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        for resource in self._kinds.watched():
            self._monitor(resource)
        definitions = self._informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        await self._sync(definitions)
        definitions.subscribe(self._definition_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, uid: str) -> None:
        """Judge one object."""
        item = self._graph.items.get(uid)
        if item is None:
            return
        action = act.decide(item, self._graph, self._absent_owners(item))
        if isinstance(action, act.Ask):
            for owner in action.owners:
                if await self._exists(item, owner):
                    return  # or it cannot be looked up: nothing may be deleted
            action = act.decide(item, self._graph, self._absent_owners(item))
        await self._carry_out(item, action)

    async def _carry_out(self, item: Item, action: act.Action) -> None:
        match action:
            case act.Delete(policy, unblock):
                await self._delete(item, policy, unblock=unblock)
            case act.KeepOwners(owners):
                await self._patch(item, {"ownerReferences": list(owners)})
            case act.Finish(finalizer, dependents):
                for dependent in dependents:
                    kept = [ref for ref in dependent.owners if ref.get("uid") != item.uid]
                    await self._patch(dependent, {"ownerReferences": kept or None})
                left = [name for name in item.finalizers if name != finalizer]
                await self._patch(item, {"finalizers": left or None})
            case act.Press(uids):
                for uid in uids:
                    self._queue.add(uid)

    async def _delete(self, item: Item, policy: str, *, unblock: bool) -> None:
        revision = item.revision
        if unblock:
            free = [{**ref, "blockOwnerDeletion": False} if ref.get("blockOwnerDeletion") else ref for ref in item.owners]
            live = await self._patch(item, {"ownerReferences": free})
            revision = live["metadata"]["resourceVersion"] if live else revision
        # Debug: each dependent of each deleted object comes by here; an operator's log would hold little else.
        log.debug("deleting %s %s/%s: its owners are gone", item.resource.qualified_name, item.namespace, item.name)
        try:
            await self._client.delete(
                item.resource, item.name, item.namespace, uid=item.uid, revision=revision, propagation=policy
            )
        except NotFound:
            self._wake(self._graph.remove(item.uid))

    async def _patch(self, item: Item, metadata: Object) -> Object:
        """Change metadata of exactly the object that was judged; {} when it is gone."""
        body = {"metadata": {"uid": item.uid, "resourceVersion": item.revision, **metadata}}
        try:
            return await self._client.patch(item.resource, item.name, item.namespace, body)
        except NotFound:
            self._wake(self._graph.remove(item.uid))
            return {}

    def _absent_owners(self, item: Item) -> set[str]:
        return {ref["uid"] for ref in item.owners if f"{item.namespace}/{ref['uid']}" in self._absent}

    async def _exists(self, item: Item, owner: Object) -> bool:
        """Ask the server. True also when it cannot be told; notes an owner that is absent."""
        resource = self._kinds.find(owner)
        if resource is None:
            log.debug("owner %s of %s is of no kind that is served", owner, item.name)
            self._queue.add_after(item.uid, UNSEEN_OWNER_RECHECK_S)
            return True
        if resource.namespaced and not item.namespace:
            self._tell_invalid(item, owner)
            return True
        try:
            live = await self._client.get(resource, owner["name"], item.namespace if resource.namespaced else "")
            if uid_of(live) == owner["uid"]:
                # Ask again until the graph has it: it may come and go without the informer ever seeing it.
                self._queue.add_after(item.uid, UNSEEN_OWNER_RECHECK_S)
                return True
        except NotFound:
            pass
        if owner["uid"] in self._graph.items:
            self._tell_invalid(item, owner)
        self._absent[f"{item.namespace}/{owner['uid']}"] = None
        if len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)
        return False

    def _tell_invalid(self, item: Item, owner: Object) -> None:
        kind = f"{owner.get('apiVersion')}/{owner.get('kind')}"
        reference = f"[{kind}, namespace: {item.namespace}, name: {owner.get('name')}, uid: {owner.get('uid')}]"
        about = {
            "apiVersion": item.resource.api_version,
            "kind": item.resource.kind,
            "metadata": {"name": item.name, "namespace": item.namespace, "uid": item.uid},
        }
        what = f'ownerRef {reference} does not exist in namespace "{item.namespace}"'
        self._recorder.event(about, WARNING, "OwnerRefInvalidNamespace", what)

    def _monitor(self, resource: Resource) -> None:
        if resource in self._monitors:
            return
        informer = self._informers.of(resource, metadata_only=True)
        self._monitors[resource] = informer

        def changed(old: Object | None, new: Object | None) -> None:
            if old is not None and (new is None or uid_of(old) != uid_of(new)):
                self._wake(self._graph.remove(uid_of(old)))
            if new is not None:
                self._wake(self._graph.put(item_of(resource, new)))

        informer.subscribe(changed)

    def _wake(self, uids: set[str]) -> None:
        for uid in uids:
            self._queue.add(uid)

    def _definition_changed(self, old: Object | None, new: Object | None) -> None:
        before = self._kinds.of_definition(old) if old is not None else None
        after = self._kinds.of_definition(new) if new is not None else None
        if before is not None and before != after:
            informer = self._monitors.pop(before, None)
            self._kinds.remove(before)
            if informer is not None:
                for obj in informer.list():
                    self._wake(self._graph.remove(uid_of(obj)))
                self._informers.drop(informer)
        if after is not None:
            self._kinds.add(after)
            self._monitor(after)

    async def _sync(self, definitions: Informer) -> None:
        """Wait for the first lists. One resource that does not answer must not stop collection for ever."""
        try:
            async with asyncio.timeout(SYNC_S_MAX):
                await definitions.wait_synced()
                for informer in [*self._monitors.values()]:
                    await informer.wait_synced()
        except TimeoutError:
            late = [r.qualified_name for r, informer in self._monitors.items() if not informer.synced]
            log.warning("not listed after %.0f s, collecting without: %s", SYNC_S_MAX, ", ".join(late))

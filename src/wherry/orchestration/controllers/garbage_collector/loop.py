"""Delete what has lost its owners, in the background, in the foreground, or let it go.

In:    metadata of every object of every deletable resource, custom and aggregated ones as discovery shows them.
Out:   deletions, owner references and finalizers taken off; OwnerRefInvalidNamespace events.
Promises: nothing is deleted because an informer is late: an owner that the graph lacks is asked for at the server, and
       every deletion and patch is conditional on uid and resourceVersion of what was judged.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.discovery import discover
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import WARNING
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.garbage_collector import decide as act
from wherry.orchestration.controllers.garbage_collector.graph import Graph, Item, item_of
from wherry.orchestration.controllers.garbage_collector.kinds import Kinds
from wherry.orchestration.objects.kinds import API_SERVICES, BUILTIN, CUSTOM_RESOURCE_DEFINITIONS
from wherry.orchestration.objects.meta import Object, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

SYNC_S_MAX = 30.0
KINDS_AGAIN_S = 30.0  # upstream's resync of the kinds it watches
KINDS_RETRY_S = 1.0
UNSEEN_OWNER_RECHECK_S = 15.0
ABSENT_MAX = 500


class Controller(Loop[str]):
    """Collects garbage. `resources` are the ones to watch from the start; custom and aggregated ones join by themselves."""

    name = "garbage-collector-controller"
    workers = 10
    watches = (Watch(CUSTOM_RESOURCE_DEFINITIONS, nobody), Watch(API_SERVICES, nobody))

    def __init__(self, tools: Tools, resources: Sequence[Resource] = BUILTIN) -> None:
        super().__init__(tools)
        self._resources = resources
        self._absent: OrderedDict[str, None] = OrderedDict()  # "namespace/uid" of owners known to be gone
        self._start_anew()

    def _start_anew(self) -> None:
        """What was seen come may have gone while nobody looked."""
        self._kinds, self._graph = Kinds(self._resources), Graph()
        self._queue: KeyedQueue[str] = KeyedQueue()
        self._look = asyncio.Event()
        self._monitors: dict[Resource, tuple[Informer, ExitStack]] = {}

    async def run(self) -> None:
        """Run until cancelled. Unlike other loops, what it watches comes and goes, and is not waited for beyond `SYNC_S_MAX`."""
        self._start_anew()
        seen = Seen(self._informers, self.watches, self._queue.add, self._queue.add_after)
        told = [seen[CUSTOM_RESOURCE_DEFINITIONS], seen[API_SERVICES]]
        try:
            for resource in self._kinds.watched():
                self._monitor(resource)
            await self._sync(told)
            with ExitStack() as subscriptions:
                for informer in told:
                    subscriptions.enter_context(informer.subscribed(lambda _old, _new: self._look.set()))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._follow_kinds(), name=f"{self.name}-kinds")
                    for number in range(self.workers):
                        tasks.create_task(self._work(self._queue, seen), name=f"{self.name}-{number}")
        finally:
            for resource in [*self._monitors]:
                self._unmonitor(resource)
            self._queue.close()

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Judge one object, by its uid."""
        item = self._graph.items.get(key)
        if item is None:
            return None
        action = act.decide(item, self._graph, self._absent_owners(item))
        if isinstance(action, act.Ask):
            for owner in action.owners:
                resource = self._kinds.find(owner)
                if resource is not None and resource.namespaced and not item.namespace:
                    self._tell_invalid(item, owner)
                    return None
                if await self._exists(item, owner, resource):
                    # Ask again until the graph has it: it may come and go without the informer ever seeing it.
                    return UNSEEN_OWNER_RECHECK_S
            action = act.decide(item, self._graph, self._absent_owners(item))
        await self._carry_out(item, action)
        return None

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
                self._wake(uids)

    async def _delete(self, item: Item, policy: str, *, unblock: bool) -> None:
        revision = item.revision
        if unblock:
            free = [{**ref, "blockOwnerDeletion": False} if ref.get("blockOwnerDeletion") else ref for ref in item.owners]
            live = await self._patch(item, {"ownerReferences": free})
            revision = live["metadata"]["resourceVersion"] if live else revision
        # Debug: each dependent of each deleted object comes by here; an operator's log would hold little else.
        log.debug("deleting %s %s/%s: its owners are gone", item.resource.qualified_name, item.namespace, item.name)
        try:
            await self.client.delete(
                item.resource, item.name, item.namespace, uid=item.uid, revision=revision, propagation=policy
            )
        except NotFound:
            self._wake(self._graph.remove(item.uid))

    async def _patch(self, item: Item, metadata: Object) -> Object:
        """Change metadata of exactly the object that was judged; {} when it is gone."""
        body = {"metadata": {"uid": item.uid, "resourceVersion": item.revision, **metadata}}
        try:
            return await self.client.patch(item.resource, item.name, item.namespace, body)
        except NotFound:
            self._wake(self._graph.remove(item.uid))
            return {}

    def _absent_owners(self, item: Item) -> set[str]:
        return {ref["uid"] for ref in item.owners if f"{item.namespace}/{ref['uid']}" in self._absent}

    async def _exists(self, item: Item, owner: Object, resource: Resource | None) -> bool:
        """Ask the server. True also when it cannot be looked up: nothing may be deleted. Notes an owner that is absent."""
        if resource is None:
            log.debug("owner %s of %s is of no kind that is served", owner, item.name)
            return True
        try:
            live = await self.client.get(resource, owner["name"], item.namespace if resource.namespaced else "")
            if uid_of(live) == owner["uid"]:
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
        self.recorder.event(about, WARNING, "OwnerRefInvalidNamespace", what)

    def _monitor(self, resource: Resource) -> None:
        if resource in self._monitors:
            return

        def changed(old: Object | None, new: Object | None) -> None:
            if old is not None and (new is None or uid_of(old) != uid_of(new)) and self._is_its_own(resource, uid_of(old)):
                self._wake(self._graph.remove(uid_of(old)))
            if new is not None and self._is_its_own(resource, uid_of(new)):
                self._wake(self._graph.put(item_of(resource, new)))

        informer, subscription = self._informers.of(resource, metadata_only=True), ExitStack()
        subscription.enter_context(informer.subscribed(changed))
        self._monitors[resource] = informer, subscription

    def _is_its_own(self, resource: Resource, uid: str) -> bool:
        """An aggregated server that shows an object under the uid of another's says nothing about that one."""
        known = self._graph.items.get(uid)
        return known is None or known.resource == resource or resource in self._resources

    def _unmonitor(self, resource: Resource) -> Informer | None:
        informer, subscription = self._monitors.pop(resource, (None, ExitStack()))
        subscription.close()
        return informer

    def _wake(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._queue.add(uid)

    async def _follow_kinds(self) -> None:
        """Watch what is served now: at once when a definition or an APIService changes, and every `KINDS_AGAIN_S`."""
        while True:
            self._look.clear()
            pause_s = KINDS_AGAIN_S
            try:
                new, gone = self._kinds.follow(await discover(self.client))
            except WherryError as error:
                log.warning("what is served could not be asked for, again in %g s: %s", KINDS_RETRY_S, error)
                pause_s = KINDS_RETRY_S
            else:
                for resource in gone:
                    if (informer := self._unmonitor(resource)) is not None:
                        for uid in filter(partial(self._is_its_own, resource), map(uid_of, informer.list())):
                            self._wake(self._graph.remove(uid))
                        self._informers.drop(informer)
                for resource in new:
                    self._monitor(resource)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._look.wait()

    async def _sync(self, told: Sequence[Informer]) -> None:
        """Wait for the first lists. One resource that does not answer must not stop collection for ever."""
        try:
            async with asyncio.timeout(SYNC_S_MAX):
                for informer in [*told, *(informer for informer, _ in self._monitors.values())]:
                    await informer.wait_synced()
        except TimeoutError:
            late = [r.qualified_name for r, (informer, _) in self._monitors.items() if not informer.synced]
            log.warning("not listed after %.0f s, collecting without: %s", SYNC_S_MAX, ", ".join(late))

"""A control loop, declared: rows of `Watch` and one `reconcile`. The kit does what every loop has to do besides.

In:    `Tools`; the rows: a resource, which keys a change of one of its objects wakes, lookups to keep.
Out:   `Loop.run`, until cancelled. It may be called again after it failed: nothing of the last time is left behind.
Promises: no key is worked on twice at a time, nor before the caches show what the loop itself wrote for it. A lost race is
       retried silently, a refusal with a line, a bug with its trace, each after an exponential delay. A key that is woken
       without end has twenty turns a second (`Pace`).
Spec:  client-go util/workqueue, Kubernetes pkg/controller (what its controllers have in common).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic

from wherry.kit.clock import Clock, loop_time
from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.kit.pace import Pace
from wherry.kit.supervise import attempt
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.expectations import Expectations
from wherry.orchestration.client.informer import Indexer, Informer
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import RETRY_FIRST_S, RETRY_MAX_S, Key, KeyedQueue
from wherry.orchestration.objects.meta import Object, key_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

BURST, TURN_S = 50, 0.05  # of one key: fifty turns at once, then twenty a second; more is a quarrel, not work
RECHECK_S = 5.0  # the awaited event wakes the key; this is for one that a relist has swallowed

Wakes = Callable[["Seen", Object | None, Object | None], Iterable[Hashable]]  # (what is seen, old, new) -> keys


def itself(_: "Seen", old: Object | None, new: Object | None) -> Iterable[str]:
    """The changed object's own key."""
    yield key_of(new if new is not None else old or {})


def nobody(_: "Seen", old: Object | None, new: Object | None) -> Iterable[str]:
    """For rows that are only read."""
    return ()


def telling(told: Callable[[Object | None, Object | None], None]) -> Wakes:
    """For loops that keep a state from the changes themselves: `told(old, new)`, and no key."""

    def wakes(_: "Seen", old: Object | None, new: Object | None) -> Iterable[Hashable]:
        told(old, new)
        return ()

    return wakes


@dataclass(frozen=True, slots=True)
class Watch:
    """A row of a loop. `indexes` may be asked by `by_index`; informers of one selection are shared, so are their indexes."""

    resource: Resource
    wakes: Wakes = itself
    namespace: str = ""
    fields: str = ""
    metadata_only: bool = False
    indexes: Mapping[str, Indexer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a loop works with."""

    client: Client
    informers: Informers
    recorder: Recorder
    clock: Clock


class Seen:
    """The newest state of what a loop watches: `seen[PODS]` is an informer. And which of the loop's writes it shows."""

    def __init__(
        self, informers: Informers, watches: Sequence[Watch], wake: Callable[[Any], None],
        later: Callable[[Any, float], None] | None = None,
    ) -> None:
        self._informers: dict[Resource, Informer] = {}
        for watch in watches:
            assert watch.resource not in self._informers, f"two rows for {watch.resource.qualified_name}"
            informer = self._informers[watch.resource] = informers.of(
                watch.resource, watch.namespace, fields=watch.fields, metadata_only=watch.metadata_only)
            for name, indexer in watch.indexes.items():
                informer.add_index(name, indexer)
        self._written = Expectations(self._informers)
        self.wake, self._later = wake, later
        self.wrote, self.deleted = self._written.wrote, self._written.deleted
        self.shows, self.forget = self._written.met, self._written.forget

    def __getitem__(self, resource: Resource) -> Informer:
        return self._informers[resource]

    def wake_after(self, key: Hashable, delay_s: float | None) -> None:
        """For a loop that is about to raise: its retries grow apart, what is due by time is not put off by them."""
        assert self._later is not None, "only a loop with a queue has keys to wake"
        if delay_s is not None:
            self._later(key, delay_s)

    async def wait_synced(self) -> None:
        """Return once every row has its first list."""
        for informer in self._informers.values():
            await informer.wait_synced()


@asynccontextmanager
async def watching(
    informers: Informers, watches: Sequence[Watch], wake: Callable[[Any], None] = lambda _: None,
    later: Callable[[Any, float], None] | None = None,
) -> AsyncIterator[Seen]:
    """Once all rows are synced: `wake` each key of what is there and of every change, until the block ends."""
    seen = Seen(informers, watches, wake, later)
    await seen.wait_synced()
    with ExitStack() as stack:
        for watch in watches:
            if watch.wakes is not nobody:
                stack.enter_context(seen[watch.resource].subscribed(partial(_changed, seen, watch)))
        yield seen


def _changed(seen: Seen, watch: Watch, old: Object | None, new: Object | None) -> None:
    for key in watch.wakes(seen, old, new):
        seen.wake(key)


class Loop(ABC, Generic[Key]):
    """A control loop. Declare one by the attributes and `reconcile`; keys are those of the first row's objects, if nothing else
    is said.
    """

    name: str  # in logs, and as the source of Events
    watches: Sequence[Watch]
    workers: int = 1
    retry_s: tuple[float, float] = (RETRY_FIRST_S, RETRY_MAX_S)
    is_told_at_once: bool = False  # called once its own object is fresh, before what it did to others shows: it reports meanwhile

    def __init__(self, tools: Tools) -> None:
        self.client, self.clock = tools.client, tools.clock
        self.recorder = tools.recorder.named(self.name)
        self._informers = tools.informers
        self._pace = Pace(BURST, TURN_S)

    @abstractmethod
    async def reconcile(self, key: Key, seen: Seen) -> float | None:
        """Bring what `key` names up to date. Return in how many seconds to look again without an event, or None."""

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        queue: KeyedQueue[Key] = KeyedQueue(retry_first_s=self.retry_s[0], retry_max_s=self.retry_s[1])
        own = self.watches[0].resource
        try:
            async with (
                watching(self._informers, self.watches, queue.add, queue.add_after) as seen,
                asyncio.TaskGroup() as tasks,
            ):
                with seen[own].subscribed(partial(_forget_deleted, seen)):
                    for number in range(self.workers):
                        tasks.create_task(self._work(queue, seen), name=f"{self.name}-{number}")
                    await asyncio.Event().wait()
        finally:
            queue.close()

    async def _work(self, queue: KeyedQueue[Key], seen: Seen) -> None:
        while True:
            async with queue.take() as key:
                if not await attempt(f"{self.name} {key}", self._once(queue, seen, key)):
                    queue.retry(key)

    async def _once(self, queue: KeyedQueue[Key], seen: Seen, key: Key) -> None:
        if (delay_s := self._pace.delay_s(key, loop_time())) > 0:
            queue.add_after(key, delay_s)
            return
        if not seen.shows(key):
            queue.add_after(key, RECHECK_S)
            if not self.is_told_at_once or not seen.shows(key, self.watches[0].resource):
                return
        try:
            again_s = await self.reconcile(key, seen)
        except (Conflict, AlreadyExists, NotFound) as error:  # the cache was behind the server
            log.debug("%s %s: %s; retrying", self.name, key, error)
            queue.retry(key)
        except WherryError as error:
            log.warning("%s %s: %s; retrying", self.name, key, error)
            queue.retry(key)
        else:
            queue.forget(key)
            if again_s is not None:
                queue.add_after(key, again_s)


def _forget_deleted(seen: Seen, old: Object | None, new: Object | None) -> None:
    if new is None and old is not None:
        seen.forget(key_of(old))

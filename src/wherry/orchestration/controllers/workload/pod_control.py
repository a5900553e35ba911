"""Create and delete the pods of an owner, with upstream's events; many at once, carefully.

In:    an owner, pods to be (from `pod_template.py`), pods to go.
Out:   the pods as created; events on the owner; the first error after all that was started has ended.
Spec:  Kubernetes pkg/controller/controller_utils.go (RealPodControl, slowStartBatch).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.errors import ApiError
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

SLOW_START_FIRST = 1
PARALLEL_MAX = 50

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Batch:
    """How a batch went: how many succeeded, the first error, and how many were never tried after it."""

    done: int
    error: WherryError | None
    skipped: int


@dataclass(frozen=True, slots=True)
class PodControl:
    """Acts as one controller."""

    client: Client
    recorder: Recorder

    async def create(self, owner: Object, pod: Object) -> Object:
        """Create `pod` in the owner's namespace."""
        try:
            created = await self.client.create(PODS, pod, namespace_of(owner))
        except WherryError as error:
            if not is_namespace_ending(error):
                self.recorder.event(owner, WARNING, "FailedCreate", f"Error creating: {error}")
            raise
        self.recorder.event(owner, NORMAL, "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return created

    async def delete(self, owner: Object, pod: Object) -> None:
        """Delete `pod`; one that is gone is fine."""
        try:
            await self.client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return
        except WherryError as error:
            self.recorder.event(owner, WARNING, "FailedDelete", f"Error deleting: {error}")
            raise
        self.recorder.event(owner, NORMAL, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")


def is_namespace_ending(error: WherryError) -> bool:
    """True when the server refuses new objects because the namespace is being deleted."""
    return isinstance(error, ApiError) and any(c.get("reason") == "NamespaceTerminating" for c in error.causes)


async def slow_start(items: Sequence[Item], work: Callable[[Item], Awaitable[object]]) -> Batch:
    """Do `work` on 1, 2, 4 ... items at a time; stop growing at the first batch with an error.

    A quota or a webhook that refuses one refuses all: then one call found out instead of hundreds.
    """
    done, size, at = 0, SLOW_START_FIRST, 0
    while at < len(items):
        batch = await all_of(items[at : at + size], work)
        at += min(size, len(items) - at)
        done += batch.done
        if batch.error is not None:
            return Batch(done, batch.error, len(items) - at)
        size = min(size * 2, PARALLEL_MAX)
    return Batch(done, None, 0)


async def all_of(items: Sequence[Item], work: Callable[[Item], Awaitable[object]]) -> Batch:
    """Do `work` on all items, at most `PARALLEL_MAX` at a time, and wait for all."""
    errors: list[WherryError] = []
    free = asyncio.Semaphore(PARALLEL_MAX)

    async def one(item: Item) -> None:
        async with free:
            try:
                await work(item)
            except WherryError as error:
                errors.append(error)

    async with asyncio.TaskGroup() as tasks:
        for item in items:
            tasks.create_task(one(item), name="one of many")
    return Batch(len(items) - len(errors), errors[0] if errors else None, 0)

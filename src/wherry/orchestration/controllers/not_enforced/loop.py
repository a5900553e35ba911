"""Say on the object itself that it has no effect: an Event that `kubectl describe` shows, and conditions where it has some.

In:    informers of the kinds of `objects/not_enforced.py`.
Out:   one Event NotEnforced an object and sentence; conditions AbleToScale and ScalingActive of HorizontalPodAutoscalers.
       A restart says nothing that can still be read: Events of the last hour are looked at first.
Never: changes a spec. The API server has already warned the writer, or refused.
"""

from functools import partial

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import MESSAGE_MAX, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.objects import not_enforced
from wherry.orchestration.objects.kinds import EVENTS, HORIZONTAL_POD_AUTOSCALERS
from wherry.orchestration.objects.meta import Object, key_of, name_of, namespace_of, uid_of, with_condition

COMPONENT = "not-enforced"
TOLD_MAX = 10_000
Key = tuple[str, str, str]  # (group, plural, object key)


class Controller:
    """See the module docstring."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._rows = {(row.resource.group, row.resource.plural): row for row in not_enforced.watched()}
        self._informers = {place: informers.of(row.resource) for place, row in self._rows.items()}
        self._told: dict[tuple[str, str], None] = {}
        self._queue: KeyedQueue[Key] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        for informer in self._informers.values():
            await informer.wait_synced()
        await self._recall()
        for place, informer in self._informers.items():
            informer.subscribe(partial(self._changed, place))
        await run_controller(COMPONENT, self._queue, self.reconcile, 1)

    async def _recall(self) -> None:
        """Take for told what an Event says already."""
        found = await self._client.list(EVENTS, fields=f"reason={not_enforced.REASON}")
        for event in found.items[-TOLD_MAX:]:
            self._told[str(event["involvedObject"].get("uid", "")), str(event.get("message", ""))] = None

    def _changed(self, place: tuple[str, str], old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._queue.add((*place, key_of(new)))

    async def reconcile(self, key: Key) -> None:
        """Tell it of one object, once."""
        group, plural, name = key
        obj = self._informers[group, plural].get(name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return
        sentence = self._rows[group, plural].says(obj)[:MESSAGE_MAX]
        if not sentence:
            return
        if (uid_of(obj), sentence) not in self._told:
            self._recorder.event(obj, WARNING, not_enforced.REASON, sentence)
            self._told[uid_of(obj), sentence] = None
            if len(self._told) > TOLD_MAX:
                del self._told[next(iter(self._told))]
        if plural == HORIZONTAL_POD_AUTOSCALERS.plural:
            await self._write_conditions(obj, sentence)

    async def _write_conditions(self, autoscaler: Object, sentence: str) -> None:
        before = (autoscaler.get("status") or {}).get("conditions") or []
        after = before
        for kind in ("AbleToScale", "ScalingActive"):
            condition = {"type": kind, "status": "False", "reason": not_enforced.REASON, "message": sentence}
            after = with_condition(after, condition, self._clock.now())
        if after == before:
            return
        try:
            await self._client.patch_status(
                HORIZONTAL_POD_AUTOSCALERS, name_of(autoscaler), namespace_of(autoscaler), {"status": {"conditions": after}})
        except NotFound:
            return

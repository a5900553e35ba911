"""Say on the object itself that it has no effect: an Event that `kubectl describe` shows, and conditions where it has some.

In:    informers of the kinds of `objects/not_enforced.py`.
Out:   one Event NotEnforced an object and sentence; conditions AbleToScale and ScalingActive of HorizontalPodAutoscalers.
       A restart says nothing that can still be read: Events of the last hour are looked at first.
Never: changes a spec. The API server has already warned the writer, or refused.
"""

from collections.abc import Iterable
from functools import partial

from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import MESSAGE_MAX, WARNING
from wherry.orchestration.objects import not_enforced
from wherry.orchestration.objects.kinds import EVENTS, HORIZONTAL_POD_AUTOSCALERS
from wherry.orchestration.objects.meta import Object, key_of, name_of, namespace_of, uid_of, with_condition
from wherry.orchestration.objects.resources import Resource

TOLD_MAX = 10_000
Key = tuple[str, str, str]  # (group, plural, object key)


def _with_place(resource: Resource, _: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    if new is not None:
        yield resource.group, resource.plural, key_of(new)


class Controller(Loop[Key]):
    """See the module docstring. One worker: the first to tell recalls what was told before."""

    name = "not-enforced"
    watches = tuple(Watch(row.resource, partial(_with_place, row.resource)) for row in not_enforced.watched())

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._told: dict[tuple[str, str], None] | None = None

    async def _recall(self) -> dict[tuple[str, str], None]:
        """Take for told what an Event says already."""
        found = await self.client.list(EVENTS, fields=f"reason={not_enforced.REASON}")
        return {
            (str(event["involvedObject"].get("uid", "")), str(event.get("message", ""))): None
            for event in found.items[-TOLD_MAX:]
        }

    async def reconcile(self, key: Key, seen: Seen) -> None:
        """Tell it of one object, once."""
        group, plural, name = key
        row = not_enforced.row_of(group, plural)
        obj = seen[row.resource].get(name) if row is not None else None
        if row is None or obj is None or obj["metadata"].get("deletionTimestamp"):
            return
        sentence = row.says(obj)[:MESSAGE_MAX]
        if not sentence:
            return
        if self._told is None:
            self._told = await self._recall()
        if (uid_of(obj), sentence) not in self._told:
            self.recorder.event(obj, WARNING, not_enforced.REASON, sentence)
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
            after = with_condition(after, condition, self.clock.now())
        if after == before:
            return
        try:
            await self.client.patch_status(
                HORIZONTAL_POD_AUTOSCALERS, name_of(autoscaler), namespace_of(autoscaler), {"status": {"conditions": after}})
        except NotFound:
            return

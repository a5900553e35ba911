"""Events about objects, as `kubectl describe` shows them: repeats raise a count, storms are held back.

In:    `event(obj, type, reason, message)`, never blocking, never failing.
Out:   core/v1 Events, written by `run()` in the background.
Spec:  client-go tools/record: EventCorrelator (same event: count + 1; more than 10 alike in 10 min become one
       "(combined from similar events)"; 25 per source and object, then one in 5 min).
Lossy: at most `QUEUE_MAX` wait; the oldest are dropped. An event the server refuses is dropped with a debug line.
Keeps: of an object what could still matter: an event that is not repeated for ten minutes starts over, a full allowance is none.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from wherry.kit.clock import Clock, SystemClock, loop_time, rfc3339
from wherry.kit.errors import NotFound, Unavailable, WherryError
from wherry.kit.supervise import attempt
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import EVENTS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, revision_of, uid_of

log = logging.getLogger(__name__)

NORMAL = "Normal"
WARNING = "Warning"
QUEUE_MAX = 1000
MESSAGE_MAX = 1024
SEEN_MAX = 4096
ALIKE_MAX = 10
WINDOW_S = 600.0
BURST = 25
REFILL_S = 300.0
SEND_TRIES = 3

Key = tuple[str, ...]
Value = TypeVar("Value")


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    at: float


@dataclass(slots=True)
class _Alike:
    messages: set[str]
    since: float


class EventSink:
    """Correlates and writes. One per process is enough."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._waiting: deque[Object] = deque(maxlen=QUEUE_MAX)
        self._some = asyncio.Event()
        self._written: OrderedDict[Key, _Written] = OrderedDict()
        self._alike: OrderedDict[Key, _Alike] = OrderedDict()
        self._full_at: OrderedDict[Key, float] = OrderedDict()  # when a source and object may speak BURST times again
        self._made = 0

    def offer(self, event: Object) -> None:
        """Write `event` when its turn comes."""
        self._waiting.append(event)
        self._some.set()

    def now(self) -> datetime:
        """Wall time for the event's stamps."""
        return self._clock.now()

    async def run(self) -> None:
        """Write what is offered until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                await attempt("event", self._write(self._waiting.popleft()))

    async def drain(self) -> None:
        """Write what waits now; for orderly ends and tests."""
        while self._waiting:
            await self._write(self._waiting.popleft())

    async def _write(self, event: Object) -> None:
        source = (event["source"]["component"], *(event["involvedObject"].get(f, "") for f in ("kind", "uid", "name")))
        if not self._may_pass(source):
            return
        group = (*source, event["type"], event["reason"], event["involvedObject"].get("fieldPath", ""))
        key = (*group, "") if self._combine(event, group) else (*group, event["message"])
        for _ in range(SEND_TRIES):
            try:
                await self._send(event, key)
                return
            except Unavailable as error:
                log.debug("event %s not written yet: %s", event["reason"], error)
                await asyncio.sleep(1.0)
            except WherryError as error:  # its namespace is going away, or it is invalid: an event is never worth more
                log.debug("event %s dropped: %s", event["reason"], error)
                return

    @property
    def remembered(self) -> int:
        """How many facts about objects are kept."""
        return len(self._written) + len(self._alike) + len(self._full_at)

    async def _send(self, event: Object, key: Key) -> None:
        namespace, now = event["metadata"]["namespace"], loop_time()
        _forget(self._written, lambda written: now - written.at > WINDOW_S)
        known = self._written.get(key)
        if known is not None:
            known.count += 1
            known.at = now
            patch = {"count": known.count, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
            try:
                await self._client.patch(EVENTS, known.name, namespace, patch)
                self._written.move_to_end(key)
                return
            except NotFound:  # the server lets events expire
                del self._written[key]
        self._made += 1
        stamp = int(self._clock.now().timestamp() * 1_000_000_000) + self._made
        event["metadata"]["name"] = f"{event['involvedObject']['name']}.{stamp:x}"
        created = await self._client.create(EVENTS, event, namespace)
        self._written[key] = _Written(name_of(created), 1, now)

    def _may_pass(self, source: Key) -> bool:
        now = loop_time()
        full_at = max(now, self._full_at.pop(source, now))
        may_pass = full_at - now <= (BURST - 1) * REFILL_S
        self._full_at[source] = full_at + REFILL_S if may_pass else full_at
        _forget(self._full_at, lambda full_at: full_at <= now)
        return may_pass

    def _combine(self, event: Object, group: Key) -> bool:
        """True when `event` is one of too many alike; its message says so then."""
        now = loop_time()
        alike = self._alike.pop(group, None)
        if alike is None or now - alike.since > WINDOW_S:
            alike = _Alike(set(), now)
        alike.messages.add(event["message"])
        alike.since = now
        self._alike[group] = alike
        _forget(self._alike, lambda alike: now - alike.since > WINDOW_S)
        if len(alike.messages) <= ALIKE_MAX:
            return False
        alike.messages.pop()
        alike.messages.add(event["message"])
        event["message"] = f"(combined from similar events): {event['message']}"
        return True

def _forget(entries: OrderedDict[Key, Value], is_over: Callable[[Value], bool]) -> None:
    """Drop the oldest that say nothing any more: objects that came and went must not stay until `SEEN_MAX` more have come."""
    while entries:
        oldest = next(iter(entries))
        if len(entries) <= SEEN_MAX and not is_over(entries[oldest]):
            return
        del entries[oldest]


class Recorder:
    """Speaks for one component. `named` gives another component the same sink; `run` is needed once per sink."""

    def __init__(
        self,
        client: Client,
        component: str,
        host: str = "",
        *,
        clock: Clock | None = None,
        sink: EventSink | None = None,
    ) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._sink = sink or EventSink(client, clock or SystemClock())

    def named(self, component: str) -> "Recorder":
        """A recorder for `component` that writes through the same sink."""
        return Recorder(self._client, component, self._host, sink=self._sink)

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Note that `reason` happened to `obj`; `type` is Normal or Warning. `obj` has apiVersion and kind."""
        now = rfc3339(self._sink.now())
        about = {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": obj.get("kind", ""),
            "name": name_of(obj),
            "namespace": namespace_of(obj),
            "uid": uid_of(obj),
            "resourceVersion": revision_of(obj),
            "fieldPath": field_path,
        }
        source = {"component": self._component, "host": self._host}
        self._sink.offer({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace_of(obj) or "default"},
            "involvedObject": {name: value for name, value in about.items() if value},
            "type": type,
            "reason": reason,
            "message": message[:MESSAGE_MAX],
            "source": {name: value for name, value in source.items() if value},
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        })  # fmt: skip

    async def run(self) -> None:
        """Write events until cancelled."""
        await self._sink.run()

    async def drain(self) -> None:
        """Write the events that wait now."""
        await self._sink.drain()

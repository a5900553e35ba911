"""The pods that wait for a node: ready by priority, backing off after a failure, parked until something changes.

Spec:  kubernetes pkg/scheduler/backend/queue: back-off 1 s doubling to 10 s; unschedulable pods are tried again
       after 5 minutes even when no event said so.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from wherry.kit.backoff import Backoff
from wherry.orchestration.objects.meta import Object, key_of

BACKOFF_S_FIRST = 1.0
BACKOFF_S_MAX = 10.0
PARKED_S_MAX = 300.0


@dataclass(order=True, slots=True)
class _Ready:
    order: tuple[int, str, int]  # higher priority first, then older, then first come
    key: str = field(compare=False)


class SchedulingQueue:
    """Not a task: `pop` gives what is due at `now`, `next_due` says when to look again. Times are monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pods: dict[str, Object] = {}
        self._heap: list[_Ready] = []
        self._is_ready: set[str] = set()
        self._parked: dict[str, float] = {}  # key -> since
        self._due: dict[str, float] = {}  # key -> when its back-off ends
        self._backoff = Backoff(BACKOFF_S_FIRST, BACKOFF_S_MAX)
        self._count = 0
        self._soonest = float("inf")  # no parked or backing-off pod is due before

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, pod: Object) -> None:
        """A pod appeared or its spec changed: try it soon, unless it backs off."""
        key = key_of(pod)
        self._pods[key] = pod
        self._parked.pop(key, None)
        if self._due.get(key, 0.0) <= self._now():
            self._ready(key)

    def get(self, key: str) -> Object | None:
        """The newest state of a pod that waits."""
        return self._pods.get(key)

    def refresh(self, pod: Object) -> None:
        """Newer state of a waiting pod that does not make it schedulable (its own status was written)."""
        if key_of(pod) in self._pods:
            self._pods[key_of(pod)] = pod

    def remove(self, key: str) -> None:
        """Bound, or gone."""
        for held in (self._pods, self._parked, self._due):
            held.pop(key, None)
        self._is_ready.discard(key)
        self._backoff.reset(key)

    def park(self, key: str, *, backs_off: bool = True) -> None:
        """It did not fit: wait for a change, and at least for its back-off."""
        if key in self._pods:
            self._due[key] = self._now() + (self._backoff.next_delay_s(key) if backs_off else 0.0)
            self._parked[key] = self._now()
            self._soonest = min(self._soonest, self._now() + PARKED_S_MAX)

    def retry(self, key: str) -> None:
        """It fitted but binding failed: wait for its back-off only."""
        if key in self._pods:
            self._due[key] = self._now() + self._backoff.next_delay_s(key)
            self._soonest = min(self._soonest, self._due[key])

    def wake(self, concerns: Callable[[Object], bool] | None = None) -> None:
        """Something in the cluster changed: parked pods (that it `concerns`) may fit now, when their back-off is over."""
        now = self._now()
        for key in [*self._parked]:
            if concerns is not None and not concerns(self._pods[key]):
                continue
            del self._parked[key]
            due = self._due.get(key, 0.0)
            if due <= now:
                self._ready(key)
            else:
                self._soonest = min(self._soonest, due)

    def pop(self) -> Object | None:
        """The next pod to schedule, or None."""
        self._promote()
        while self._heap:
            key = heapq.heappop(self._heap).key
            if key in self._is_ready:
                self._is_ready.discard(key)
                return self._pods[key]
        return None

    def next_due_s(self) -> float | None:
        """Seconds until `pop` may give something without an event; None: only an event can."""
        self._promote()
        if self._is_ready:
            return 0.0
        return None if self._soonest == float("inf") else max(0.0, self._soonest - self._now())

    def _promote(self) -> None:
        now = self._now()
        if now < self._soonest:
            return
        for key, since in [*self._parked.items()]:
            if since + PARKED_S_MAX <= now:
                del self._parked[key]
        for key, due in [*self._due.items()]:
            if due <= now and key not in self._parked:
                del self._due[key]
                self._ready(key)
        self._soonest = min(self._moments(), default=float("inf"))

    def _moments(self) -> list[float]:
        waiting = [due for key, due in self._due.items() if key not in self._parked]
        return [*waiting, *(since + PARKED_S_MAX for since in self._parked.values())]

    def _ready(self, key: str) -> None:
        if key in self._is_ready or key not in self._pods:
            return
        self._due.pop(key, None)
        self._is_ready.add(key)
        self._count += 1
        pod = self._pods[key]
        priority = int((pod.get("spec") or {}).get("priority") or 0)
        heapq.heappush(self._heap, _Ready((-priority, pod.get("metadata", {}).get("creationTimestamp", ""), self._count), key))

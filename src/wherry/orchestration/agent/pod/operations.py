"""The work under way for one pod: one task per key, its failures remembered with a growing delay.

In:    a task group owned by the pod's worker. Out: `busy` keys, `not_before_ns`, `waiting` reasons; `wake()` after each end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wherry.kit.clock import Clock, loop_time
from wherry.kit.errors import WherryError, first_of
from wherry.kit.supervise import attempt

log = logging.getLogger(__name__)

RETRY_S_FIRST = 0.5
TIMER_GRAIN_S = 0.001  # timers may ring that early: what is due by then is due
RETRY_S_MAX = 10.0  # upstream's pod sync back-off

NS = 1_000_000_000


def now_ns(clock: Clock) -> int:
    """Unix nanoseconds."""
    return int(clock.now().timestamp() * NS)


KNOWN = (WherryError, OSError, TimeoutError)  # what the world may do; everything else is a bug


@dataclass(slots=True)
class _Operation:
    task: asyncio.Task[None]
    may_cancel: bool


class Operations:
    """Not thread-safe; belongs to one worker."""

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        self._running: dict[str, _Operation] = {}
        self._delay_s: dict[str, float] = {}
        self._is_settling = False
        self._not_before: dict[str, float] = {}  # by the loop's time: the date may be set

    @property
    def busy(self) -> frozenset[str]:
        """Keys under way."""
        return frozenset(self._running)

    def waits_s(self) -> dict[str, float]:
        """How long each key that failed must wait yet."""
        now = loop_time()
        return {key: due - now for key, due in self._not_before.items() if due - now > TIMER_GRAIN_S}

    def wait_no_more(self) -> None:
        """What failed may be tried at once: what it lacked has come."""
        self._not_before.clear()

    def launch(
        self,
        tasks: asyncio.TaskGroup,
        key: str,
        work: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], float | None],
        *,
        may_cancel: bool = False,
    ) -> None:
        """Start `work` unless `key` is under way. `failed(error)` gives a retry delay, or None for the default."""
        if key in self._running:
            return
        task = tasks.create_task(self._operate(key, work, failed), name=f"{self._name} {key}")
        self._running[key] = _Operation(task, may_cancel)

    def allow_cancel(self, key: str) -> None:
        """From here on the operation may be cut short by the pod's end."""
        if key in self._running:
            self._running[key].may_cancel = True
            if self._is_settling:
                self._running[key].task.cancel()

    def cancel(self, *keys: str) -> None:
        """Cut these short, whatever they do."""
        for key in keys:
            if key in self._running:
                self._running[key].task.cancel()

    async def settle(self, *, but: str) -> None:
        """Cut short what may be, now or once it may be; wait for the rest. `but` is the caller's own key."""
        self._is_settling = True
        for key, operation in self._running.items():
            if operation.may_cancel and key != but:
                operation.task.cancel()
        others = [operation.task for key, operation in self._running.items() if key not in (but, "status")]
        if others:
            await asyncio.wait(others)

    async def _operate(
        self, key: str, work: Callable[[], Awaitable[None]], failed: Callable[[Exception], float | None]
    ) -> None:
        try:
            # Errors we know get a delay and a reason; a bug is logged by `attempt` and gets the delay too.
            if await attempt(f"{self._name} {key}", self._known_errors(key, work, failed)):
                return
            self._delay(key, None)
        finally:
            self._running.pop(key, None)
            self._wake()

    async def _known_errors(
        self, key: str, work: Callable[[], Awaitable[None]], failed: Callable[[Exception], float | None]
    ) -> None:
        try:
            await work()
        except KNOWN as error:
            self._note_failure(key, error, failed)
        except ExceptionGroup as group:
            _, unknown = group.split(KNOWN)
            if unknown is not None:
                raise
            self._note_failure(key, first_of(group), failed)
        else:
            self._delay_s.pop(key, None)
            self._not_before.pop(key, None)

    def _note_failure(self, key: str, error: Exception, failed: Callable[[Exception], float | None]) -> None:
        log.info("pod %s: %s: %s", self._name, key, error)
        self._delay(key, failed(error))

    def _delay(self, key: str, given_s: float | None) -> None:
        if given_s is None:
            given_s = min(self._delay_s.get(key, RETRY_S_FIRST / 2) * 2, RETRY_S_MAX)
            self._delay_s[key] = given_s
        self._not_before[key] = loop_time() + given_s

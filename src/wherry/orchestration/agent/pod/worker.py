"""One pod on this node, from its first sight to the last file removed.

In:    the pod as the API has it (`update`), `poke` whenever something may have changed.
Out:   sandbox, containers and volumes as the pod wants; its status in the API; at its end nothing left here.
How:   look (`_step`): build a view, `decide`, launch what is to be done as tasks; each task's end is a poke.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from wherry.container.runtime.engine import State
from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.agent.facts.pod import describe, grace_s, is_terminal, spec_of, status_of
from wherry.orchestration.agent.facts.runtime import attempt_of
from wherry.orchestration.agent.plan import resize, status
from wherry.orchestration.agent.plan.admission import NODE_AFFINITY
from wherry.orchestration.agent.plan.decide import (
    Action,
    Kill,
    Plan,
    PodView,
    PrepareImage,
    SetUpVolumes,
    decide,
    key_of_action,
)
from wherry.orchestration.agent.plan.resize import Verdict
from wherry.orchestration.agent.plan.status import Waiting
from wherry.orchestration.agent.pod.actions import PodActions
from wherry.orchestration.agent.pod.context import PodContext
from wherry.orchestration.agent.pod.memory import Ending
from wherry.orchestration.agent.pod.operations import NS, TIMER_GRAIN_S, Operations, now_ns
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.pod.probes import PodProbes
from wherry.orchestration.agent.pod.removal import remove_everything
from wherry.orchestration.agent.pod.report import PodReport
from wherry.orchestration.agent.pod.stage import Stage
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

DEADLINE_TEXT = "Pod was active on the node longer than the specified deadline"


class PodWorker:
    """`run()` ends once the pod is gone from the API and from this machine.

    `is_shown` is set once the API has, for the first time, what this worker saw; also when the worker ends."""

    def __init__(self, pod: Object, parts: Parts) -> None:
        self.uid = uid_of(pod)
        self.is_shown = asyncio.Event()
        self._parts = parts
        self._wake = asyncio.Event()
        self._wake_at_ns: int | None = None
        self._context = PodContext(self.uid, pod, parts, self.poke)
        self._memory = self._context.memory
        self._operations = Operations(f"{namespace_of(pod)}/{name_of(pod)}", self.poke)
        self._actions = PodActions(self._context, self._operations.allow_cancel)
        self._probes = PodProbes(self._context)
        self._report = PodReport(self._context)
        self._tasks: asyncio.TaskGroup | None = None
        self._is_node_fresh = False
        self._stopping_grace_s: float | None = None

    @property
    def pod(self) -> Object:
        """The newest state known."""
        return self._context.pod

    @property
    def holds_resources(self) -> bool:
        """Counts against the node's allocatable amounts: admitted and not at its end."""
        is_refused = self._context.rejected is not None or is_terminal(self.pod)
        return self._context.stage == Stage.JUDGED and not is_refused

    def poke(self) -> None:
        """Look again soon; calls coalesce."""
        self._wake.set()

    def update(self, pod: Object) -> None:
        """A newer state of the pod."""
        self._context.take(pod)
        self.poke()

    def references_changed(self) -> None:
        """A ConfigMap or Secret it names changed: write its volumes again, retry what waits for it."""
        self._memory.volumes_stale = True
        self._operations.wait_no_more()
        self.poke()

    def forget(self) -> None:
        """The API has it no longer: stop it and remove everything."""
        self._context.is_gone = True
        self.poke()

    def evict(self, reason: str, message: str, *, grace: float) -> None:
        """The node needs its resources back."""
        if not self._context.must_end():
            self._parts.recorder.event(self.pod, "Warning", reason, message)
            self._memory.ending = Ending(grace, True, reason, message)
            self.poke()

    async def run(self) -> None:
        """Until nothing is left. Cancelling leaves the containers running."""
        self._memory.adopt(self.pod, self._parts.view.runs(self.uid))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._look_until_removed(tasks)
                self._operations.cancel(*self._operations.busy)
                self._probes.stop()
        finally:
            self._probes.stop()
            self.is_shown.set()

    async def _look_until_removed(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            self._step(tasks)
            if self._context.stage == Stage.REMOVED:
                return
            alarm = tasks.create_task(self._ring(), name="alarm")
            await self._wake.wait()
            alarm.cancel()

    async def _ring(self) -> None:
        delay_s = self._parts.settings.resync_s
        if self._wake_at_ns is not None:
            delay_s = min(delay_s, max((self._wake_at_ns - now_ns(self._parts.clock)) / NS, TIMER_GRAIN_S))
        await asyncio.sleep(delay_s)
        self.poke()

    def _step(self, tasks: asyncio.TaskGroup) -> None:
        """One look. Never awaits, so it always sees one consistent state."""
        self._wake_at_ns = None
        if self._context.stage < Stage.JUDGED and not self._admit():
            return
        self._check_deadline()
        self._probes.follow(tasks)
        if not self._context.must_end():
            self._step_forward()
        if self._context.must_end():
            self._step_to_end()
        self._publish()

    def _admit(self) -> bool:
        """True once it is known whether the node takes the pod; labels are judged by a Node read after the pod came."""
        has_run = bool(self._parts.view.runs(self.uid)) or self._context.sandbox() is not None
        rejection = None if has_run or self._context.must_end() else self._parts.admit(self.pod)
        if rejection is not None and rejection.reason == NODE_AFFINITY and not self._is_node_fresh:
            self._launch("node", self._read_node)
            return False
        self._context.advance(Stage.JUDGED)
        if rejection is not None:
            self._parts.recorder.event(self.pod, "Warning", rejection.reason, rejection.message)
            now = self._parts.clock.now()
            self._context.rejected = status.rejected(self.pod, rejection.reason, rejection.message, now)
        return True

    async def _read_node(self) -> None:
        await self._parts.refresh_node()
        self._is_node_fresh = True

    def _check_deadline(self) -> None:
        limit, started = spec_of(self.pod).get("activeDeadlineSeconds"), status_of(self.pod).get("startTime")
        if limit is None or not started or self._context.must_end():
            return
        due_ns = int((parse_rfc3339(started).timestamp() + float(limit)) * NS)
        if now_ns(self._parts.clock) >= due_ns:
            self._parts.recorder.event(self.pod, "Normal", "DeadlineExceeded", DEADLINE_TEXT)
            self._memory.ending = Ending(grace_s(self.pod), True, "DeadlineExceeded", DEADLINE_TEXT)
        else:
            self._wake_by(due_ns)

    # Forward: bring the pod up and keep it up.

    def _step_forward(self) -> None:
        plan = decide(self._view())
        self._note_crash_loops(plan)
        if plan.is_finished:
            self._memory.ending = Ending(grace_s(self.pod))
            return
        for action in plan.actions:
            self._launch_action(action)
        self._wake_by(plan.wake_at_ns)
        self._refresh_volumes()
        self._resize()

    def _view(self) -> PodView:
        memory, sandbox, runs = self._memory, self._context.sandbox(), self._context.runs()
        if sandbox is not None:
            memory.sandbox_attempt = max(memory.sandbox_attempt, attempt_of(sandbox))
        memory.forgive(runs)
        return PodView(
            pod=self.pod,
            sandbox=sandbox,
            runs=runs,
            now_ns=now_ns(self._parts.clock),
            sandbox_attempt=memory.sandbox_attempt,
            volumes_ready=memory.paths is not None,
            ready_images=frozenset(memory.images),
            started=frozenset(memory.started_ids),
            hooked=frozenset(memory.hooked_ids),
            kills=memory.kills,
            restart_delay_s=memory.restart_delay_s,
            waits_s=self._operations.waits_s(),
            busy=self._operations.busy,
        )

    def _note_crash_loops(self, plan: Plan) -> None:
        for name, delay_s in plan.crash_loops.items():
            message = f"back-off {_go_duration(delay_s)} restarting failed container={name} pod={describe(self.pod)}"
            if self._memory.waiting.get(name) != Waiting("CrashLoopBackOff", message):
                self._memory.waiting[name] = Waiting("CrashLoopBackOff", message)
                text = f"Back-off restarting failed container {name} in pod {describe(self.pod)}"
                self._context.container_event(name, "Warning", "BackOff", text)

    def _refresh_volumes(self) -> None:
        """New content, or a token that is due."""
        if self._memory.renew_at is not None:
            self._wake_by(int(self._memory.renew_at.timestamp() * NS))
            if self._parts.clock.now() >= self._memory.renew_at:
                self._memory.volumes_stale = True
        if self._memory.volumes_stale and self._memory.paths is not None and self._is_due("volumes"):
            self._launch_action(SetUpVolumes())

    def _resize(self) -> None:
        live = [history[-1] for history in self._parts.view.runs(self.uid).values() if history[-1].state == State.RUNNING]
        changes = resize.changes(
            self.pod, live, self._memory.applied, memory_capacity_bytes=self._parts.memory_capacity_bytes
        )
        if not changes:
            if "resize" not in self._operations.busy:
                self._memory.resize = Verdict()
            return
        self._memory.resize = self._parts.judge_resize(self.pod)
        if self._memory.resize.condition or not self._is_due("resize"):
            return
        for change in changes:
            if change.restarts:
                self._memory.kills[change.container_id] = Kill(f"Container {change.name} resize requires restart")
                self._memory.applied.pop(change.container_id)
                self.poke()
        in_place = [change for change in changes if not change.restarts]
        if in_place:
            self._memory.resize = Verdict("PodResizeInProgress")
            self._launch("resize", lambda: self._actions.resize(in_place))

    # To the end: stop, report, delete, remove.

    def _step_to_end(self) -> None:
        context = self._context
        is_ended = context.stage >= Stage.ENDED
        if is_ended and context.is_gone:
            self._launch("remove", self._remove)
        elif is_ended:
            # First the API shows how it ended, then the object goes.
            is_shown = is_terminal(self.pod) and "status" not in self._operations.busy
            if is_deleting(self.pod) and is_shown and context.stage < Stage.DELETED:
                self._launch("delete", self._report.delete)
        else:
            self._stop(self._ending_grace_s())

    def _stop(self, grace: float) -> None:
        if self._stopping_grace_s is not None and grace < self._stopping_grace_s:
            self._operations.cancel("end")  # asked for more speed; the next look starts over with it
        if "end" not in self._operations.busy and self._is_due("end"):
            self._stopping_grace_s = grace
            self._launch("end", lambda: self._end(grace))

    def _ending_grace_s(self) -> float:
        ending = self._memory.ending
        return grace_s(self.pod) if ending is None else min(grace_s(self.pod), ending.grace_s)

    async def _end(self, grace: float) -> None:
        await self._operations.settle(but="end")
        await self._actions.end(grace)

    async def _remove(self) -> None:
        await remove_everything(self._parts, self.pod)
        self._context.advance(Stage.REMOVED)

    def _publish(self) -> None:
        if "status" not in self._operations.busy and self._is_due("status"):
            patch = self._report.due()
            if patch is None:
                self.is_shown.set()
            else:
                self._launch("status", lambda: self._report.send(patch))

    def _is_due(self, key: str) -> bool:
        """False, and a wake-up at its time, while a failed operation must wait."""
        wait_s = self._operations.waits_s().get(key)
        if wait_s is None:
            return True
        self._wake_by(now_ns(self._parts.clock) + int(wait_s * NS))
        return False

    def _launch_action(self, action: Action) -> None:
        may_cancel = isinstance(action, SetUpVolumes | PrepareImage)
        self._launch(key_of_action(action), self._actions.work_for(action), may_cancel=may_cancel)

    def _launch(self, key: str, work: Callable[[], Awaitable[None]], *, may_cancel: bool = False) -> None:
        assert self._tasks is not None
        if self._is_due(key):
            self._operations.launch(
                self._tasks, key, work, lambda error: self._actions.failed(key, error), may_cancel=may_cancel
            )

    def _wake_by(self, when_ns: int | None) -> None:
        if when_ns is not None and (self._wake_at_ns is None or when_ns < self._wake_at_ns):
            self._wake_at_ns = when_ns


def _go_duration(seconds: float) -> str:
    """As Go prints whole seconds: `10s`, `1m20s`, `5m0s`."""
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes}m{left}s" if minutes else f"{left}s"

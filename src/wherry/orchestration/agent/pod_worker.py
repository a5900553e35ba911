"""One pod on this node, from its first sight to the last file removed.

In:    the pod as the API has it (`update`), `poke` whenever something may have changed.
Out:   sandbox, containers and volumes as the pod wants; its status in the API; at its end nothing left here.
How:   look (`_step`): build a view, `decide`, launch what is to be done as tasks; each task's end is a poke.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.clock import parse_rfc3339
from wherry.kit.errors import Conflict, NotFound
from wherry.kit.supervise import attempt
from wherry.orchestration.agent import status, status_patch
from wherry.orchestration.agent.container_start import StartFailed, run_post_start, start_container
from wherry.orchestration.agent.decide import (
    Action,
    CreateSandbox,
    Kill,
    KillContainer,
    Plan,
    PodView,
    PrepareImage,
    RemoveContainer,
    SetUpVolumes,
    StartContainer,
    decide,
    key_of_action,
)
from wherry.orchestration.agent.image_puller import ImageFailed, field_path
from wherry.orchestration.agent.operations import NS, Operations, now_ns
from wherry.orchestration.agent.parts import Parts
from wherry.orchestration.agent.pod import (
    container_named,
    describe,
    grace_s,
    is_terminal,
    spec_of,
    status_of,
)
from wherry.orchestration.agent.pod_files import termination_message
from wherry.orchestration.agent.pod_memory import Ending, PodMemory, with_lost_runs
from wherry.orchestration.agent.pod_plan import sandbox_config
from wherry.orchestration.agent.pod_removal import remove_everything
from wherry.orchestration.agent.probes.check import Target
from wherry.orchestration.agent.probes.worker import ContainerProbes
from wherry.orchestration.agent.runtime_view import attempt_of
from wherry.orchestration.agent.status import StatusInputs, Waiting
from wherry.orchestration.agent.termination import stop_all, stop_one
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, revision_of, uid_of

log = logging.getLogger(__name__)

DEADLINE_TEXT = "Pod was active on the node longer than the specified deadline"


class PodWorker:
    """`run()` ends once the pod is gone from the API and from this machine."""

    def __init__(self, pod: Object, parts: Parts) -> None:
        self.pod = pod
        self.uid = uid_of(pod)
        self._parts = parts
        self._memory = PodMemory()
        self._wake = asyncio.Event()
        self._operations = Operations(f"{namespace_of(pod)}/{name_of(pod)}", parts.clock, self.poke)
        self._tasks: asyncio.TaskGroup | None = None
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._is_gone = False  # from the API
        self._is_admitted = False
        self._rejected: Object | None = None
        self._are_stopped = False  # its containers, for good
        self._is_ended = False  # and its volumes down
        self._is_removed = False
        self._stopping_grace_s: float | None = None
        self._renew_at: datetime | None = None
        self._last_patch: tuple[str, Object] | None = None
        self._wake_at_ns: int | None = None

    @property
    def holds_resources(self) -> bool:
        """Counts against the node's allocatable amounts: admitted and not at its end."""
        return self._is_admitted and self._rejected is None and not self._are_stopped and not is_terminal(self.pod)

    def poke(self) -> None:
        """Look again soon; calls coalesce."""
        self._wake.set()

    def update(self, pod: Object) -> None:
        """A newer state of the pod."""
        if _revision(pod) >= _revision(self.pod):
            self.pod = pod
        self.poke()

    def references_changed(self) -> None:
        """A ConfigMap or Secret it names changed: write its volumes again, retry what waits for it."""
        if self._memory.paths is not None and not self._is_ended:
            self._launch_action(SetUpVolumes())
        self._operations.not_before_ns.clear()
        self.poke()

    def forget(self) -> None:
        """The API has it no longer: stop it and remove everything."""
        self._is_gone = True
        self.poke()

    async def run(self) -> None:
        """Until nothing is left. Cancelling leaves the containers running."""
        self._memory.adopt(self.pod, self._parts.view.runs(self.uid))
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while not self._is_removed:
                self._wake.clear()
                self._step()
                await self._wait()
            for probe in self._probes.values():
                probe.cancel()
            self._operations.cancel(*self._operations.busy)

    async def _wait(self) -> None:
        """Until poked or the next time that matters."""
        if self._is_removed:
            return
        delay_s = self._parts.settings.resync_s
        if self._wake_at_ns is not None:
            delay_s = min(delay_s, max((self._wake_at_ns - now_ns(self._parts.clock)) / NS, 0.0))
        assert self._tasks is not None
        alarm = self._tasks.create_task(self._ring(delay_s), name="alarm")
        await self._wake.wait()
        alarm.cancel()

    async def _ring(self, delay_s: float) -> None:
        await self._parts.clock.sleep(delay_s)
        self._wake.set()

    def _step(self) -> None:
        """One look. Never awaits, so it always sees one consistent state."""
        self._wake_at_ns = None
        if not self._is_admitted:
            self._admit()
        self._check_deadline()
        self._follow_runs()
        if self._must_end():
            self._step_to_end()
        else:
            self._step_forward()
        self._publish()

    def _admit(self) -> None:
        self._is_admitted = True
        has_run = bool(self._parts.view.runs(self.uid)) or self._parts.view.sandbox(self.uid) is not None
        if has_run or is_deleting(self.pod) or is_terminal(self.pod) or self._is_gone:
            return
        if (rejection := self._parts.admit(self.pod)) is not None:
            self._parts.recorder.event(self.pod, "Warning", rejection.reason, rejection.message)
            self._rejected = status.rejected(self.pod, rejection.reason, rejection.message, self._parts.clock.now())

    def _must_end(self) -> bool:
        ending = self._rejected is not None or self._memory.ending is not None
        return ending or self._is_gone or is_deleting(self.pod) or is_terminal(self.pod)

    def _check_deadline(self) -> None:
        limit = spec_of(self.pod).get("activeDeadlineSeconds")
        started = status_of(self.pod).get("startTime")
        if limit is None or not started or self._must_end():
            return
        due_ns = int((parse_rfc3339(started).timestamp() + float(limit)) * NS)
        if now_ns(self._parts.clock) >= due_ns:
            self._parts.recorder.event(self.pod, "Normal", "DeadlineExceeded", DEADLINE_TEXT)
            self._memory.ending = Ending(grace_s(self.pod), True, "DeadlineExceeded", DEADLINE_TEXT)
        else:
            self._wake_by(due_ns)

    def evict(self, reason: str, message: str, *, grace: float) -> None:
        """The node needs its resources back."""
        self._memory.ending = Ending(grace, True, reason, message)
        self.poke()

    # Forward: bring the pod up and keep it up.

    def _step_forward(self) -> None:
        view = self._view()
        plan = decide(view)
        self._note_crash_loops(plan)
        if plan.is_finished:
            self._memory.ending = Ending(grace_s(self.pod))
            self._step_to_end()
            return
        for action in plan.actions:
            self._launch_action(action)
        self._wake_by(plan.wake_at_ns)
        if self._renew_at is not None:
            self._wake_by(int(self._renew_at.timestamp() * NS))
            if self._parts.clock.now() >= self._renew_at:
                self._launch_action(SetUpVolumes())

    def _view(self) -> PodView:
        memory, sandbox = self._memory, self._parts.view.sandbox(self.uid)
        if sandbox is not None:
            memory.sandbox_attempt = max(memory.sandbox_attempt, attempt_of(sandbox))
        runs = self._runs()
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
            not_before_ns=self._operations.not_before_ns,
            busy=self._operations.busy,
        )

    def _runs(self) -> dict[str, tuple[ContainerStatus, ...]]:
        return with_lost_runs(self.pod, self._parts.view.runs(self.uid))

    def _note_crash_loops(self, plan: Plan) -> None:
        for name, delay_s in plan.crash_loops.items():
            message = f"back-off {_go_duration(delay_s)} restarting failed container={name} pod={describe(self.pod)}"
            if self._memory.waiting.get(name) != Waiting("CrashLoopBackOff", message):
                self._memory.waiting[name] = Waiting("CrashLoopBackOff", message)
                text = f"Back-off restarting failed container {name} in pod {describe(self.pod)}"
                self._container_event(name, "Warning", "BackOff", text)

    def _launch_action(self, action: Action) -> None:
        key = key_of_action(action)
        match action:
            case CreateSandbox(attempt):
                self._launch(key, lambda: self._create_sandbox(attempt))
            case SetUpVolumes():
                self._launch(key, self._set_up_volumes, may_cancel=True)
            case PrepareImage(name):
                self._launch(key, lambda: self._prepare_image(name), may_cancel=True)
            case StartContainer(name, attempt):
                self._launch(key, lambda: self._start_container(name, attempt))
            case KillContainer():
                self._launch(key, lambda: self._kill_container(action))
            case RemoveContainer(run_id):
                self._launch(key, lambda: self._remove_container(run_id))

    def _launch(self, key: str, work: Callable[[], Awaitable[None]], *, may_cancel: bool = False) -> None:
        assert self._tasks is not None
        self._operations.launch(self._tasks, key, work, lambda e: self._failed(key, e), may_cancel=may_cancel)

    def _failed(self, key: str, error: Exception) -> float | None:
        """Record why, for the status and as an event; the delay before the next try."""
        kind, _, name = key.partition(":")
        match error:
            case ImageFailed():
                self._memory.waiting[name] = Waiting(error.reason, str(error))
                return error.retry_s
            case StartFailed():
                self._memory.waiting[name] = Waiting(error.reason, str(error))
                return None
        event = {
            "sandbox": ("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"),
            "volumes": ("FailedMount", str(error)),
            "end": ("FailedKillPod", f"error killing pod: {error}"),
        }.get(kind)
        if event is not None:
            self._parts.recorder.event(self.pod, "Warning", *event)
        return None

    async def _create_sandbox(self, attempt: int) -> None:
        old = self._parts.view.sandbox(self.uid)
        if old is not None and not old.ready:
            await self._parts.view.stop_sandbox(old)
        sandbox = await self._parts.engine.create_sandbox(sandbox_config(self.pod, attempt, self._parts.settings))
        self._parts.view.note_sandbox(sandbox)

    async def _set_up_volumes(self) -> None:
        references = await self._parts.references.fetch(self.pod)
        found = await self._parts.volumes.set_up(self.pod, references, dict(self._parts.allocatable))
        self._memory.paths = found.paths
        self._renew_at = found.renew_at

    async def _prepare_image(self, name: str) -> None:
        container = container_named(self.pod, name)
        if container is None:
            return
        references = await self._parts.references.fetch(self.pod)
        self._memory.images[name] = await self._parts.images.ensure(self.pod, container, references)

    async def _start_container(self, name: str, attempt: int) -> None:
        container, sandbox = container_named(self.pod, name), self._parts.view.sandbox(self.uid)
        image = self._memory.images[name]
        if container is None or sandbox is None or self._memory.paths is None:
            return
        # The downward API shows addresses that the API server may not have yet.
        pod = {**self.pod, "status": self._status()}
        try:
            run_id = await start_container(
                self._parts, pod, container, image, sandbox, self._memory.paths, attempt=attempt
            )
        except StartFailed as error:
            if error.reason == "RunContainerError":  # that run counts: the next one is a restart
                self._memory.note_started(name, attempt=attempt, delay_s_max=self._parts.settings.crash_backoff_s_max)
            raise
        self._memory.note_started(name, attempt=attempt, delay_s_max=self._parts.settings.crash_backoff_s_max)
        self.poke()
        self._operations.allow_cancel(f"container:{name}")
        address = str(sandbox.address or self._parts.settings.node_ip)
        await run_post_start(self._parts, pod, container, attempt, address, grace=lambda: grace_s(self.pod))
        self._memory.hooked_ids.add(run_id)

    async def _kill_container(self, action: KillContainer) -> None:
        run = await self._parts.engine.container_status(action.container_id)
        grace = grace_s(self.pod) if action.grace_s is None else action.grace_s
        await stop_one(self._parts, self.pod, run, self._address(), grace_s=grace, message=action.message)

    async def _remove_container(self, run_id: str) -> None:
        if run_id:
            await self._parts.engine.remove_container(run_id)
            self._parts.view.drop_container(run_id)

    # To the end: stop, report, delete, remove.

    def _step_to_end(self) -> None:
        if self._is_ended:
            if self._is_gone:
                self._launch("remove", self._remove_everything)
            elif is_deleting(self.pod) and self._is_reported():
                self._launch("delete", self._delete_from_api)
            return
        grace = self._ending_grace_s()
        if self._stopping_grace_s is not None and grace < self._stopping_grace_s:
            self._operations.cancel("end")  # asked for more speed; the next look starts over with it
        if "end" not in self._operations.busy:
            self._stopping_grace_s = grace
            self._launch("end", lambda: self._end(grace))

    def _ending_grace_s(self) -> float:
        ending = self._memory.ending
        grace = grace_s(self.pod)
        if ending is not None:
            grace = min(grace, ending.grace_s)
        return grace

    async def _end(self, grace: float) -> None:
        """Containers, sandbox, volumes: all down, records kept for the status and the logs."""
        await self._operations.settle(but="end")
        runs = [run for history in self._parts.view.runs(self.uid).values() for run in history]
        await stop_all(self._parts, self.pod, runs, self._address(), grace_s=grace)
        for sandbox in self._parts.view.sandboxes(self.uid):
            await self._parts.view.stop_sandbox(sandbox)
        self._are_stopped = True
        self.poke()
        await self._parts.volumes.tear_down(self.uid)
        self._memory.paths = None
        self._is_ended = True

    def _is_reported(self) -> bool:
        """The API shows the final status, so that nobody misses how the pod ended."""
        return is_terminal(self.pod) and "status" not in self._operations.busy

    async def _delete_from_api(self) -> None:
        try:
            await self._parts.client.delete(PODS, name_of(self.pod), namespace_of(self.pod), uid=self.uid, grace_s=0)
        except (NotFound, Conflict):
            self._is_gone = True  # deleted already, or the name belongs to another pod by now

    async def _remove_everything(self) -> None:
        await remove_everything(self._parts, self.pod)
        self._is_removed = True

    # Probes.

    def _follow_runs(self) -> None:
        """Probe what runs; forget what ended; read last words."""
        live: set[str] = set()
        for name, history in self._parts.view.runs(self.uid).items():
            container = container_named(self.pod, name) or {"name": name}
            for run in history:
                if run.state == State.RUNNING:
                    live.add(run.id)
                    if run.id in self._memory.hooked_ids and run.id not in self._probes:
                        self._begin_probes(run, container)
                elif run.state == State.EXITED and run.id not in self._memory.termination_messages:
                    self._memory.termination_messages[run.id] = termination_message(run, container)
        for run_id in [run_id for run_id in self._probes if run_id not in live]:
            self._probes.pop(run_id).cancel()
            self._memory.forget_run(run_id)

    def _begin_probes(self, run: ContainerStatus, container: Object) -> None:
        assert self._tasks is not None
        if self._must_end():
            return
        target = Target(run.id, container, self._address())
        probes = ContainerProbes(
            target,
            self._parts.engine,
            self,
            self._parts.clock,
            started_for_s=max((now_ns(self._parts.clock) - run.started_at_ns) / NS, 0.0),
            is_started=run.id in self._memory.started_ids,
        )
        if not container.get("startupProbe"):
            self._note_started(run.id, container)
        self._probes[run.id] = self._tasks.create_task(_probe(run.name, probes), name=f"probes {run.name}")

    def _note_started(self, run_id: str, container: Object) -> None:
        self._memory.started_ids.add(run_id)
        if not container.get("readinessProbe"):
            self._memory.ready_ids.add(run_id)

    def started(self, container_id: str) -> None:
        """See `probes.worker.Report`."""
        run = self._run(container_id)
        if run is not None and container_id not in self._memory.started_ids:
            self._note_started(container_id, container_named(self.pod, run.name) or {})
            self.poke()

    def ready(self, container_id: str, is_ready: bool) -> None:
        """See `probes.worker.Report`."""
        (self._memory.ready_ids.add if is_ready else self._memory.ready_ids.discard)(container_id)
        self.poke()

    def unhealthy(self, container_id: str, kind: str, grace_s: float | None) -> None:
        """See `probes.worker.Report`."""
        run = self._run(container_id)
        if run is not None and not self._must_end():
            text = f"Container {run.name} failed {kind} probe, will be restarted"
            self._memory.kills[container_id] = Kill(text, grace_s)
            self.poke()

    def failed_once(self, container_id: str, kind: str, text: str) -> None:
        """See `probes.worker.Report`."""
        run = self._run(container_id)
        if run is not None and not (self._must_end() and kind != "Readiness"):
            self._container_event(run.name, "Warning", "Unhealthy", f"{kind} probe failed: {text}")

    def _run(self, run_id: str) -> ContainerStatus | None:
        runs = self._parts.view.runs(self.uid).values()
        return next((run for history in runs for run in history if run.id == run_id), None)

    # Status.

    def _publish(self) -> None:
        """Send what differs from what the API has; one patch at a time, the newest state each."""
        if self._is_gone or "status" in self._operations.busy:
            return
        patch = status_patch.status_patch(self.pod, status_of(self.pod), self._status())
        if patch is None or self._last_patch == (revision_of(self.pod), patch):
            return  # nothing to say, or the server keeps saying it otherwise: do not insist
        due_ns = self._operations.not_before_ns.get("status", 0)
        if due_ns > now_ns(self._parts.clock):
            self._wake_by(due_ns)
            return
        self._launch("status", lambda: self._send(patch))

    async def _send(self, patch: Object) -> None:
        try:
            answer = await self._parts.client.patch(
                PODS, name_of(self.pod), namespace_of(self.pod), patch,
                content_type=status_patch.CONTENT_TYPE, subresource="status",
            )  # fmt: skip
        except (NotFound, Conflict) as error:
            log.debug("pod %s: status not taken: %s", describe(self.pod), error)
            return
        if _revision(answer) >= _revision(self.pod):
            self.pod = answer
        self._last_patch = (revision_of(self.pod), patch)

    def _status(self) -> Object:
        if self._rejected is not None:
            return self._rejected
        memory, ending = self._memory, self._memory.ending
        return status.build(
            StatusInputs(
                pod=self.pod,
                node_ip=self._parts.settings.node_ip,
                now=self._parts.clock.now(),
                runs=self._runs(),
                sandbox=self._parts.view.sandbox(self.uid),
                waiting=memory.waiting,
                ready=frozenset(memory.ready_ids),
                started=frozenset(memory.started_ids),
                is_ended=self._are_stopped,
                is_failed=ending is not None and ending.is_failed and self._are_stopped,
                reason=ending.reason if ending is not None and self._are_stopped else "",
                message=ending.message if ending is not None and self._are_stopped else "",
                termination_messages=memory.termination_messages,
                disruption=ending.message if ending is not None and ending.reason == "Evicted" else "",
            )
        )

    def _address(self) -> str:
        """Where the host reaches the pod."""
        sandbox = self._parts.view.sandbox(self.uid)
        return str(sandbox.address) if sandbox is not None and sandbox.address else self._parts.settings.node_ip

    def _container_event(self, name: str, kind: str, reason: str, text: str) -> None:
        path = field_path(self.pod, {"name": name})
        self._parts.recorder.event(self.pod, kind, reason, text, field_path=path)

    def _wake_by(self, when_ns: int | None) -> None:
        if when_ns is not None and (self._wake_at_ns is None or when_ns < self._wake_at_ns):
            self._wake_at_ns = when_ns


async def _probe(name: str, probes: ContainerProbes) -> None:
    await attempt(f"probes of {name}", probes.run())


def _revision(pod: Object) -> int:
    """resourceVersions of one object may be compared since 1.35 (KEP-5504)."""
    text = revision_of(pod)
    return int(text) if text.isdigit() else 0


def _go_duration(seconds: float) -> str:
    """As Go prints whole seconds: `10s`, `1m20s`, `5m0s`."""
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes}m{left}s" if minutes else f"{left}s"

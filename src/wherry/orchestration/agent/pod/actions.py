"""Carry out what was decided for one pod: sandbox, volumes, images, containers, limits.

In:    `decide.Action`. Out: changes in engine and on disk, noted in the context's memory; errors go to `failed`.
Never: decides whether; `plan/decide.py` and `worker.py` do.
"""

from collections.abc import Awaitable, Callable

from wherry.kit.errors import WherryError
from wherry.orchestration.agent.facts.pod import container_named, grace_s
from wherry.orchestration.agent.plan import qos, resize
from wherry.orchestration.agent.plan.configs import sandbox_config
from wherry.orchestration.agent.plan.decide import (
    Action,
    CreateSandbox,
    KillContainer,
    PrepareImage,
    RemoveContainer,
    SetUpVolumes,
    StartContainer,
    key_of_action,
)
from wherry.orchestration.agent.plan.status import Waiting
from wherry.orchestration.agent.pod.container_start import StartFailed, run_post_start, start_container
from wherry.orchestration.agent.pod.context import PodContext
from wherry.orchestration.agent.pod.memory import crash_backoff_s_max
from wherry.orchestration.agent.pod.stage import Stage
from wherry.orchestration.agent.pod.termination import stop_all, stop_one
from wherry.orchestration.agent.references import runtime_class
from wherry.orchestration.agent.references.images import ImageFailed

_EVENTS = {
    "sandbox": ("FailedCreatePodSandBox", "Failed to create pod sandbox: "),
    "volumes": ("FailedMount", ""),
    "end": ("FailedKillPod", "error killing pod: "),
    "resize": ("ResizeError", "error resizing pod: "),
}


class PodActions:
    """`allow_cancel(key)` is called once an operation has come to a point where it may be cut short."""

    def __init__(self, context: PodContext, allow_cancel: Callable[[str], None]) -> None:
        self._context = context
        self._allow_cancel = allow_cancel

    def work_for(self, action: Action) -> Callable[[], Awaitable[None]]:
        """The coroutine function that carries `action` out."""
        match action:
            case CreateSandbox(attempt):
                return lambda: self._create_sandbox(attempt)
            case SetUpVolumes():
                return self._set_up_volumes
            case PrepareImage(name):
                return lambda: self._prepare_image(name)
            case StartContainer():
                return lambda: self._start_container(action)
            case KillContainer():
                return lambda: self._kill_container(action)
            case RemoveContainer(run_id):
                return lambda: self._remove_container(run_id)

    def failed(self, key: str, error: Exception) -> float | None:
        """Record why, for the status and as an event; the delay before the next try, None for the default."""
        kind, _, name = key.partition(":")
        match error:
            case ImageFailed():
                self._context.memory.waiting[name] = Waiting(error.reason, str(error))
                return error.retry_s
            case StartFailed():
                self._context.memory.waiting[name] = Waiting(error.reason, str(error))
            case _ if kind in _EVENTS:
                reason, text = _EVENTS[kind]
                self._context.parts.recorder.event(self._context.pod, "Warning", reason, f"{text}{error}")
        return None

    async def end(self, grace: float) -> None:
        """Containers, sandbox, volumes: all down; records are kept for the status and the logs."""
        context, parts = self._context, self._context.parts
        runs = [run for history in parts.view.runs(context.uid).values() for run in history]
        await stop_all(parts, context.pod, runs, context.address(), grace_s=grace)
        for sandbox in parts.view.sandboxes(context.uid):
            await parts.view.stop_sandbox(sandbox)
        context.advance(Stage.STOPPED)
        context.poke()  # the final status need not wait for the volumes
        await parts.volumes.tear_down(context.uid)
        context.memory.paths = None
        context.advance(Stage.ENDED)

    async def resize(self, changes: list[resize.Change]) -> None:
        """New limits for running containers: the pod's cgroup first where it grows, last where it shrinks."""
        context, engine = self._context, self._context.parts.engine
        sandbox = context.sandbox()
        if sandbox is None:
            return
        pod_resources = qos.pod_resources(context.pod, pids_max=context.parts.settings.pod_pids_max)
        try:
            await engine.update_sandbox_resources(sandbox.id, pod_resources)
            is_pod_done = True
        except WherryError:
            is_pod_done = False  # it shrinks below what is used: the containers go first
        for change in changes:
            await engine.update_resources(change.container_id, change.resources)
            context.memory.note_resources(change.container_id, change.resources, context.pod, change.name)
        if not is_pod_done:
            await engine.update_sandbox_resources(sandbox.id, pod_resources)

    async def _create_sandbox(self, attempt: int) -> None:
        parts, pod = self._context.parts, self._context.pod
        await runtime_class.check(parts.client, pod)
        old = self._context.sandbox()
        if old is not None and not old.ready:
            await parts.view.stop_sandbox(old)
        parts.view.note_sandbox(await parts.engine.create_sandbox(sandbox_config(pod, attempt, parts.settings)))

    async def _set_up_volumes(self) -> None:
        parts, memory = self._context.parts, self._context.memory
        memory.volumes_stale = False  # before the read: what changes from here on makes it stale again
        references = await parts.references.fetch(self._context.pod)
        found = await parts.volumes.set_up(self._context.pod, references, dict(parts.allocatable))
        memory.paths, memory.renew_at = found.paths, found.renew_at

    async def _prepare_image(self, name: str) -> None:
        parts, pod = self._context.parts, self._context.pod
        if (container := container_named(pod, name)) is not None:
            references = await parts.references.fetch_pull_secrets(pod)
            self._context.memory.images[name] = await parts.images.ensure(pod, container, references)

    async def _start_container(self, action: StartContainer) -> None:
        context, memory, parts = self._context, self._context.memory, self._context.parts
        container, sandbox = container_named(context.pod, action.container), context.sandbox()
        if container is None or sandbox is None or memory.paths is None:
            return
        # The downward API shows addresses that the API server may not have yet.
        pod = {**context.pod, "status": context.status()}
        image = memory.images[action.container]
        delay_s_max = crash_backoff_s_max(pod, parts.settings.crash_backoff_s_max)
        try:
            run_id = await start_container(
                parts, pod, container, image, sandbox, memory.paths, attempt=action.attempt
            )
        except StartFailed as error:
            if error.reason == "RunContainerError":  # that run counts: the next one is a restart
                memory.note_started(action.container, attempt=action.attempt, delay_s_max=delay_s_max)
            raise
        memory.note_started(action.container, attempt=action.attempt, delay_s_max=delay_s_max)
        limits = qos.container_resources(pod, container, memory_capacity_bytes=parts.memory_capacity_bytes)
        memory.note_resources(run_id, limits, pod, action.container)
        context.poke()
        self._allow_cancel(key_of_action(action))
        await run_post_start(
            parts, pod, container, action.attempt, context.address(), grace=lambda: grace_s(context.pod)
        )
        memory.hooked_ids.add(run_id)

    async def _kill_container(self, action: KillContainer) -> None:
        context, parts = self._context, self._context.parts
        run = await parts.engine.container_status(action.container_id)
        grace = grace_s(context.pod) if action.grace_s is None else action.grace_s
        await stop_one(parts, context.pod, run, context.address(), grace_s=grace, message=action.message)

    async def _remove_container(self, run_id: str) -> None:
        if run_id:
            await self._context.parts.engine.remove_container(run_id)
            self._context.parts.view.drop_container(run_id)

"""The probes of one pod: begun when a container is past its postStart hook, ended with it.

In:    `PodContext`, a task group. Out: started and ready ids, kills, Unhealthy events (in the context's memory).
"""

import asyncio

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.supervise import attempt
from wherry.orchestration.agent.facts.pod import container_named, is_host_network
from wherry.orchestration.agent.plan.decide import Kill
from wherry.orchestration.agent.pod.context import PodContext
from wherry.orchestration.agent.pod.files import termination_message
from wherry.orchestration.agent.pod.operations import NS, now_ns
from wherry.orchestration.agent.probes.check import Target
from wherry.orchestration.agent.probes.worker import ContainerProbes
from wherry.orchestration.objects.meta import Object


class PodProbes:
    """A `probes.worker.Report`."""

    def __init__(self, context: PodContext) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(self, tasks: asyncio.TaskGroup) -> None:
        """Probe what runs; forget what ended and read its last words."""
        memory = self._context.memory
        live: set[str] = set()
        known: set[str] = set()
        for name, history in self._context.parts.view.runs(self._context.uid).items():
            container = container_named(self._context.pod, name) or {"name": name}
            for run in history:
                known.add(run.id)
                if run.state == State.RUNNING:
                    live.add(run.id)
                    if run.id in memory.hooked_ids and run.id not in self._tasks and not self._context.must_end():
                        self._begin(run, container, tasks)
                elif run.state == State.EXITED and run.id not in memory.termination_messages:
                    memory.termination_messages[run.id] = termination_message(run, container)
        for run_id in [run_id for run_id in self._tasks if run_id not in live]:
            self._tasks.pop(run_id).cancel()
            memory.forget_run(run_id)
        for run_id in [run_id for run_id in memory.termination_messages if run_id not in known]:
            del memory.termination_messages[run_id]

    def stop(self) -> None:
        """End all of them."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def _begin(self, run: ContainerStatus, container: Object, tasks: asyncio.TaskGroup) -> None:
        parts = self._context.parts
        probes = ContainerProbes(
            Target(run.id, container, self._context.address(), is_host_network(self._context.pod)),
            parts.engine,
            self,
            started_for_s=max((now_ns(parts.clock) - run.started_at_ns) / NS, 0.0),
            is_started=run.id in self._context.memory.started_ids,
        )
        if not container.get("startupProbe"):
            self._note_started(run.id, container)
        self._tasks[run.id] = tasks.create_task(_run(run.name, probes), name=f"probes {run.name}")

    def _note_started(self, run_id: str, container: Object) -> None:
        self._context.memory.started_ids.add(run_id)
        if not container.get("readinessProbe"):
            self._context.memory.ready_ids.add(run_id)

    def started(self, container_id: str) -> None:
        """See `probes.worker.Report`."""
        run = self._context.run(container_id)
        if run is not None and container_id not in self._context.memory.started_ids:
            self._note_started(container_id, container_named(self._context.pod, run.name) or {})
            self._context.poke()

    def ready(self, container_id: str, is_ready: bool) -> None:
        """See `probes.worker.Report`."""
        ids = self._context.memory.ready_ids
        if is_ready:
            ids.add(container_id)
        else:
            ids.discard(container_id)
        self._context.poke()

    def unhealthy(self, container_id: str, kind: str, grace_s: float | None) -> None:
        """See `probes.worker.Report`."""
        run = self._context.run(container_id)
        if run is not None and not self._context.must_end():
            text = f"Container {run.name} failed {kind} probe, will be restarted"
            self._context.memory.kills[container_id] = Kill(text, grace_s)
            self._context.poke()

    def failed_once(self, container_id: str, kind: str, text: str) -> None:
        """See `probes.worker.Report`."""
        run = self._context.run(container_id)
        if run is not None and (kind == "Readiness" or not self._context.must_end()):
            self._context.container_event(run.name, "Warning", "Unhealthy", f"{kind} probe failed: {text}")


async def _run(name: str, probes: ContainerProbes) -> None:
    await attempt(f"probes of {name}", probes.run())

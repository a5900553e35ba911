"""One pod as its worker's parts see it: the newest object, what runs, what is remembered.

Shared by `worker` (when), `actions` (how), `probes` and `report`. No I/O of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from wherry.container.runtime.engine import ContainerStatus, SandboxStatus
from wherry.orchestration.agent.facts.pod import all_containers, is_terminal
from wherry.orchestration.agent.plan import status
from wherry.orchestration.agent.plan.status import StatusInputs
from wherry.orchestration.agent.pod.memory import PodMemory, with_lost_runs
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.pod.stage import Stage
from wherry.orchestration.agent.references.images import field_path
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, labels_of, revision_of


@dataclass(slots=True)
class PodContext:
    """`poke` makes the worker look again. `stage` never goes back, nor `is_gone`."""

    uid: str
    pod: Object
    parts: Parts
    poke: Callable[[], None]
    memory: PodMemory = field(default_factory=PodMemory)
    rejected: Object | None = None  # the whole status of a pod that this node will not run
    is_gone: bool = False  # from the API, at whatever stage
    _stage: Stage = field(default=Stage.SEEN, init=False)

    @property
    def stage(self) -> Stage:
        """How far its life here has come; `advance` moves it."""
        return self._stage

    def advance(self, reached: Stage) -> None:
        """As `Stage.moved_to`."""
        self._stage = self._stage.moved_to(reached)

    def take(self, pod: Object) -> None:
        """Keep the newer state; what was prepared from the older one and differs is prepared again."""
        if revision_number(pod) < revision_number(self.pod):
            return
        old, self.pod = self.pod, pod
        if labels_of(old) != labels_of(pod) or annotations_of(old) != annotations_of(pod):
            self.memory.volumes_stale = True  # the downward API shows them
        before = {c["name"]: c.get("image") for _, c in all_containers(old)}
        for _, container in all_containers(pod):
            if before.get(container["name"]) != container.get("image"):
                self.memory.images.pop(str(container["name"]), None)

    def must_end(self) -> bool:
        """Nothing of it will be started any more."""
        decided = self.rejected is not None or self.memory.ending is not None
        return decided or self.is_gone or is_deleting(self.pod) or is_terminal(self.pod)

    def sandbox(self) -> SandboxStatus | None:
        """The newest one."""
        return self.parts.view.sandbox(self.uid)

    def runs(self) -> dict[str, tuple[ContainerStatus, ...]]:
        """By container name, oldest first; with those that only the API remembers."""
        return with_lost_runs(self.pod, self.parts.view.runs(self.uid))

    def run(self, container_id: str) -> ContainerStatus | None:
        """The run with that id."""
        histories = self.parts.view.runs(self.uid).values()
        return next((run for history in histories for run in history if run.id == container_id), None)

    def address(self) -> str:
        """Where the host reaches the pod."""
        sandbox = self.sandbox()
        return str(sandbox.address) if sandbox is not None and sandbox.address else self.parts.settings.node_ip

    def container_event(self, name: str, kind: str, reason: str, text: str) -> None:
        """An event about one container."""
        self.parts.recorder.event(self.pod, kind, reason, text, field_path=field_path(self.pod, {"name": name}))

    def status(self) -> Object:
        """What the API should show now."""
        if self.rejected is not None:
            return self.rejected
        memory = self.memory
        is_stopped = self.stage >= Stage.STOPPED
        ending = memory.ending if is_stopped else None
        return status.build(
            StatusInputs(
                pod=self.pod,
                node_ip=self.parts.settings.node_ip,
                now=self.parts.clock.now(),
                runs=self.runs(),
                sandbox=self.sandbox(),
                waiting=memory.waiting,
                ready=frozenset(memory.ready_ids),
                started=frozenset(memory.started_ids),
                is_ended=is_stopped,
                is_failed=ending is not None and ending.is_failed,
                reason=ending.reason if ending is not None else "",
                message=ending.message if ending is not None else "",
                termination_messages=memory.termination_messages,
                disruption=ending.message if ending is not None and ending.reason == "Evicted" else "",
                resize=memory.resize,
                resources=memory.shown_resources,
            )
        )


def revision_number(pod: Object) -> int:
    """resourceVersions of one object may be compared since 1.35 (KEP-5504)."""
    text = revision_of(pod)
    return int(text) if text.isdigit() else 0

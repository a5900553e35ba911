"""What a pod's worker remembers between two looks: what the API last said, what is ready, what waits.

Pure state with small updates; no I/O. Everything here can be lost with the process: `adopt` builds it again from the
API's status and the engine's records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wherry.container.image.service import Image
from wherry.container.runtime.engine import ContainerStatus, Resources, State
from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.agent.facts.pod import all_containers, container_named, recorded_statuses
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.agent.plan.decide import Kill
from wherry.orchestration.agent.plan.resize import Verdict
from wherry.orchestration.agent.plan.status import Waiting
from wherry.orchestration.objects.meta import Object

NS = 1_000_000_000
BACKOFF_S_FIRST = 10.0
SYSTEM_BACKOFF_S_MAX = 0.5
SYSTEM_NAMESPACES = frozenset({"kube-system", "wherry-system"})
BACKOFF_RESET_S = 600.0
LOST_EXIT_CODE = 137


@dataclass(frozen=True, slots=True)
class Ending:
    """The node ends the pod by itself. `is_failed` makes the phase Failed whatever the exit codes."""

    grace_s: float
    is_failed: bool = False
    reason: str = ""
    message: str = ""


@dataclass(slots=True)
class PodMemory:
    """See the module docstring. Sets and maps named `*_ids` are keyed by container id, others by container name."""

    images: dict[str, Image] = field(default_factory=dict)
    paths: dict[str, str] | None = None  # volumes, once set up
    waiting: dict[str, Waiting] = field(default_factory=dict)
    restart_delay_s: dict[str, float] = field(default_factory=dict)
    hooked_ids: set[str] = field(default_factory=set)
    started_ids: set[str] = field(default_factory=set)
    ready_ids: set[str] = field(default_factory=set)
    kills: dict[str, Kill] = field(default_factory=dict)
    termination_messages: dict[str, str] = field(default_factory=dict)
    sandbox_attempt: int = -1
    ending: Ending | None = None
    volumes_stale: bool = False  # their content must be written again
    renew_at: datetime | None = None  # when a token in them is due
    applied: dict[str, Resources] = field(default_factory=dict)  # limits in force, by container id
    shown_resources: dict[str, Object] = field(default_factory=dict)  # the spec's words for them, by container name
    resize: Verdict = field(default_factory=Verdict)

    def note_resources(self, container_id: str, limits: Resources, pod: Object, name: str) -> None:
        """These limits are in force now."""
        self.applied[container_id] = limits
        self.shown_resources[name] = (container_named(pod, name) or {}).get("resources") or {}

    def adopt(self, pod: Object, runs: Mapping[str, tuple[ContainerStatus, ...]]) -> None:
        """At start: containers that run already are past their hooks, and as ready as the API says."""
        shown = {str(s.get("containerID", "")).partition("://")[2]: s for s in recorded_statuses(pod)}
        for last in (history[-1] for history in runs.values()):
            if last.state != State.RUNNING:
                continue
            self.hooked_ids.add(last.id)
            if shown.get(last.id, {}).get("started"):
                self.started_ids.add(last.id)
            resources = shown.get(last.id, {}).get("resources")
            if resources is not None and (container := container_named(pod, last.name)) is not None:
                as_shown = {**container, "resources": resources}
                self.shown_resources[last.name] = resources
                self.applied[last.id] = qos.container_resources(pod, as_shown, memory_capacity_bytes=1)
            if shown.get(last.id, {}).get("ready"):
                self.ready_ids.add(last.id)

    def note_started(self, name: str, *, attempt: int, delay_s_max: float) -> None:
        """A container was started: the next restart waits longer."""
        self.images.pop(name, None)
        self.waiting.pop(name, None)
        if attempt > 0:
            before = self.restart_delay_s.get(name, 0.0)
            self.restart_delay_s[name] = min(before * 2 or BACKOFF_S_FIRST, delay_s_max)

    def forgive(self, runs: Mapping[str, tuple[ContainerStatus, ...]]) -> None:
        """A run of ten minutes wipes the slate."""
        for name, history in runs.items():
            last = history[-1]
            if last.state == State.EXITED and last.finished_at_ns - last.started_at_ns >= BACKOFF_RESET_S * NS:
                self.restart_delay_s.pop(name, None)

    def forget_run(self, container_id: str) -> None:
        """The run ended."""
        self.started_ids.discard(container_id)
        self.ready_ids.discard(container_id)
        self.kills.pop(container_id, None)
        self.applied.pop(container_id, None)


def crash_backoff_s_max(pod: Object, usual_s: float) -> float:
    """The longest wait before a restart: short for what the node itself stands on, which tenants cannot be part of."""
    spec, namespace = pod.get("spec") or {}, (pod.get("metadata") or {}).get("namespace")
    is_system = namespace in SYSTEM_NAMESPACES and spec.get("priorityClassName") == "system-node-critical"
    return min(usual_s, SYSTEM_BACKOFF_S_MAX) if is_system else usual_s


def with_lost_runs(pod: Object, runs: dict[str, tuple[ContainerStatus, ...]]) -> dict[str, tuple[ContainerStatus, ...]]:
    """`runs` plus those that only the API remembers: the engine lost them (reboot, wiped state)."""
    shown = {str(s.get("name", "")): s for s in recorded_statuses(pod)}
    found = dict(runs)
    for _, container in all_containers(pod):
        name = str(container["name"])
        if name not in found and (lost := _lost_run(shown.get(name, {}))) is not None:
            found[name] = (lost,)
    return found


def _lost_run(status: Object) -> ContainerStatus | None:
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    if not ended and not state.get("running"):
        return None
    if not ended or state.get("running"):
        ended = {
            "exitCode": LOST_EXIT_CODE,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
            "startedAt": (state.get("running") or {}).get("startedAt"),
        }
    return ContainerStatus(
        id=str(status.get("containerID") or ended.get("containerID") or "").partition("://")[2],
        sandbox_id="",
        name=str(status["name"]),
        attempt=int(status.get("restartCount") or 0),
        state=State.EXITED,
        image=str(status.get("imageID") or ""),
        image_ref=str(status.get("imageID") or ""),
        created_at_ns=0,
        started_at_ns=_ns(ended.get("startedAt")),
        finished_at_ns=_ns(ended.get("finishedAt")),
        exit_code=int(ended.get("exitCode") or 0),
        reason=str(ended.get("reason") or ""),
        message=str(ended.get("message") or ""),
    )


def _ns(text: str | None) -> int:
    return int(parse_rfc3339(text).timestamp()) * NS if text else 0

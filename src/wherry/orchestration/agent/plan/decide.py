"""What to do next for one pod that is meant to run. Pure.

In:    `PodView`, a snapshot: the pod, what the engine has, what is ready, what was refused, the time.
Out:   `Plan`: actions in order, when to look again, and whether the pod has run to its end.
Spec:  k8s.io/docs/concepts/workloads/pods/pod-lifecycle, KEP-753 (sidecars), KEP-5307 (container restart rules).
       Ending a pod (deletion, deadline, all done) is `pod/termination.py`; this module only says that it is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.container.runtime.engine import ContainerStatus, SandboxStatus, State
from wherry.kit.clock import SET_BACK_S
from wherry.orchestration.agent.facts.labels import SPEC_HASH
from wherry.orchestration.agent.facts.pod import (
    app_containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    restart_policy,
)
from wherry.orchestration.agent.plan.configs import spec_hash
from wherry.orchestration.objects.meta import Object

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Namespaces and network; `attempt` counts from 0."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SetUpVolumes:
    """All volumes of the pod."""


@dataclass(frozen=True, slots=True)
class PrepareImage:
    """Have the image for the next start of a container."""

    container: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Create and start; `attempt` is its restart count."""

    container: str
    attempt: int


@dataclass(frozen=True, slots=True)
class KillContainer:
    """Stop one container, so that it is restarted by policy."""

    container: str
    container_id: str
    message: str
    grace_s: float | None = None  # None: the pod's


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Drop an old run that nothing shows any more."""

    container_id: str


Action = CreateSandbox | SetUpVolumes | PrepareImage | StartContainer | KillContainer | RemoveContainer


@dataclass(frozen=True, slots=True)
class Kill:
    """A probe wants the container restarted."""

    message: str
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    """A snapshot. Times are Unix nanoseconds; `busy` holds the keys of operations under way (see `key_of_action`)."""

    pod: Object
    sandbox: SandboxStatus | None
    runs: Mapping[str, tuple[ContainerStatus, ...]]
    now_ns: int
    sandbox_attempt: int = -1  # newest ever
    recorded_restarts: Mapping[str, int] = field(default_factory=dict)  # from the API, for runs the engine forgot
    volumes_ready: bool = False
    ready_images: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()  # container ids past postStart and startup probe
    hooked: frozenset[str] = frozenset()  # container ids past postStart
    kills: Mapping[str, Kill] = field(default_factory=dict)  # by container id
    restart_delay_s: Mapping[str, float] = field(default_factory=dict)
    waits_s: Mapping[str, float] = field(default_factory=dict)  # by action key: what failed is not tried again before
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """`crash_loops`: containers waiting in back-off -> its length. `is_finished`: nothing will ever run again."""

    actions: tuple[Action, ...] = ()
    wake_at_ns: int | None = None
    crash_loops: Mapping[str, float] = field(default_factory=dict)
    is_finished: bool = False


def key_of_action(action: Action) -> str:
    """What may be under way only once at a time."""
    match action:
        case CreateSandbox():
            return "sandbox"
        case SetUpVolumes():
            return "volumes"
        case PrepareImage(container):
            return f"image:{container}"
        case StartContainer(container) | KillContainer(container):
            return f"container:{container}"
        case RemoveContainer(container_id):
            return f"remove:{container_id}"


def decide(view: PodView) -> Plan:
    """The plan; the same view always gives the same plan."""
    return _Decision(view).plan()


class _Decision:
    def __init__(self, view: PodView) -> None:
        self.view = view
        self.pod = view.pod
        self.actions: list[Action] = []
        self.wakes: list[int] = []
        self.crash_loops: dict[str, float] = {}

    def plan(self) -> Plan:
        finished = self._is_finished()
        if not finished:
            self._prepare()
            self._run()
        self._drop_old_runs()
        ready = tuple(a for a in self.actions if key_of_action(a) not in self.view.busy and not self._must_wait(a))
        return Plan(ready, min(self.wakes, default=None), self.crash_loops, finished)

    def _must_wait(self, action: Action) -> bool:
        wait_s = self.view.waits_s.get(key_of_action(action), 0.0)
        if wait_s > 0 and not isinstance(action, KillContainer):
            self.wakes.append(self.view.now_ns + int(wait_s * NS))
            return True
        return False

    def _is_finished(self) -> bool:
        """Every app container ended for good, or an init container failed for good."""
        for container in init_containers(self.pod):
            last = self._last(container)
            failed = last is not None and last.state == State.EXITED and last.exit_code != 0
            if failed and not is_sidecar(container) and not should_restart(self.pod, container, last):
                return True
        apps = app_containers(self.pod)
        runs = [self._last(c) for c in apps]
        if self._needs_first_sandbox() or not all(run is not None and run.state == State.EXITED for run in runs):
            return False
        return not any(should_restart(self.pod, c, run) for c, run in zip(apps, runs, strict=True))

    def _needs_first_sandbox(self) -> bool:
        return self.view.sandbox is None and not self.view.runs

    def _prepare(self) -> None:
        sandbox = self.view.sandbox
        if sandbox is None or not sandbox.ready:
            self.actions.append(CreateSandbox(self.view.sandbox_attempt + 1))
        if not self.view.volumes_ready:
            self.actions.append(SetUpVolumes())

    def _run(self) -> None:
        if self._init_steps():
            for container in app_containers(self.pod):
                if not self._bring_up(container) and self._is_first_start(container):
                    break
        for container in ephemeral_containers(self.pod):
            if self._last(container) is None:
                self._start(container)

    def _is_first_start(self, container: Object) -> bool:
        """A container whose start or postStart is under way holds back the next ones (spec order)."""
        return f"container:{container['name']}" in self.view.busy

    def _init_steps(self) -> bool:
        """Bring init containers forward; True when app containers may run."""
        apps_began = any(self._current(c) is not None for c in app_containers(self.pod))
        for container in init_containers(self.pod):
            run = self._current(container)
            if is_sidecar(container):
                self._bring_up(container)
                is_up = run is not None and run.state == State.RUNNING and run.id in self.view.started
                if not is_up and not apps_began:
                    return False
            elif apps_began:
                continue
            elif run is None or run.state != State.EXITED:
                self._bring_up(container)
                return False
            elif run.exit_code != 0:
                self._restart(container, run)
                return False
        return True

    def _bring_up(self, container: Object) -> bool:
        """Start, restart or kill as needed; True when it runs past its postStart hook."""
        run = self._current(container)
        if run is None or run.state == State.CREATED:
            before = self._last(container)
            if before is None or run is not None or self._may_run_again(container, before):
                self._start(container)
            return False
        if run.state == State.EXITED:
            if should_restart(self.pod, container, run):
                self._restart(container, run)
            return False
        if (kill := self.view.kills.get(run.id)) is not None:
            self.actions.append(KillContainer(run.name, run.id, kill.message, kill.grace_s))
        elif run.labels.get(SPEC_HASH, "") not in ("", spec_hash(container)):
            text = f"Container {run.name} definition changed, will be restarted"
            self.actions.append(KillContainer(run.name, run.id, text))
        return run.id in self.view.hooked

    def _may_run_again(self, container: Object, before: ContainerStatus) -> bool:
        """After a new sandbox: one that had ended for good in the old sandbox stays ended."""
        return (
            before.state != State.EXITED
            or should_restart(self.pod, container, before)
            or container in init_containers(self.pod)
        )

    def _restart(self, container: Object, run: ContainerStatus) -> None:
        delay_s = self.view.restart_delay_s.get(run.name, 0.0)
        due_ns = run.finished_at_ns + int(delay_s * NS)
        is_set_back = run.finished_at_ns > self.view.now_ns + int(SET_BACK_S * NS)
        if due_ns > self.view.now_ns and not is_set_back:
            self.crash_loops[run.name] = delay_s
            self.wakes.append(due_ns)
            return
        self._start(container)

    def _start(self, container: Object) -> None:
        name = str(container["name"])
        if f"container:{name}" in self.view.busy:
            return
        if name not in self.view.ready_images:
            self.actions.append(PrepareImage(name))
            return
        sandbox = self.view.sandbox
        if sandbox is not None and sandbox.ready and self.view.volumes_ready:
            self.actions.append(StartContainer(name, self._next_attempt(container)))

    def _next_attempt(self, container: Object) -> int:
        last = self._last(container)
        recorded = self.view.recorded_restarts.get(str(container["name"]), -1)
        if last is not None and last.state == State.CREATED:
            return last.attempt
        return max(last.attempt if last is not None else -1, recorded) + 1

    def _last(self, container: Object) -> ContainerStatus | None:
        runs = self.view.runs.get(str(container["name"]), ())
        return runs[-1] if runs else None

    def _current(self, container: Object) -> ContainerStatus | None:
        """The last run, if it belongs to the sandbox that is up."""
        last, sandbox = self._last(container), self.view.sandbox
        return last if last is not None and sandbox is not None and last.sandbox_id == sandbox.id else None

    def _drop_old_runs(self) -> None:
        """Keep the last run and the one before it, which `logs --previous` shows."""
        for runs in self.view.runs.values():
            self.actions += [RemoveContainer(run.id) for run in runs[:-2] if run.state != State.RUNNING]


def should_restart(pod: Object, container: Object, run: ContainerStatus | None) -> bool:
    """Whether an ended run is followed by another, by the container's own rules, its own policy, the pod's policy."""
    if run is None:
        return True
    if container in ephemeral_containers(pod):
        return False
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, run.exit_code):
            return bool(rule.get("action") in ("Restart", "RestartAllContainers"))
    policy = str(container.get("restartPolicy") or restart_policy(pod))
    if policy == "Always":
        # A plain init container that succeeded is done even under Always.
        return run.exit_code != 0 or is_sidecar(container) or container not in init_containers(pod)
    return policy == "OnFailure" and run.exit_code != 0


def _matches(exit_codes: Object, code: int) -> bool:
    values = exit_codes.get("values") or ()
    return code in values if exit_codes.get("operator") == "In" else code not in values

"""The status of a pod: phase, conditions, container statuses, addresses. Pure.

In:    `StatusInputs`: the pod as the API has it, what runs, what waits and why.
Out:   the whole new status; `status_patch.py` finds what differs.
Spec:  core/v1 PodStatus; k8s.io/docs/concepts/workloads/pods/pod-lifecycle. Texts are upstream's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wherry.container.runtime.engine import ContainerStatus, SandboxStatus, State
from wherry.kit.clock import rfc3339
from wherry.orchestration.agent.facts.labels import IMAGE_REF
from wherry.orchestration.agent.facts.pod import (
    all_containers,
    app_containers,
    init_containers,
    is_host_network,
    is_sidecar,
    phase_of,
    spec_of,
    status_of,
)
from wherry.orchestration.agent.facts.settings import RUNTIME_NAME
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.agent.plan.decide import should_restart
from wherry.orchestration.agent.plan.resize import Verdict
from wherry.orchestration.objects.meta import Object, condition_of, with_condition

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet, or not again."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """`ready` and `started` hold container ids. `reason`/`message` are the pod's own (DeadlineExceeded, Evicted, ...)."""

    pod: Object
    node_ip: str
    now: datetime
    runs: Mapping[str, Sequence[ContainerStatus]]
    sandbox: SandboxStatus | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    is_ended: bool = False  # the agent will start nothing any more
    is_failed: bool = False  # ended by the node, whatever the exit codes
    reason: str = ""
    message: str = ""
    termination_messages: Mapping[str, str] = field(default_factory=dict)  # by container id
    resize: Verdict = field(default_factory=Verdict)
    resources: Mapping[str, Object] = field(default_factory=dict)  # in force, by container name; else the spec's
    disruption: str = ""  # message of condition DisruptionTarget


def build(inputs: StatusInputs) -> Object:
    """The status. A terminal phase never changes again."""
    pod = inputs.pod
    old = status_of(pod)
    status: Object = {
        **_generation(pod),
        "qosClass": old.get("qosClass") or qos.qos_class(pod),
        "startTime": old.get("startTime") or rfc3339(inputs.now),
        "hostIP": inputs.node_ip,
        "hostIPs": [{"ip": inputs.node_ip}],
        **_addresses(inputs),
    }
    for key in ("nominatedNodeName", "resize", "resourceClaimStatuses"):
        if key in old:
            status[key] = old[key]
    init = [_container_status(inputs, c, is_init=True) for c in init_containers(pod)]
    apps = [_container_status(inputs, c, is_init=False) for c in app_containers(pod)]
    extra = [_container_status(inputs, c, is_init=False) for kind, c in all_containers(pod) if kind == "ephemeral"]
    for key, found in (
        ("initContainerStatuses", init),
        ("containerStatuses", apps),
        ("ephemeralContainerStatuses", extra),
    ):
        if found:
            status[key] = found
    status["phase"] = _phase(inputs, init, apps)
    for key, text in (("reason", inputs.reason), ("message", inputs.message)):
        if text or old.get(key):
            status[key] = text or old[key]
    status["conditions"] = _conditions(inputs, str(status["phase"]), init, apps)
    return status


def _generation(pod: Object) -> Object:
    generation = pod.get("metadata", {}).get("generation")
    return {} if generation is None else {"observedGeneration": generation}


def rejected(pod: Object, reason: str, message: str, now: datetime) -> Object:
    """The status of a pod that this node will not run."""
    return {
        **{key: value for key, value in status_of(pod).items() if key != "conditions"},
        "conditions": status_of(pod).get("conditions") or [],
        **_generation(pod),
        "qosClass": status_of(pod).get("qosClass") or qos.qos_class(pod),
        "startTime": status_of(pod).get("startTime") or rfc3339(now),
        "phase": "Failed",
        "reason": reason,
        "message": f"Pod was rejected: {message}",
    }


def _addresses(inputs: StatusInputs) -> Object:
    if is_host_network(inputs.pod):
        address = inputs.node_ip if inputs.sandbox is not None else ""
    else:
        address = str(inputs.sandbox.address) if inputs.sandbox is not None and inputs.sandbox.address else ""
    address = address or str(status_of(inputs.pod).get("podIP") or "")
    return {"podIP": address, "podIPs": [{"ip": address}]} if address else {}


def _container_status(inputs: StatusInputs, container: Object, *, is_init: bool) -> Object:
    name = str(container["name"])
    runs = inputs.runs.get(name, ())
    last = runs[-1] if runs else None
    waits = inputs.waiting.get(name)
    status: Object = {
        "name": name,
        "state": _state(inputs, last, waits, has_init=bool(init_containers(inputs.pod))),
        "lastState": {},
        "ready": False,
        "restartCount": last.attempt if last is not None else 0,
        "image": str(container.get("image") or ""),
        "imageID": "",
        "started": False,
    }
    previous = _previous(runs, status["state"])
    if previous is not None:
        status["lastState"] = {"terminated": _terminated(previous, inputs)}
    if last is not None:
        status["containerID"] = f"{RUNTIME_NAME}://{last.id}"
        status["imageID"] = last.labels.get(IMAGE_REF) or last.image_ref or last.image
        status["ready"], status["started"] = _ready(inputs, container, last, is_init=is_init)
    resources = inputs.resources.get(name, container.get("resources") or {})
    if resources:
        status["resources"] = resources
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
    return status


def _ready(inputs: StatusInputs, container: Object, last: ContainerStatus, *, is_init: bool) -> tuple[bool, bool]:
    if is_init and not is_sidecar(container):
        return last.state == State.EXITED and last.exit_code == 0, False
    is_started = last.state == State.RUNNING and last.id in inputs.started
    return is_started and last.id in inputs.ready, is_started


def _state(inputs: StatusInputs, last: ContainerStatus | None, waits: Waiting | None, *, has_init: bool) -> Object:
    if last is not None and last.state == State.RUNNING:
        return {"running": {"startedAt": moment(last.started_at_ns)}}
    if last is not None and last.state == State.EXITED and (waits is None or inputs.is_ended):
        return {"terminated": _terminated(last, inputs)}
    reason = waits or Waiting("PodInitializing" if has_init else "ContainerCreating")
    return {"waiting": {"reason": reason.reason, **({"message": reason.message} if reason.message else {})}}


def _previous(runs: Sequence[ContainerStatus], state: Object) -> ContainerStatus | None:
    """The run that `lastState` shows: the one before, or the last itself while the next one waits."""
    ended = [run for run in runs if run.state == State.EXITED]
    if "terminated" in state:
        ended = ended[:-1]
    return ended[-1] if ended else None


def _terminated(run: ContainerStatus, inputs: StatusInputs) -> Object:
    reason = run.reason or ("Completed" if run.exit_code == 0 else "Error")
    message = inputs.termination_messages.get(run.id) or run.message
    found: Object = {
        "exitCode": run.exit_code,
        "reason": "StartError" if reason == "ContainerCannotRun" else reason,
        **({"startedAt": moment(run.started_at_ns)} if run.started_at_ns else {}),
        **({"finishedAt": moment(run.finished_at_ns)} if run.finished_at_ns else {}),
        "containerID": f"{RUNTIME_NAME}://{run.id}",
    }
    if message:
        found["message"] = message
    return found


def moment(time_ns: int) -> str:
    """metav1.Time of Unix nanoseconds."""
    return rfc3339(datetime.fromtimestamp(time_ns // NS, UTC))


def _phase(inputs: StatusInputs, init: list[Object], apps: list[Object]) -> str:
    pod = inputs.pod
    if phase_of(pod) in ("Succeeded", "Failed"):
        return phase_of(pod)
    if inputs.is_failed:
        return "Failed"
    pending = failed_init = 0
    has_run = any("waiting" not in s["state"] or s["lastState"] for s in apps)
    for container, status in zip(init_containers(pod), init, strict=True):
        state = status["state"]
        if is_sidecar(container):
            waits = "running" in state and not status["started"] or ("waiting" in state and not status["lastState"])
            pending += waits and not has_run
        elif ended := state.get("terminated") or status["lastState"].get("terminated"):
            if ended["exitCode"] != 0:
                failed_init += inputs.is_ended or not should_restart(pod, container, _last_ended(inputs, container))
                pending += 1
        else:
            pending += 1
    return _phase_of_apps(inputs, apps, pending_init=pending, failed_init=failed_init)


def _phase_of_apps(inputs: StatusInputs, apps: list[Object], *, pending_init: int, failed_init: int) -> str:
    if failed_init:
        return "Failed"
    running = sum("running" in s["state"] for s in apps)
    ended = [
        s["state"].get("terminated") or s["lastState"].get("terminated") for s in apps if "running" not in s["state"]
    ]
    stopped = [e for e in ended if e]
    waiting = len(ended) - len(stopped)
    if inputs.is_ended and not running:
        # Never started counts as failed: a deleted pod must end terminal (since 1.27).
        all_good = bool(stopped) and not waiting and not pending_init and all(e["exitCode"] == 0 for e in stopped)
        return "Succeeded" if all_good else "Failed"
    if pending_init or waiting:
        return "Pending"
    return "Running"


def _last_ended(inputs: StatusInputs, container: Object) -> ContainerStatus | None:
    """The run whose exit code counts: while the retry runs, the one before it."""
    runs = inputs.runs.get(str(container["name"]), ())
    return next((run for run in reversed(runs) if run.state == State.EXITED), None)


def _conditions(inputs: StatusInputs, phase: str, init: list[Object], apps: list[Object]) -> list[Object]:
    pod = inputs.pod
    conditions: list[Object] = list(status_of(pod).get("conditions") or [])
    containers_ready = _containers_ready(pod, phase, init, apps)
    wanted = [
        _condition("PodReadyToStartContainers", inputs.sandbox is not None and inputs.sandbox.ready),
        _initialized(pod, phase, init, apps),
        _ready_condition(pod, containers_ready, conditions),
        containers_ready,
    ]
    if inputs.disruption:
        wanted.append(_condition("DisruptionTarget", True, "TerminationByKubelet", inputs.disruption))
    if inputs.resize.condition:
        wanted.append(_condition(inputs.resize.condition, True, inputs.resize.reason, inputs.resize.message))
    for gone in {"PodResizePending", "PodResizeInProgress"} - {inputs.resize.condition}:
        conditions = [condition for condition in conditions if condition.get("type") != gone]
    for condition in wanted:
        conditions = with_condition(conditions, {**condition, **_generation(pod)}, inputs.now)
    return conditions


def _condition(kind: str, is_true: bool, reason: str = "", message: str = "") -> Object:
    found: Object = {"type": kind, "status": "True" if is_true else "False"}
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def _initialized(pod: Object, phase: str, init: list[Object], apps: list[Object]) -> Object:
    has_begun = any("waiting" not in s["state"] or s["lastState"] for s in apps)
    undone = [
        status["name"]
        for container, status in zip(init_containers(pod), init, strict=True)
        if not (status["started"] if is_sidecar(container) else status["ready"])
    ]
    if phase == "Succeeded":
        return _condition("Initialized", True, "PodCompleted")
    if has_begun or not undone:
        return _condition("Initialized", True)
    text = f"containers with incomplete status: [{' '.join(undone)}]"
    return _condition("Initialized", False, "ContainersNotInitialized", text)


def _containers_ready(pod: Object, phase: str, init: list[Object], apps: list[Object]) -> Object:
    if phase == "Succeeded":
        return _condition("ContainersReady", False, "PodCompleted")
    if phase == "Failed":
        return _condition("ContainersReady", False, "PodFailed")
    sidecars = [s for c, s in zip(init_containers(pod), init, strict=True) if is_sidecar(c)]
    unready = [s["name"] for s in (*sidecars, *apps) if not s["ready"]]
    if not unready:
        return _condition("ContainersReady", True)
    text = f"containers with unready status: [{' '.join(unready)}]"
    return _condition("ContainersReady", False, "ContainersNotReady", text)


def _ready_condition(pod: Object, containers_ready: Object, conditions: Sequence[Object]) -> Object:
    if containers_ready["status"] != "True":
        return {**containers_ready, "type": "Ready"}
    for gate in spec_of(pod).get("readinessGates") or ():
        kind = str(gate.get("conditionType", ""))
        found = condition_of(conditions, kind)
        if found is None:
            text = f'corresponding condition of pod readiness gate "{kind}" does not exist.'
            return _condition("Ready", False, "ReadinessGatesNotReady", text)
        if found.get("status") != "True":
            text = f'the status of pod readiness gate "{kind}" is not "True", but {found.get("status")}'
            return _condition("Ready", False, "ReadinessGatesNotReady", text)
    return _condition("Ready", True)

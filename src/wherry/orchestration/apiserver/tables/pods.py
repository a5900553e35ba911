"""The row of a Pod: what its containers are doing, in one word.

Spec:  the STATUS, READY and RESTARTS columns of `kubectl get pods`, Kubernetes 1.37.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.apiserver.tables.ages import human
from wherry.orchestration.apiserver.tables.columns import NONE, Cells, age, printer, spec_of, status_of
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting, name_of

_COMPLETED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


@dataclass(slots=True)
class _Tally:
    """What is counted over containers; `last` is when the newest restart's predecessor ended."""

    ready: int = 0
    restarts: int = 0
    last: datetime | None = None
    sidecar_restarts: int = 0
    sidecar_last: datetime | None = None
    reason: str = field(default="")

    def count(self, status: Mapping[str, Any]) -> None:
        self.restarts += status.get("restartCount", 0)
        self.last = _later(self.last, _ended_at(status))


def row_conditions(pod: Object) -> list[Object]:
    """The `Completed` condition that lets clients hide finished pods."""
    status = status_of(pod)
    phase = status.get("phase") if isinstance(status, Mapping) else None
    if not isinstance(phase, str) or phase not in _COMPLETED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _COMPLETED[phase]}]


def _cells(pod: Object, now: datetime) -> Cells:
    spec, status = spec_of(pod), status_of(pod)
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    tally = _Tally(reason=status.get("reason") or status.get("phase", ""))
    scheduled = condition_of(status.get("conditions"), "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        tally.reason = "SchedulingGated"
    is_initializing = _count_init(tally, status, sidecars, len(spec.get("initContainers") or ()))
    if not is_initializing or _is_true(status, "Initialized"):
        _count_containers(tally, status)
    restarts = str(tally.restarts)
    if tally.restarts and tally.last is not None:
        restarts = f"{tally.restarts} ({human((now - tally.last).total_seconds())} ago)"
    total = len(spec.get("containers") or ()) + len(sidecars)
    return [
        name_of(pod), f"{tally.ready}/{total}", _final_reason(pod, tally.reason), restarts, age(pod, now),
        status.get("podIP") or NONE, spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE,
        _readiness_gates(spec, status),
    ]


def _count_init(tally: _Tally, status: Mapping[str, Any], sidecars: set[str], total: int) -> bool:
    """Go through init containers up to the first that is not done; True when there is one."""
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        tally.count(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        is_sidecar = container.get("name") in sidecars
        if is_sidecar:
            tally.sidecar_restarts += container.get("restartCount", 0)
            tally.sidecar_last = _later(tally.sidecar_last, _ended_at(container))
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if is_sidecar and container.get("started"):
            tally.ready += bool(container.get("ready"))
            continue
        if terminated is not None:
            tally.reason = f"Init:{_ending(terminated)}"
        elif waiting.get("reason") not in (None, "", "PodInitializing"):
            tally.reason = f"Init:{waiting['reason']}"
        else:
            tally.reason = f"Init:{index}/{total}"
        return True
    return False


def _count_containers(tally: _Tally, status: Mapping[str, Any]) -> None:
    tally.restarts, tally.last = tally.sidecar_restarts, tally.sidecar_last
    has_running = False
    for container in reversed(status.get("containerStatuses") or ()):
        tally.count(container)
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            tally.reason = waiting["reason"]
        elif terminated is not None:
            tally.reason = _ending(terminated)
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            tally.ready += 1
    if tally.reason == "Completed" and has_running:
        tally.reason = "Running" if _is_true(status, "Ready") else "NotReady"


def _final_reason(pod: Object, reason: str) -> str:
    status = status_of(pod)
    if not is_deleting(pod):
        return reason
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return reason if status.get("phase") in _COMPLETED else "Terminating"


def _ending(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _readiness_gates(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(_is_true(status, gate['conditionType']) for gate in gates)}/{len(gates)}"


def _is_true(status: Mapping[str, Any], kind: str) -> bool:
    condition = condition_of(status.get("conditions"), kind)
    return condition is not None and condition.get("status") == "True"


def _ended_at(status: Mapping[str, Any]) -> datetime | None:
    finished_at = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    try:
        return parse_rfc3339(finished_at) if finished_at else None
    except ValueError:
        return None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


PODS = printer("Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*", _cells, row_conditions)

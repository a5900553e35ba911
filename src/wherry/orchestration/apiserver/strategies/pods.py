"""Pods: quality of service, graceful deletion, and the subresources that change one part of a Pod."""

from wherry.orchestration.apiserver.strategies.strategy import Strategy, keep
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object

GRACE_S_DEFAULT = 30
GATED = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
         "message": "Scheduling is blocked due to non-empty scheduling gates"}
_QOS_RESOURCES = ("cpu", "memory")


class PodStrategy(Strategy):
    """See the module docstring."""

    def __init__(self) -> None:
        super().__init__(has_status=True, tracks_generation=True)

    def prepare_create(self, obj: Object) -> None:
        """A new Pod is Pending and has its QoS class."""
        super().prepare_create(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj)}
        if obj.get("spec", {}).get("schedulingGates"):
            obj["status"]["conditions"] = [dict(GATED)]

    def prepare_status(self, obj: Object, old: Object) -> None:
        """The agent reports; who owns the Pod does not change with it."""
        super().prepare_status(obj, old)
        keep(obj["metadata"], old["metadata"], "ownerReferences")
        status = obj.setdefault("status", {})
        if "qosClass" not in status and "qosClass" in old.get("status", {}):
            status["qosClass"] = old["status"]["qosClass"]

    def grace_s(self, obj: Object, asked_s: int | None) -> int | None:
        """What was asked, else the Pod's own period; 0 when nothing runs."""
        spec = obj.get("spec", {})
        period = asked_s if asked_s is not None else spec.get("terminationGracePeriodSeconds", GRACE_S_DEFAULT)
        if period < 0:
            period = 1
        if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Failed", "Succeeded"):
            return 0
        return int(period)


def qos_class(pod: Object) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort` (node QoS documentation)."""
    spec = pod.get("spec", {})
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    pod_level = spec.get("resources")
    units = [pod_level] if pod_level else [c.get("resources") or {} for c in containers]
    if not any(_amounts(unit.get(side)) for unit in units for side in ("requests", "limits")):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(unit) for unit in units) else "Burstable"


def _amounts(listed: Object | None) -> dict[str, int]:
    if not listed:
        return {}
    return {name: milli for name in _QOS_RESOURCES if name in listed and (milli := quantity.milli(listed[name]))}


def _is_guaranteed(unit: Object) -> bool:
    limits, requests = _amounts(unit.get("limits")), _amounts(unit.get("requests"))
    return set(limits) == set(_QOS_RESOURCES) and (limits | requests) == limits

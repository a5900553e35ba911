"""Plugins that complete Pods: Priority, DefaultTolerationSeconds, RuntimeClass.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import (
    CREATE,
    ITSELF,
    POD_PLACE,
    WRITES,
    AdmissionRequest,
    Place,
    Plugin,
)
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import PRIORITY_CLASSES, RUNTIME_CLASSES
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import TAINT_NODE_NOT_READY, TAINT_NODE_UNREACHABLE

UNREACHABLE_S = 300
TOLERATED = (TAINT_NODE_NOT_READY, TAINT_NODE_UNREACHABLE)
PREEMPTION_DEFAULT = "PreemptLowerPriority"
CLASS_PLACE: Place = ("scheduling.k8s.io", "priorityclasses")


class Priority(Plugin):
    """Turns priorityClassName into a number; only one class may be the default."""

    places = frozenset({POD_PLACE, CLASS_PLACE})
    operations = WRITES
    subresources = ITSELF

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def admit(self, request: AdmissionRequest) -> None:
        if request.place != POD_PLACE or request.operation != CREATE:
            return
        spec = request.new["spec"]
        chosen = self._class_of(request, spec)
        value = chosen["value"] if chosen else 0
        policy = chosen.get("preemptionPolicy", PREEMPTION_DEFAULT) if chosen else PREEMPTION_DEFAULT
        if chosen is not None:
            spec["priorityClassName"] = name_of(chosen)
        if spec.get("priority") is not None and spec["priority"] != value:
            raise errors.forbidden(
                request.resource, request.name,
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name")
        if spec.get("preemptionPolicy") not in (None, policy):
            raise errors.forbidden(
                request.resource, request.name,
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name")
        spec["priority"], spec["preemptionPolicy"] = value, policy

    async def validate(self, request: AdmissionRequest) -> None:
        if request.place == CLASS_PLACE and request.new.get("globalDefault"):
            others = [c for c in self._source.list(PRIORITY_CLASSES)
                      if c.get("globalDefault") and name_of(c) != name_of(request.new)]
            if others:
                raise errors.forbidden(
                    request.resource, request.name,
                    f"PriorityClass {name_of(others[0])} is already marked as default. Only one default can exist")

    def _class_of(self, request: AdmissionRequest, spec: Object) -> Object | None:
        name = spec.get("priorityClassName")
        if name:
            found = self._source.get(PRIORITY_CLASSES, "", name)
            if found is None:
                raise errors.forbidden(
                    request.resource, request.name, f"no PriorityClass with name {name} was found")
            return found
        defaults = [c for c in self._source.list(PRIORITY_CLASSES) if c.get("globalDefault")]
        return min(defaults, key=lambda c: int(c["value"]), default=None)


class DefaultTolerationSeconds(Plugin):
    """A Pod stays bound for five minutes to a node that is not ready or not reachable, unless it says otherwise."""

    places = frozenset({POD_PLACE})
    operations = frozenset({CREATE})
    subresources = ITSELF

    async def admit(self, request: AdmissionRequest) -> None:
        tolerations = request.new["spec"].setdefault("tolerations", [])
        for key in TOLERATED:
            if not any(t.get("key", "") in (key, "") and t.get("effect", "") in ("NoExecute", "") for t in tolerations
                       if t.get("key") == key or (not t.get("key") and t.get("operator") == "Exists")):
                tolerations.append(
                    {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": UNREACHABLE_S})


class RuntimeClassPlugin(Plugin):
    """Copies overhead and scheduling constraints of the runtime class into the Pod."""

    places = frozenset({POD_PLACE})
    operations = frozenset({CREATE})
    subresources = ITSELF

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def admit(self, request: AdmissionRequest) -> None:
        spec = request.new["spec"]
        name = spec.get("runtimeClassName")
        if not name:
            if spec.get("overhead"):
                raise errors.forbidden(request.resource, request.name,
                                       "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
            return
        runtime = self._source.get(RUNTIME_CLASSES, "", name)
        if runtime is None:
            raise errors.forbidden(request.resource, request.name,
                                   f'pod rejected: RuntimeClass "{name}" not found')
        overhead = (runtime.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") not in (None, {}, overhead):
                raise errors.forbidden(request.resource, request.name,
                                       "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = overhead
        self._add_scheduling(request, spec, runtime.get("scheduling") or {})

    def _add_scheduling(self, request: AdmissionRequest, spec: Object, scheduling: Object) -> None:
        selector = scheduling.get("nodeSelector") or {}
        own = spec.get("nodeSelector") or {}
        for key, value in selector.items():
            if own.get(key, value) != value:
                raise errors.forbidden(request.resource, request.name,
                                       f"pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                                       f"pod.spec.nodeSelector[{key}] = {own[key]}")
        if selector:
            spec["nodeSelector"] = {**own, **selector}
        for toleration in scheduling.get("tolerations") or ():
            if toleration not in spec.setdefault("tolerations", []):
                spec["tolerations"].append(toleration)

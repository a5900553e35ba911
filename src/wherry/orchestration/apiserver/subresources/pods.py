"""Pods: binding to a node, and eviction that respects disruption budgets.

Spec:  https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ ; upstream pkg/registry/core/pod.
"""

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.rendering import json_response
from wherry.orchestration.apiserver.call.request import Call, Target
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.apiserver.verbs.bodies import read_typed
from wherry.orchestration.apiserver.verbs.deleting import read_options
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from wherry.orchestration.objects.meta import Object, condition_of, labels_of, name_of, with_condition
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.selectors import from_label_selector
from wherry.orchestration.objects.structure import Node

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
BUSY_RETRY_S = 10
DISRUPTED_PODS_MAX = 2000


class Binding:
    """POST pods/<name>/binding, and POST bindings."""

    def __init__(self, verbs: Verbs, table: ServedTable) -> None:
        self._verbs = verbs
        self._table = table

    async def __call__(self, call: Call) -> Response:
        if call.target.verb != "create":
            raise errors.method_not_allowed(call.served.resource, call.target.verb)
        content_type = call.request.headers.get("content-type", "")
        binding = await self._verbs.decoded(
            call, lambda body: read_typed(body, content_type, structure("v1", "Binding"), api_version="v1", kind="Binding"))
        target, metadata = binding.get("target") or {}, binding.get("metadata") or {}
        name = call.target.name or metadata.get("name", "")
        if target.get("kind") not in (None, "", "Node") or not target.get("name"):
            cause = errors.cause("FieldValueRequired", "target.name", "Required value")
            raise errors.invalid("", "Binding", name, [cause])
        on_pod = _on(call, self._table.of(PODS), name)
        await self._verbs.writer.update(
            on_pod, name, lambda pod: self._bound(pod, target["name"], metadata), subresource="binding",
            prepare=lambda new, old: None)
        return json_response(dict(SUCCESS), 201)

    def _bound(self, pod: Object, node: str, binding: Object) -> Object:
        def refuse(why: str) -> errors.ApiError:
            return errors.ApiError(409, "Conflict", f'Operation cannot be fulfilled on pods/binding "{name_of(pod)}": {why}',
                                   details={"name": name_of(pod), "kind": "pods/binding"})

        if binding.get("uid") and binding["uid"] != pod["metadata"]["uid"]:
            raise refuse(f"Precondition failed: UID in precondition: {binding['uid']}, UID in object meta: "
                         f"{pod['metadata']['uid']}")
        if pod["metadata"].get("deletionTimestamp"):
            raise refuse(f"pod {name_of(pod)} is being deleted, cannot be assigned to a host")
        if pod["spec"].get("nodeName"):
            raise refuse(f'pod {name_of(pod)} is already assigned to node "{pod["spec"]["nodeName"]}"')
        if pod["spec"].get("schedulingGates"):
            raise refuse(f"pod {name_of(pod)} has non-empty .spec.schedulingGates")
        pod["spec"]["nodeName"] = node
        if binding.get("annotations"):
            pod["metadata"]["annotations"] = {**pod["metadata"].get("annotations", {}), **binding["annotations"]}
        status = pod.setdefault("status", {})
        status["conditions"] = with_condition(
            status.get("conditions"), {"type": "PodScheduled", "status": "True"}, self._verbs.writer.clock.now())
        return pod


class Eviction:
    """POST pods/<name>/eviction."""

    def __init__(self, verbs: Verbs, table: ServedTable) -> None:
        self._verbs = verbs
        self._table = table

    async def __call__(self, call: Call) -> Response:
        if call.target.verb != "create":
            raise errors.method_not_allowed(call.served.resource, call.target.verb)
        content_type = call.request.headers.get("content-type", "")
        eviction = await self._verbs.decoded(call, lambda body: read_typed(body, content_type, structure("policy/v1", "Eviction")))
        name = call.target.name
        if (eviction.get("metadata") or {}).get("name", name) != name:
            raise errors.bad_request(f"name in URL does not match name in Eviction object: {name}")
        options = read_options(eviction.get("deleteOptions") or {}, {})
        if options.raw.get("dryRun"):
            call.dry_run = True
        on_pod = _on(call, self._table.of(PODS), name)
        pod = on_pod.served.obj(await self._verbs.read(on_pod))
        if not _may_go_at_once(pod):
            await self._take_budget(call, pod)
            await self._mark(on_pod, name)
        await self._verbs.deleter.delete(on_pod, name, options)
        return json_response(dict(SUCCESS), 201)

    async def _take_budget(self, call: Call, pod: Object) -> None:
        served = self._table.of(POD_DISRUPTION_BUDGETS)
        budgets = [b for b in (c.obj() for c in served.cache.select(call.namespace))
                   if from_label_selector((b.get("spec") or {}).get("selector")).matches(labels_of(pod))]
        if len(budgets) > 1:
            raise errors.ApiError(500, "InternalError", "This pod has more than one PodDisruptionBudget, which the "
                                  "eviction subresource does not support.")
        if budgets and not _is_exempt(budgets[0], pod):
            on_budget = _on(call, served, name_of(budgets[0]))
            clock, name = self._verbs.writer.clock, name_of(pod)
            await self._verbs.writer.update(
                on_budget, name_of(budgets[0]), lambda budget: _decremented(budget, name, clock), subresource="status")

    async def _mark(self, on_pod: Call, name: str) -> None:
        def disrupted(pod: Object) -> Object:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                         "message": "Eviction API: evicting"}
            status = pod.setdefault("status", {})
            status["conditions"] = with_condition(status.get("conditions"), condition, self._verbs.writer.clock.now())
            return pod

        await self._verbs.writer.update(on_pod, name, disrupted, subresource="status")


def structure(api_version: str, kind: str) -> Node:
    """The structure of a kind that is there."""
    node = structure_of(api_version, kind)
    assert node is not None
    return node


def _on(call: Call, served: Served, name: str) -> Call:
    """The same caller's call about another object of the namespace."""
    resource = served.resource
    target = Target("update", resource.group, resource.version, resource.plural, call.namespace, name)
    return Call(call.request, call.user, target, served, call.warnings, call.dry_run, call.field_manager)


def _may_go_at_once(pod: Object) -> bool:
    phase = pod.get("status", {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _is_exempt(budget: Object, pod: Object) -> bool:
    ready = condition_of(pod.get("status", {}).get("conditions"), "Ready")
    if ready is not None and ready.get("status") == "True":
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    return bool(desired > 0 and status.get("currentHealthy", 0) >= desired)


def _decremented(budget: Object, pod_name: str, clock: Clock) -> Object:
    status = budget.setdefault("status", {})

    def refuse(why: str, retry_after_s: int = 0) -> errors.ApiError:
        return errors.too_many_requests(
            VIOLATES, causes=[{"reason": "DisruptionBudget", "message": why}], retry_after_s=retry_after_s)

    name = name_of(budget)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise refuse(f"The disruption budget {name} is still being processed by the server.", BUSY_RETRY_S)
    if len(status.get("disruptedPods") or {}) > DISRUPTED_PODS_MAX:
        raise refuse("DisruptedPods map too big - too many evictions not confirmed by PDB controller", BUSY_RETRY_S)
    if status.get("disruptionsAllowed", 0) <= 0:
        raise refuse(f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
                     f"{status.get('currentHealthy', 0)} currently")
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod_name: rfc3339(clock.now())}
    return budget

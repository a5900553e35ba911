"""Keep the status of PodDisruptionBudgets, from which the eviction API takes.

In:    informers of budgets, pods and their owners.
Out:   status; events NoPods, UnmanagedPods, NotDeleted, CalculateExpectedPodCountFailed.
Never: decides; see `decide.py`. Writes are conditional: the eviction API writes the same status.
"""

from collections.abc import Iterable

from wherry.kit.errors import Invalid, NotFound
from wherry.orchestration.client.discovery import FRESH_S, Kinds
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.disruption import decide
from wherry.orchestration.controllers.disruption.scales import WITH_REPLICAS, Scales
from wherry.orchestration.controllers.workload.pods import is_ready
from wherry.orchestration.controllers.workload.status import write_status
from wherry.orchestration.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from wherry.orchestration.objects.meta import Object, controller_of, is_deleting, key_of, labels_of, namespace_of
from wherry.orchestration.objects.selectors import from_label_selector

UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)


def _of_the_pod(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if old is not None and new is not None and _part(old) == _part(new):
        return
    for budget in seen[POD_DISRUPTION_BUDGETS].list(namespace_of(new or old or {})):
        if any(pod is not None and selects(budget, pod) for pod in (old, new)):
            yield key_of(budget)


class Controller(Loop[str]):
    """disruption-controller."""

    name = "controllermanager"
    workers = 2
    watches = (Watch(POD_DISRUPTION_BUDGETS), Watch(PODS, _of_the_pod), *(Watch(owners, nobody) for owners in WITH_REPLICAS))

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._kinds = Kinds(self.client)

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Bring the status of one budget up to date."""
        budget = seen[POD_DISRUPTION_BUDGETS].get(key)
        if budget is None or is_deleting(budget):
            return None
        pods = [pod for pod in seen[PODS].list(namespace_of(budget)) if selects(budget, pod)]
        try:
            wanted = await self._expected(budget, pods, seen)
        except Invalid as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, WARNING, "CalculateExpectedPodCountFailed", text)
            await self._write(budget, decide.failed(budget, str(error), self.clock.now()), seen)
            return FRESH_S  # the kind of the pods' owner may be served by then
        verdict = decide.decide(budget, pods, wanted, self.clock.now())
        for pod in verdict.stayed:
            text = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self.recorder.event(pod, WARNING, "NotDeleted", text)
        await self._write(budget, verdict.status, seen)
        return verdict.recheck_s

    async def _expected(self, budget: Object, pods: list[Object], seen: Seen) -> decide.Expected:
        if not pods:
            self.recorder.event(budget, NORMAL, "NoPods", "No matching pods found")
        if not decide.needs_scale(budget):
            return decide.expected(budget, pods, {})
        if decide.unmanaged(pods):
            selector = str(from_label_selector((budget.get("spec") or {}).get("selector")))
            self.recorder.event(budget, WARNING, "UnmanagedPods", UNMANAGED.format(selector=selector))
        return decide.expected(budget, pods, await Scales(self.client, self._kinds, seen).of(pods))

    async def _write(self, budget: Object, status: Object, seen: Seen) -> None:
        try:
            await write_status(self.client, seen, POD_DISRUPTION_BUDGETS, budget, status)
        except NotFound:
            return


def selects(budget: Object, pod: Object) -> bool:
    """No selector selects nothing, an empty one everything."""
    selector = (budget.get("spec") or {}).get("selector")
    return selector is not None and from_label_selector(selector).matches(labels_of(pod))


def _part(pod: Object) -> tuple[object, ...]:
    return labels_of(pod), is_ready(pod), is_deleting(pod), (controller_of(pod) or {}).get("uid")

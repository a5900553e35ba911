"""Keep the status of PodDisruptionBudgets, from which the eviction API takes.

In:    informers of budgets, pods and their owners.
Out:   status; events NoPods, UnmanagedPods, NotDeleted, CalculateExpectedPodCountFailed.
Never: decides; see `decide.py`. Writes are conditional: the eviction API writes the same status.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import Invalid, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.disruption import decide
from wherry.orchestration.controllers.disruption.scales import Scales
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.controllers.workload.pods import is_ready
from wherry.orchestration.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from wherry.orchestration.objects.meta import Object, controller_of, is_deleting, key_of, labels_of, namespace_of
from wherry.orchestration.objects.selectors import from_label_selector

COMPONENT = "controllermanager"
WORKERS = 2
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)


class Controller:
    """disruption-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._budgets = informers.of(POD_DISRUPTION_BUDGETS)
        self._pods = informers.of(PODS)
        self._scales = Scales(client, informers)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._budgets.wait_synced()
        await self._pods.wait_synced()
        await self._scales.wait_synced()
        wake_on_change(self._budgets, self._queue)
        self._pods.subscribe(self._pod_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring the status of one budget up to date."""
        budget = self._budgets.get(key)
        if budget is None or is_deleting(budget):
            return
        pods = [pod for pod in self._pods.list(namespace_of(budget)) if selects(budget, pod)]
        try:
            wanted = await self._expected(budget, pods)
        except Invalid as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(budget, WARNING, "CalculateExpectedPodCountFailed", text)
            await self._write(budget, decide.failed(budget, str(error), self._clock.now()))
            return
        verdict = decide.decide(budget, pods, wanted, self._clock.now())
        for pod in verdict.stayed:
            text = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self._recorder.event(pod, WARNING, "NotDeleted", text)
        if verdict.recheck_s is not None:
            self._queue.add_after(key, verdict.recheck_s)
        await self._write(budget, verdict.status)

    async def _expected(self, budget: Object, pods: list[Object]) -> decide.Expected:
        if not pods:
            self._recorder.event(budget, NORMAL, "NoPods", "No matching pods found")
        if not decide.needs_scale(budget):
            return decide.expected(budget, pods, {})
        if decide.unmanaged(pods):
            selector = str(from_label_selector((budget.get("spec") or {}).get("selector")))
            self._recorder.event(budget, WARNING, "UnmanagedPods", UNMANAGED.format(selector=selector))
        return decide.expected(budget, pods, await self._scales.of(pods))

    async def _write(self, budget: Object, status: Object) -> None:
        if (budget.get("status") or {}) == status:
            return
        try:
            await self._client.update_status(POD_DISRUPTION_BUDGETS, {**budget, "status": status})
        except NotFound:
            return

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _part(old) == _part(new):
            return
        for budget in self._budgets.list(namespace_of(new or old or {})):
            if any(pod is not None and selects(budget, pod) for pod in (old, new)):
                self._queue.add(key_of(budget))


def selects(budget: Object, pod: Object) -> bool:
    """No selector selects nothing, an empty one everything."""
    selector = (budget.get("spec") or {}).get("selector")
    return selector is not None and from_label_selector(selector).matches(labels_of(pod))


def _part(pod: Object) -> tuple[object, ...]:
    return labels_of(pod), is_ready(pod), is_deleting(pod), (controller_of(pod) or {}).get("uid")

"""Keep the EndpointSlices of every Service with a selector equal to its pods.

In:    informers of Services, pods, nodes (zones), EndpointSlices.
Out:   slices labelled as ours; FailedToUpdateEndpointSlices events. Slices of deleted Services go by garbage collection.
Never: decides; see `decide.py` and `backends/slices.py`.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import Conflict, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.backends import selection, slices
from wherry.orchestration.controllers.backends.triggers import Triggers
from wherry.orchestration.controllers.backends.write_slices import write_slices
from wherry.orchestration.controllers.endpoint_slice.decide import MANAGER, decide
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.controllers.workload.expectations import Expectations
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, NODES, PODS, SERVICES
from wherry.orchestration.objects.meta import Object, is_deleting, labels_of

COMPONENT = "endpoint-slice-controller"
WORKERS = 5
BY_SERVICE = "service"


class Controller:
    """endpointslice-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder.named(COMPONENT)
        self._services = informers.of(SERVICES)
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._expected = Expectations(self._slices)
        self._triggers = Triggers()
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        selection.index(self._services, self._pods)
        self._slices.add_index(BY_SERVICE, lambda slice_: [slices.service_key(slice_)])
        for informer in (self._services, self._pods, self._nodes, self._slices):
            await informer.wait_synced()
        wake_on_change(self._services, self._queue)
        selection.wake_services(self._pods, self._services, self._queue.add)
        selection.wake_on_zone(self._nodes, self._services, self._queue.add)
        self._slices.subscribe(self._slice_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring the slices of one Service up to date."""
        service = self._services.get(key)
        if service is None:
            self._expected.forget(key)
            self._triggers.forget(key)
            return
        if not selection.has_pods(service) or is_deleting(service) or not self._expected.met(key):
            return
        pods = selection.pods_of(service, self._pods)
        ours = [s for s in self._slices.by_index(BY_SERVICE, key) if labels_of(s).get(slices.MANAGED_BY) == MANAGER]
        plans = decide(service, pods, ours, self._zone_of, self._triggers.since_last(service, pods))
        try:
            await write_slices(self._client, key, plans, self._expected)
        except (Conflict, NotFound):
            raise
        except WherryError as error:
            if is_namespace_ending(error):
                return
            text = f"Error updating Endpoint Slices for Service {key}: {error}"
            self._recorder.event(service, WARNING, "FailedToUpdateEndpointSlices", text)
            raise

    def _zone_of(self, node: str) -> str:
        found = self._nodes.get(node)
        return labels_of(found).get(selection.ZONE, "") if found is not None else ""

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        """Somebody's hand, or the event that our write was waiting for."""
        for slice_ in (old, new):
            if slice_ is None or labels_of(slice_).get(slices.MANAGED_BY) != MANAGER:
                continue
            key = slices.service_key(slice_)
            if self._services.get(key) is not None:
                self._queue.add(key)

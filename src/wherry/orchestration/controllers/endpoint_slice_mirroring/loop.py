"""Mirror hand-made Endpoints of Services without a selector into EndpointSlices, which is what the proxy reads.

In:    informers of Endpoints, Services, EndpointSlices.
Out:   slices labelled as ours, removed when they are mirrored no longer.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.backends import slices
from wherry.orchestration.controllers.backends.slices import SlicePlan
from wherry.orchestration.controllers.backends.write_slices import write_slices
from wherry.orchestration.controllers.endpoint_slice.loop import BY_SERVICE
from wherry.orchestration.controllers.endpoint_slice_mirroring.decide import MANAGER, decide, is_mirrored
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.controllers.workload.expectations import Expectations
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from wherry.orchestration.objects.meta import Object, is_deleting, labels_of

COMPONENT = "endpoint-slice-mirroring-controller"
WORKERS = 2


class Controller:
    """endpointslicemirroring-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder.named(COMPONENT)
        self._endpoints = informers.of(ENDPOINTS)
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._expected = Expectations(self._slices)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        self._slices.add_index(BY_SERVICE, lambda slice_: [slices.service_key(slice_)])
        for informer in (self._endpoints, self._services, self._slices):
            await informer.wait_synced()
        wake_on_change(self._endpoints, self._queue)
        wake_on_change(self._services, self._queue)
        self._slices.subscribe(self._slice_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring the mirror of one Endpoints up to date."""
        endpoints, service = self._endpoints.get(key), self._services.get(key)
        ours = [s for s in self._slices.by_index(BY_SERVICE, key) if labels_of(s).get(slices.MANAGED_BY) == MANAGER]
        if not self._expected.met(key):
            return
        if endpoints is not None and not is_deleting(endpoints) and is_mirrored(endpoints, service):
            plans = decide(endpoints, ours)
        elif ours:
            plans = [SlicePlan(delete=ours)]
        else:
            return
        try:
            await write_slices(self._client, key, plans, self._expected)
        except WherryError as error:
            if is_namespace_ending(error):
                return
            if endpoints is not None:
                self._recorder.event(endpoints, WARNING, "FailedToUpdateEndpointSlices", f"Error updating Endpoint Slices: {error}")
            raise

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for slice_ in (old, new):
            if slice_ is not None and labels_of(slice_).get(slices.MANAGED_BY) == MANAGER:
                self._queue.add(slices.service_key(slice_))

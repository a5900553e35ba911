"""Mirror hand-made Endpoints of Services without a selector into EndpointSlices, which is what the proxy reads.

In:    informers of Endpoints, Services, EndpointSlices.
Out:   slices labelled as ours, removed when they are mirrored no longer.
"""

from wherry.kit.errors import WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.client.recorder import WARNING
from wherry.orchestration.controllers.backends.managed import managed_slices, slices_managed_by
from wherry.orchestration.controllers.backends.slices import SlicePlan
from wherry.orchestration.controllers.backends.write_slices import write_slices
from wherry.orchestration.controllers.endpoint_slice_mirroring.decide import MANAGER, decide, is_mirrored
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import ENDPOINTS, SERVICES
from wherry.orchestration.objects.meta import is_deleting


class Controller(Loop[str]):
    """endpointslicemirroring-controller."""

    name = "endpoint-slice-mirroring-controller"
    workers = 2
    watches = (Watch(ENDPOINTS), Watch(SERVICES), slices_managed_by(MANAGER))

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Bring the mirror of one Endpoints up to date."""
        endpoints, ours = seen[ENDPOINTS].get(key), managed_slices(seen, key, MANAGER)
        if endpoints is not None and not is_deleting(endpoints) and is_mirrored(endpoints, seen[SERVICES].get(key)):
            plans = decide(endpoints, ours)
        elif ours:
            plans = [SlicePlan(delete=ours)]
        else:
            return
        try:
            await write_slices(self.client, key, plans, seen)
        except WherryError as error:
            if is_namespace_ending(error):
                return
            if endpoints is not None:
                self.recorder.event(endpoints, WARNING, "FailedToUpdateEndpointSlices", f"Error updating Endpoint Slices: {error}")
            raise

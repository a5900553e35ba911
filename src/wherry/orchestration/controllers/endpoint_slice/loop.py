"""Keep the EndpointSlices of every Service with a selector equal to its pods.

In:    informers of Services, pods, nodes (zones), EndpointSlices.
Out:   slices labelled as ours; FailedToUpdateEndpointSlices events. Slices of deleted Services go by garbage collection.
Never: decides; see `decide.py` and `backends/slices.py`.
"""

from wherry.kit.errors import Conflict, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import WARNING
from wherry.orchestration.controllers.backends import selection
from wherry.orchestration.controllers.backends.managed import managed_slices, slices_managed_by
from wherry.orchestration.controllers.backends.triggers import Triggers
from wherry.orchestration.controllers.backends.write_slices import write_slices
from wherry.orchestration.controllers.endpoint_slice.decide import MANAGER, decide
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import NODES, PODS, SERVICES
from wherry.orchestration.objects.meta import is_deleting, labels_of
from wherry.orchestration.objects.well_known import LABEL_TOPOLOGY_ZONE


class Controller(Loop[str]):
    """endpointslice-controller."""

    name = "endpoint-slice-controller"
    workers = 5
    watches = (
        Watch(SERVICES, indexes=selection.OF_SERVICES),
        Watch(PODS, selection.services_touched, indexes=selection.OF_PODS),
        Watch(NODES, selection.services_on_zone_change),
        slices_managed_by(MANAGER),
    )

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._triggers = Triggers()

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Bring the slices of one Service up to date."""
        service = seen[SERVICES].get(key)
        if service is None:
            self._triggers.forget(key)
            return
        if not selection.has_pods(service) or is_deleting(service):
            return

        def zone_of(node: str) -> str:
            return labels_of(seen[NODES].get(node) or {}).get(LABEL_TOPOLOGY_ZONE, "")

        pods, ours = selection.pods_of(service, seen[PODS]), managed_slices(seen, key, MANAGER)
        plans = decide(service, pods, ours, zone_of, self._triggers.since_last(service, pods))
        try:
            await write_slices(self.client, key, plans, seen)
        except (Conflict, NotFound):
            raise
        except WherryError as error:
            if is_namespace_ending(error):
                return
            text = f"Error updating Endpoint Slices for Service {key}: {error}"
            self.recorder.event(service, WARNING, "FailedToUpdateEndpointSlices", text)
            raise

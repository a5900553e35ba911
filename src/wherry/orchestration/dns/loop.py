"""Keep the zone equal to the Services.

In:    informers of Services and EndpointSlices.
Out:   changes of the zone, told to the server.
"""

from collections.abc import Callable

from wherry.orchestration.client.informers import Informers
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.zone import Zone
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object, key_of, labels_of, namespace_of

BY_SERVICE = "service"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def service_of(endpoint_slice: Object) -> str:
    """Key of the Service a slice belongs to, "" for none."""
    name = labels_of(endpoint_slice).get(SERVICE_NAME_LABEL, "")
    return f"{namespace_of(endpoint_slice)}/{name}" if name else ""


class ZoneKeeper:
    """Subscribes at `start`; from then on each event changes the zone at once."""

    def __init__(self, zone: Zone, informers: Informers, changed: Callable[[], None]) -> None:
        self._zone = zone
        self._changed = changed
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)

    async def start(self) -> None:
        """Return when the zone holds everything that is there now."""
        self._slices.add_index(BY_SERVICE, lambda obj: (service_of(obj),))
        await self._services.wait_synced()
        await self._slices.wait_synced()
        self._services.subscribe(lambda old, new: self._refresh(key_of(new or old or {})))
        self._slices.subscribe(self._slice_changed)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for name in {service_of(obj) for obj in (old, new) if obj is not None} - {""}:
            self._refresh(name)

    def _refresh(self, name: str) -> None:
        service = self._services.get(name)
        records = {} if service is None else records_for(service, self._slices.by_index(BY_SERVICE, name), self._zone.domain)
        if self._zone.replace(name, records):
            self._changed()

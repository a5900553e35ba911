"""Keep the zone equal to the Services.

In:    informers of Services and EndpointSlices.
Out:   changes of the zone, told to the server.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Seen, Wakes, Watch, itself, watching
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.zone import Zone
from wherry.orchestration.objects.endpoints import service_of
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object

BY_SERVICE = "service"


def _of_slice(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    yield from {service_of(obj) for obj in (old, new) if obj is not None} - {""}


@asynccontextmanager
async def kept(zone: Zone, informers: Informers, changed: Callable[[], None]) -> AsyncIterator[None]:
    """In the block the zone holds everything that is there, and each event changes it at once; `changed` is told."""

    def refreshing(names: Wakes) -> Wakes:
        def wakes(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
            for name in names(seen, old, new):
                service = seen[SERVICES].get(str(name))
                slices = seen[ENDPOINT_SLICES].by_index(BY_SERVICE, str(name))
                if zone.replace(str(name), {} if service is None else records_for(service, slices, zone.domain)):
                    changed()
            return ()

        return wakes

    rows = (
        Watch(SERVICES, refreshing(itself)),
        Watch(ENDPOINT_SLICES, refreshing(_of_slice), indexes={BY_SERVICE: lambda obj: (service_of(obj),)}),
    )
    async with watching(informers, rows):
        yield

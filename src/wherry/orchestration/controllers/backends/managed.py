"""The EndpointSlices that one controller keeps: those with its name in their label `managed-by`.

In:    the controller's name; slices, as they change.
Out:   a row for its loop, which wakes the Services of such slices; those of one Service.
"""

from collections.abc import Iterable

from wherry.orchestration.client.loop_kit import Seen, Watch
from wherry.orchestration.controllers.backends.slices import MANAGED_BY
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES
from wherry.orchestration.objects.meta import Object, labels_of, namespace_of
from wherry.orchestration.objects.well_known import LABEL_SERVICE_NAME

BY_SERVICE = "service"


def slices_managed_by(manager: str) -> Watch:
    """The row. What wakes is somebody's hand, or the event that our own write was waiting for."""

    def wakes(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
        return [_service_key(slice_) for slice_ in (old, new) if slice_ is not None and _is_managed_by(slice_, manager)]

    return Watch(ENDPOINT_SLICES, wakes, indexes={BY_SERVICE: lambda slice_: [_service_key(slice_)]})


def managed_slices(seen: Seen, service: str, manager: str) -> list[Object]:
    """Those of one Service, by its key."""
    return [slice_ for slice_ in seen[ENDPOINT_SLICES].by_index(BY_SERVICE, service) if _is_managed_by(slice_, manager)]


def _is_managed_by(slice_: Object, manager: str) -> bool:
    return labels_of(slice_).get(MANAGED_BY) == manager


def _service_key(slice_: Object) -> str:
    return f"{namespace_of(slice_)}/{labels_of(slice_).get(LABEL_SERVICE_NAME, '')}"

"""Carry out a `SlicePlan`.

Order: creations and updates before deletions, so that no reader sees a Service without the endpoints it has.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.controllers.backends.slices import SlicePlan
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of


async def write_slices(client: Client, key: str, plans: Iterable[SlicePlan], seen: Seen) -> None:
    """Raises the first refusal; what was done stays done, and the next plan starts from there."""
    delete: list[Object] = []
    for plan in plans:
        for slice_ in plan.create:
            seen.wrote(key, ENDPOINT_SLICES, await client.create(ENDPOINT_SLICES, slice_))
        for slice_ in plan.update:
            seen.wrote(key, ENDPOINT_SLICES, await client.update(ENDPOINT_SLICES, slice_))
        delete += plan.delete
    for slice_ in delete:
        try:
            await client.delete(ENDPOINT_SLICES, name_of(slice_), namespace_of(slice_), uid=uid_of(slice_))
        except NotFound:
            continue
        seen.deleted(key, ENDPOINT_SLICES, slice_)

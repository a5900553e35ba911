"""Whether what a compile did not find is absent, or only not here yet.

In:    what was looked for in vain, as `Lack`s; the API; the selection each resource is watched with.
Out:   how far each watch must have come before the compile may be believed.
Spec:  resource versions of one cluster are ordered (KEP-5504); watches of different resources are not ordered among each
       other, so a route may arrive before the Service that was made before it.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.kit.errors import WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.meta import revision_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Lack:
    """Objects of a resource that a newer state of the cluster may have: of one name, with these labels, or all of a namespace."""

    resource: Resource
    namespace: str
    name: str = ""
    labels: str = ""


async def revisions_wanted(client: Client, lacks: Iterable[Lack], watched_fields: Mapping[str, str]) -> dict[str, int]:
    """The newest revision of what is there after all, by `Resource.qualified_name`; nothing for what is absent.

    `watched_fields` are the field selectors of the watches: what a watch leaves out will never arrive. Only names and
    revisions are asked for. An API that cannot be reached is taken to have nothing newer.
    """
    limit = asyncio.Semaphore(ASKED_AT_ONCE)

    async def newest(lack: Lack) -> tuple[str, int]:
        name = lack.resource.qualified_name
        fields = [watched_fields.get(name, ""), f"metadata.name={lack.name}" if lack.name else ""]
        async with limit:
            try:
                found = await client.list(
                    lack.resource, lack.namespace, labels=lack.labels, fields=",".join(filter(None, fields)), metadata_only=True)
            except WherryError as error:
                log.debug("whether there is %s is not known: %s", lack, error)
                return name, 0
        return name, max((int(revision_of(obj) or 0) for obj in found.items), default=0)

    wanted: dict[str, int] = {}
    for name, revision in await asyncio.gather(*(newest(lack) for lack in set(lacks))):
        if revision:
            wanted[name] = max(revision, wanted.get(name, 0))
    return wanted

"""Claims and Services agree again: after a server died between two writes, after an older version that had no claims.

In:    the Services' values and the claims, both of one moment.
Out:   claims made for Services that have none, claims without a Service given back.
How:   a claim comes before its Service: one that has none is given back when it is still so a period later.
Spec:  upstream's repairip and portallocator controllers (every three minutes).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from wherry.orchestration.apiserver.allocation.claims import Claim, Claims
from wherry.orchestration.apiserver.registry.cache import ResourceCache
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.strategies.service_values import Value, values

log = logging.getLogger(__name__)

PERIOD_S = 180.0
AT_ONCE_MAX = 100  # writes
TURN = 100  # objects read in one turn of the loop

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Repairs:
    """`missing`: value -> owner. `stale`: claims nobody has. `disputed`: (value, who has it too, who holds the claim)."""

    missing: Mapping[Value, str]
    stale: frozenset[Claim]
    disputed: tuple[tuple[Value, str, str], ...]


def plan(services: Mapping[str, Iterable[Value]], claims: Iterable[Claim]) -> Repairs:
    """`services`: "namespace/name" -> what it has."""
    by_value = {claim.value: claim for claim in claims}
    wanted = {(value, owner) for owner, has in services.items() for value in has}
    missing: dict[Value, str] = {}
    disputed = []
    for value, owner in sorted(wanted, key=str):
        claim = by_value.get(value)
        if claim is None and value not in missing:
            missing[value] = owner
        elif (holder := claim.owner if claim is not None else missing[value]) != owner and (value, holder) in wanted:
            disputed.append((value, owner, holder))
    stale = frozenset(claim for claim in by_value.values() if (claim.value, claim.owner) not in wanted)
    return Repairs(missing, stale, tuple(disputed))


async def _slowly(things: Iterable[_T]) -> AsyncIterator[_T]:
    """One after the other; thousands do not hold up the event loop."""
    for number, thing in enumerate(things):
        if number % TURN == 0:
            await asyncio.sleep(0)
        yield thing


class Repair:
    """Of one API server; several do no harm."""

    def __init__(self, registry: Registry, services: ResourceCache, claims: Claims) -> None:
        self._registry, self._services, self._claims = registry, services, claims
        self._suspects: frozenset[Claim] = frozenset()

    async def run(self) -> None:
        """Every three minutes until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            await self.once()

    async def once(self, *, is_quiet: bool = False) -> None:
        """One pass. `is_quiet`: nobody writes (the start of the only server): what has no Service is given back at once."""
        await self._registry.fresh()
        services, claims = list(self._services.items.values()), self._claims.all()  # both of this moment, whatever is read when
        has = {cached.key: values(cached.obj()["spec"]) async for cached in _slowly(services)}
        found = plan(has, [claim async for claim in _slowly(claims)])
        for value, owner, holder in found.disputed:
            log.warning("%s is Service %s's and %s's; delete one of them", value, holder, owner)
        stale = found.stale if is_quiet else found.stale & self._suspects
        self._suspects = found.stale - stale
        limit = asyncio.Semaphore(AT_ONCE_MAX)

        async def take(value: Value, owner: str) -> None:
            async with limit:
                await self._claims.take(value, owner)

        async def give_back(claim: Claim) -> None:
            async with limit:
                await self._claims.give_back(claim)

        async with asyncio.TaskGroup() as tasks:
            for value, owner in found.missing.items():
                tasks.create_task(take(value, owner), name="claim")
            for claim in stale:
                tasks.create_task(give_back(claim), name="claim")

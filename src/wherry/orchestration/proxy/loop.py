"""Keep the kernel's rules equal to the Services: changes as elements, the whole table at start and after a failure.

In:    informers of Services and EndpointSlices.
Out:   nft transactions, one for all changes that came together.
Never: decides; see `service_table.py` and `ruleset.py`.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from wherry.kit.errors import WherryError
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Seen, Watch, watching
from wherry.orchestration.objects.endpoints import service_of
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.proxy import conntrack
from wherry.orchestration.proxy.ruleset import Ruleset
from wherry.orchestration.proxy.service_table import ServiceRules, rules_for
from wherry.orchestration.proxy.settings import ProxySettings

log = logging.getLogger(__name__)

BY_SERVICE = "service"
RETRY_S = 1.0  # after a failed load; the next try carries the whole table
REPAIR_S = 600.0  # the whole table again, should somebody have touched it


def _of_slice(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    for obj in (old, new):
        if obj is not None and (name := service_of(obj)):
            yield name


WATCHES = (Watch(SERVICES), Watch(ENDPOINT_SLICES, _of_slice, indexes={BY_SERVICE: lambda obj: (service_of(obj),)}))


class Firewall(Protocol):
    """The kernel's packet filter: `infrastructure.network.nft`."""

    async def load(self, ruleset: str) -> None:
        """Carry out the text as one transaction, or raise a `WherryError` and change nothing."""


class Proxy:
    """See the module docstring. `run` until cancelled; the informers run elsewhere."""

    def __init__(self, settings: ProxySettings, informers: Informers, firewall: Firewall) -> None:
        self._settings = settings
        self._firewall = firewall
        self._informers = informers
        self._ruleset = Ruleset(settings)
        self._loaded: dict[str, ServiceRules] = {}
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()  # the first whole table is loaded

    async def run(self) -> None:
        """Keep the rules until cancelled; they stay in the kernel afterwards, so that traffic goes on."""
        async with watching(self._informers, WATCHES, self._mark) as seen:
            is_whole = True
            while True:
                is_whole = not await self._load(seen, whole=is_whole)
                delay_s = RETRY_S if is_whole else REPAIR_S
                try:
                    async with asyncio.timeout(delay_s):
                        if is_whole:
                            await asyncio.sleep(delay_s + 1)
                        await self._changed.wait()
                except TimeoutError:
                    is_whole = True

    async def _load(self, seen: Seen, *, whole: bool) -> bool:
        """Bring the kernel up to date; False when it refused."""
        self._changed.clear()
        dirty, self._dirty = self._dirty, set()
        text, stale = "", []
        for name in sorted(dirty):
            rules = self._rules(name, seen)
            stale += conntrack.stale_flows(self._loaded.get(name), rules)
            text += self._ruleset.replace(rules)
            self._loaded[name] = rules
            if not rules.frontends and not rules.own_addresses:
                self._loaded.pop(name)
        try:
            await self._firewall.load(self._ruleset.full() if whole else text)
        except WherryError as error:
            log.warning("rules of %d services not loaded, loading all again: %s", len(dirty), error)
            return False
        if whole and not self.ready.is_set():
            log.info("rules loaded: services=%d", len(self._loaded))
            self.ready.set()
        await conntrack.forget(stale)
        return True

    def _rules(self, name: str, seen: Seen) -> ServiceRules:
        service = seen[SERVICES].get(name)
        if service is None:
            return ServiceRules(name)
        return rules_for(name, service, seen[ENDPOINT_SLICES].by_index(BY_SERVICE, name), self._settings)

    def _mark(self, name: str) -> None:
        self._dirty.add(name)
        self._changed.set()

"""Of several that do one work, one holds a Lease and does it; the others wait.

Spec:  coordination.k8s.io/v1 Lease as client-go's leaderelection keeps it; events `LeaderElection` on the Lease.
In:    a client, the Lease's name, who asks.
Out:   `lead(work)`: waits its turn, runs `work`, ends it by `LeadershipLost` when the Lease is not ours any more.
How:   a Lease is another's until its spec has not changed for its whole duration of our own time: dates of two machines are never
       compared. Who cannot renew stops after `give_up_s`, before anybody else may begin.
       The same identity takes its Lease at once: a process that was killed does not wait for itself. No two may live under one.

       | what happens | what is done |
       |---|---|
       | two ask in one moment, a write conflicts | the store takes one; the other reads what it lost to |
       | the answer to a write is lost | the Lease is read: it may be ours |
       | the API is away, slow, or refuses | tried again until `give_up_s` after the last renewal, then the work is ended |
       | another has taken it | the work is ended at once |
       | the Lease is deleted | created again: nobody else may have begun |
       | an orderly end | the Lease is given up, so that another need not wait; no longer than a second is spent on it |
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from wherry.kit.clock import Clock, loop_time, rfc3339_micro
from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.recorder import NORMAL, Recorder
from wherry.orchestration.objects.kinds import LEASES
from wherry.orchestration.objects.meta import Object

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
RELEASE_S_MAX = 1.0
RELEASED_S = 1  # the duration of a Lease that was given up


class LeadershipLost(WherryError):
    """The Lease is another's, or could not be renewed in time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Upstream's lease duration, renew deadline and retry period; a renewal costs a sync of the disk, and is rarer here."""

    lease_s: int = 15
    give_up_s: float = 10.0
    retry_s: float = 2.0
    renew_s: float = 5.0


class Election:
    """One candidate for one Lease of kube-system. `recorder` runs elsewhere."""

    def __init__(self, client: Client, name: str, identity: str, clock: Clock, recorder: Recorder, terms: Terms = Terms()) -> None:
        self.name, self.identity = name, identity
        self._client, self._clock, self._recorder, self._terms = client, clock, recorder, terms
        self._lease: Object | None = None  # as it was read or written last
        self._is_current = False  # False: the store may have another
        self._changed_at = 0.0  # loop time at which it was first seen as it is
        self._renewed_at = 0.0  # loop time before the write that made it ours

    @property
    def holder(self) -> str:
        """Who holds the Lease as far as is known; empty where nobody does."""
        return str(((self._lease or {}).get("spec") or {}).get("holderIdentity") or "")

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then await `work()` while it is held: `LeadershipLost` (in a group) ends it when it is not.

        Cancelled: the Lease is given up after the work has ended. May be called again."""
        self._is_current = False
        while not await self._is_taken():
            await asyncio.sleep(self._terms.retry_s * random.uniform(1, 2.2))  # two that were refused do not meet again
        self._tell("became leader")
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(self._keep(), name=f"lease {self.name}")
                await work()
                keeping.cancel()
        finally:
            self._tell("stopped leading")
            await self._release()

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self._renewed_at + self._terms.give_up_s):
                    await asyncio.sleep(self._terms.renew_s)
                    while not await self._is_taken():
                        if self.holder not in ("", self.identity):
                            raise LeadershipLost(f"{self.name} is {self.holder}'s now")
                        await asyncio.sleep(self._terms.retry_s)
            except TimeoutError:
                raise LeadershipLost(f"{self.name} was not renewed for {self._terms.give_up_s:g} s") from None

    async def _is_taken(self) -> bool:
        """Take or renew it, once; whether it is ours by that."""
        began_at = loop_time()
        try:
            if not self._is_current or self.holder != self.identity:
                await self._look()
            if self._is_anothers():
                return False
            self._is_current = False
            await self._write()
        except (Conflict, AlreadyExists, NotFound):
            with suppress(WherryError):
                await self._look()  # at whom it was lost to
            return False
        except WherryError as error:
            log.warning("lease %s: %s", self.name, error)
            return False
        self._is_current, self._renewed_at = True, began_at
        return True

    async def _look(self) -> None:
        try:
            found = await self._client.get(LEASES, self.name, NAMESPACE)
        except NotFound:
            self._lease = None
            return
        if self._lease is None or found.get("spec") != self._lease.get("spec"):
            self._changed_at = loop_time()
        self._lease = found

    def _is_anothers(self) -> bool:
        spec = (self._lease or {}).get("spec") or {}
        duration_s = float(spec.get("leaseDurationSeconds") or 0)
        return self.holder not in ("", self.identity) and loop_time() - self._changed_at < duration_s

    async def _write(self) -> None:
        if self._lease is None:
            meta = {"name": self.name, "namespace": NAMESPACE}
            new: Object = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": self._spec({})}
            self._lease = await self._client.create(LEASES, new, NAMESPACE)
        else:
            self._lease = await self._client.update(LEASES, {**self._lease, "spec": self._spec(self._lease.get("spec") or {})})

    def _spec(self, before: Object) -> Object:
        now = rfc3339_micro(self._clock.now())
        is_renewal = before.get("holderIdentity") == self.identity
        return {
            **before,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._terms.lease_s,
            "acquireTime": before["acquireTime"] if is_renewal and "acquireTime" in before else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (bool(before) and not is_renewal),
        }

    async def _release(self) -> None:
        """Best effort: who waits takes it when it is over."""
        with suppress(TimeoutError, WherryError):
            async with asyncio.timeout(RELEASE_S_MAX):
                if not self._is_current:
                    await self._look()  # a renewal was under way, or failed
                if self._lease is not None and self.holder == self.identity:
                    spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": RELEASED_S}
                    await self._client.update(LEASES, {**self._lease, "spec": spec})

    def _tell(self, what: str) -> None:
        log.info("%s: %s %s", self.name, self.identity, what)
        if self._lease is not None:
            self._recorder.event(self._lease, NORMAL, "LeaderElection", f"{self.identity} {what}")

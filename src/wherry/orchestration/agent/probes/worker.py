"""The probes of one run of a container: startup first, then readiness and liveness side by side.

In:    container spec, its id, a `Report` to tell. Out: `started`, `ready`, `unhealthy` calls on the report.
Spec:  kubelet's prober worker: thresholds count results in a row; below the threshold the state stays; checks that could
       not be made count for nothing; after a liveness or startup failure nothing more is asked of this run.
Ends:  when cancelled (the container ended), or once nothing is left to ask.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from wherry.container.runtime.engine import Engine
from wherry.kit.clock import loop_time
from wherry.orchestration.agent.probes.check import Outcome, Result, Target, check
from wherry.orchestration.objects.meta import Object


class Report(Protocol):
    """What the pod's worker wants to know."""

    def started(self, container_id: str) -> None:
        """The startup probe passed, or there is none."""

    def ready(self, container_id: str, is_ready: bool) -> None:
        """Readiness changed."""

    def unhealthy(self, container_id: str, kind: str, grace_s: float | None) -> None:
        """The liveness or startup probe failed for good: restart the container."""

    def failed_once(self, container_id: str, kind: str, text: str) -> None:
        """One check failed: event Unhealthy."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """A probe with upstream's defaults."""

    handler: Object
    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int
    grace_s: float | None

    @classmethod
    def of(cls, probe: Object) -> "ProbeSpec":
        """From the API's Probe."""
        grace = probe.get("terminationGracePeriodSeconds")
        return cls(
            handler=probe,
            initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
            period_s=float(probe.get("periodSeconds") or 10),
            timeout_s=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
            grace_s=None if grace is None else float(grace),
        )


class Streak:
    """Results in a row; `note` gives the new state, or None while the threshold is not reached. Pure."""

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._last: Outcome | None = None
        self._count = 0

    def note(self, outcome: Outcome) -> bool | None:
        """True: passed often enough. False: failed often enough."""
        if outcome == Outcome.UNKNOWN:
            return None
        self._count = self._count + 1 if outcome == self._last else 1
        self._last = outcome
        passed = outcome == Outcome.PASSED
        needed = self._spec.success_threshold if passed else self._spec.failure_threshold
        return passed if self._count >= needed else None


class ContainerProbes:
    """Run with `run()` for as long as the container runs."""

    def __init__(
        self, target: Target, engine: Engine, report: Report, *, started_for_s: float, is_started: bool
    ) -> None:
        self._target = target
        self._engine = engine
        self._report = report
        self._began_at = loop_time() - started_for_s
        self._is_started = is_started

    async def run(self) -> None:
        """See the module docstring."""
        container = self._target.container
        startup = container.get("startupProbe")
        if startup and not self._is_started and not await self._until_started(ProbeSpec.of(startup)):
            return
        self._report.started(self._target.container_id)
        async with asyncio.TaskGroup() as tasks:
            if readiness := container.get("readinessProbe"):
                tasks.create_task(self._keep_ready(ProbeSpec.of(readiness)), name="readiness")
            if liveness := container.get("livenessProbe"):
                tasks.create_task(self._until_dead(ProbeSpec.of(liveness), "Liveness"), name="liveness")

    async def _until_started(self, spec: ProbeSpec) -> bool:
        streak = Streak(spec)
        await self._initial_delay(spec)
        while True:
            state = streak.note((await self._check(spec, "Startup")).outcome)
            if state is not None:
                if not state:
                    self._report.unhealthy(self._target.container_id, "startup", spec.grace_s)
                return state
            await asyncio.sleep(spec.period_s)

    async def _keep_ready(self, spec: ProbeSpec) -> None:
        streak, shown = Streak(spec), None
        await self._initial_delay(spec)
        while True:
            state = streak.note((await self._check(spec, "Readiness")).outcome)
            if state is not None and state != shown:
                shown = state
                self._report.ready(self._target.container_id, state)
            await asyncio.sleep(spec.period_s)

    async def _until_dead(self, spec: ProbeSpec, kind: str) -> None:
        streak = Streak(spec)
        await self._initial_delay(spec)
        while streak.note((await self._check(spec, kind)).outcome) is not False:
            await asyncio.sleep(spec.period_s)
        self._report.unhealthy(self._target.container_id, kind.lower(), spec.grace_s)

    async def _initial_delay(self, spec: ProbeSpec) -> None:
        left_s = spec.initial_delay_s - (loop_time() - self._began_at)
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _check(self, spec: ProbeSpec, kind: str) -> Result:
        result = await check(spec.handler, self._target, self._engine, timeout_s=spec.timeout_s)
        if result.outcome == Outcome.FAILED:
            self._report.failed_once(self._target.container_id, kind, result.text)
        return result


def has_probes(container: Object) -> bool:
    """Anything to ask at all."""
    return any(container.get(key) for key in ("startupProbe", "readinessProbe", "livenessProbe"))

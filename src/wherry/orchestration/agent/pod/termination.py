"""Stop the containers of a pod in the right order within its grace period.

Spec: all preStop hooks begin at once and their time counts against the grace; app containers get the stop signal; a
      sidecar gets it once the app containers and all later sidecars have ended (KEP-753); at the end of the grace
      everything left is killed, but never sooner than 2 s after its signal.
"""

import asyncio

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.clock import loop_time
from wherry.orchestration.agent.facts.pod import container_named, init_containers, is_host_network, is_sidecar
from wherry.orchestration.agent.pod.hooks import HookFailed, run_hook
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.probes.check import Target
from wherry.orchestration.agent.references.images import field_path
from wherry.orchestration.objects.meta import Object


async def stop_all(parts: Parts, pod: Object, runs: list[ContainerStatus], address: str, *, grace_s: float) -> None:
    """Return when all of `runs` have ended."""
    live = {run.name: run for run in runs if run.state == State.RUNNING}
    ended = {name: asyncio.Event() for name in live}
    async with asyncio.TaskGroup() as tasks:
        for name, run in live.items():
            first = [ended[other] for other in stopped_before(pod, name, list(live))]
            tasks.create_task(
                _stop_in_order(parts, pod, run, address, grace_s, first, ended[name]), name=f"stop {name}"
            )
        for run in runs:
            if run.state == State.CREATED:
                tasks.create_task(parts.engine.remove_container(run.id), name=f"drop {run.name}")


def stopped_before(pod: Object, name: str, live: list[str]) -> list[str]:
    """Which of the live containers must have ended before `name` is told to stop. Pure."""
    sidecars = [str(c["name"]) for c in init_containers(pod) if is_sidecar(c)]
    if name not in sidecars:
        return []
    later = sidecars[sidecars.index(name) + 1 :]
    return [other for other in live if other not in sidecars or other in later]


async def _stop_in_order(
    parts: Parts,
    pod: Object,
    run: ContainerStatus,
    address: str,
    grace_s: float,
    first: list[asyncio.Event],
    ended: asyncio.Event,
) -> None:
    try:
        await stop_one(parts, pod, run, address, grace_s=grace_s, message=f"Stopping container {run.name}", first=first)
    finally:
        ended.set()


async def stop_one(
    parts: Parts,
    pod: Object,
    run: ContainerStatus,
    address: str,
    *,
    grace_s: float,
    message: str,
    first: list[asyncio.Event] | None = None,
) -> None:
    """preStop hook, wait for `first`, stop signal, at last SIGKILL. Idempotent."""
    container = container_named(pod, run.name) or {"name": run.name}
    parts.recorder.event(pod, "Normal", "Killing", message, field_path=field_path(pod, container))
    began_at = loop_time()
    hook = (container.get("lifecycle") or {}).get("preStop")
    if hook and grace_s > 0:
        await _run_pre_stop(parts, pod, container, Target(run.id, container, address, is_host_network(pod)), hook, grace_s)
    left_s = grace_s - (loop_time() - began_at)
    if first:
        await _wait_for(first, max(left_s, 0.0))
        left_s = grace_s - (loop_time() - began_at)
    await parts.engine.stop_container(run.id, grace_s=max(left_s, parts.settings.grace_s_min))
    await parts.view.refresh(run.id)


async def _run_pre_stop(
    parts: Parts, pod: Object, container: Object, target: Target, hook: Object, grace_s: float
) -> None:
    try:
        async with asyncio.timeout(grace_s):
            await run_hook(hook, target, parts.engine, timeout_s=grace_s)
    except (HookFailed, TimeoutError) as error:
        text = str(error) or f"PreStop hook did not end within {grace_s:g}s"
        parts.recorder.event(pod, "Warning", "FailedPreStopHook", text, field_path=field_path(pod, container))


async def _wait_for(events: list[asyncio.Event], limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            for event in events:
                await event.wait()
    except TimeoutError:
        return

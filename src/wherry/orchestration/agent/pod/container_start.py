"""Start one container of a pod: collect everything, create, start, run its postStart hook.

Out:   the run exists and its hook is done, or `StartFailed` with the waiting reason.
Spec:  waiting reasons CreateContainerConfigError, CreateContainerError, RunContainerError, PostStartHookError.
"""

import asyncio
from collections.abc import Callable

from wherry.container.image.service import Image
from wherry.container.runtime.engine import ContainerConfig, SandboxStatus
from wherry.kit.errors import WherryError
from wherry.orchestration.agent.facts.pod import is_host_network
from wherry.orchestration.agent.logs import places
from wherry.orchestration.agent.plan import environment
from wherry.orchestration.agent.plan.configs import ContainerInputs, container_config, container_id
from wherry.orchestration.agent.pod import files
from wherry.orchestration.agent.pod.hooks import POST_START_TIMEOUT_S, HookFailed, run_hook
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.pod.termination import stop_one
from wherry.orchestration.agent.probes.check import Target
from wherry.orchestration.agent.references.images import field_path
from wherry.orchestration.objects.meta import Object, uid_of


class StartFailed(WherryError):
    """`reason` is the container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


async def start_container(
    parts: Parts,
    pod: Object,
    container: Object,
    image: Image,
    sandbox: SandboxStatus,
    paths: dict[str, str],
    *,
    attempt: int,
) -> str:
    """The id of the running container. Raise `StartFailed`. Safe to repeat with the same attempt."""
    path = field_path(pod, container)
    try:
        inputs = await collect(parts, pod, container, image, sandbox, paths, attempt=attempt)
        config = container_config(pod, container, inputs, attempt=attempt, sandbox=sandbox.id, settings=parts.settings)
    except WherryError as error:
        parts.recorder.event(pod, "Warning", "Failed", f"Error: {error}", field_path=path)
        raise StartFailed("CreateContainerConfigError", str(error)) from error
    try:
        await parts.engine.remove_container(config.id)  # what a failed or interrupted try left
        await asyncio.to_thread(_prepare_log, parts, pod, config)
        await parts.engine.create_container(config)
    except (WherryError, OSError) as error:
        parts.recorder.event(pod, "Warning", "Failed", f"Error: {error}", field_path=path)
        raise StartFailed("CreateContainerError", str(error)) from error
    parts.recorder.event(pod, "Normal", "Created", "Container created", field_path=path)
    try:
        await parts.engine.start_container(config.id)
    except (WherryError, OSError) as error:
        parts.recorder.event(pod, "Warning", "Failed", f"Error: {error}", field_path=path)
        await parts.view.refresh(config.id)
        raise StartFailed("RunContainerError", str(error)) from error
    parts.recorder.event(pod, "Normal", "Started", "Container started", field_path=path)
    await parts.view.refresh(config.id)
    return config.id


def _prepare_log(parts: Parts, pod: Object, config: ContainerConfig) -> None:
    places.prepare(parts.settings, pod)
    places.link_container(parts.settings, pod, config.name, config.id, config.log_path)


async def collect(
    parts: Parts,
    pod: Object,
    container: Object,
    image: Image,
    sandbox: SandboxStatus,
    paths: dict[str, str],
    *,
    attempt: int,
) -> ContainerInputs:
    """Everything a container needs besides its pod. Raise `Invalid` or `VolumeFailed` with upstream's text."""
    references = await parts.references.fetch(pod)
    found = environment.build(pod, container, references, services=parts.services(), allocatable=parts.allocatable)
    for text in found.skipped:
        parts.recorder.event(pod, "Warning", "InvalidEnvironmentVariableNames", text)
    sources = await parts.volumes.sources_for(pod, container, paths, found.variables)
    folder = parts.volumes.folder(uid_of(pod))
    address = str(sandbox.address or "")
    hosts, resolv, hostname = files.write_network_files(pod, folder, parts.settings, address=address)
    return ContainerInputs(
        image=image,
        environment=found.variables,
        mount_sources=sources,
        hosts_path=hosts,
        resolv_path=resolv,
        hostname_path=hostname,
        termination_path=files.termination_file(folder, str(container["name"]), attempt),
        memory_capacity_bytes=parts.memory_capacity_bytes,
    )


async def run_post_start(
    parts: Parts, pod: Object, container: Object, attempt: int, address: str, *, grace: Callable[[], float]
) -> None:
    """Raise `StartFailed` after killing the container when its postStart hook does not succeed."""
    hook = (container.get("lifecycle") or {}).get("postStart")
    if not hook:
        return
    run_id = container_id(pod, str(container["name"]), attempt)
    try:
        async with asyncio.timeout(POST_START_TIMEOUT_S):
            target = Target(run_id, container, address, is_host_network(pod))
            await run_hook(hook, target, parts.engine, timeout_s=POST_START_TIMEOUT_S)
    except (HookFailed, TimeoutError) as error:
        text = f"PostStartHook failed: {error}"
        parts.recorder.event(pod, "Warning", "FailedPostStartHook", text, field_path=field_path(pod, container))
        run = await parts.engine.container_status(run_id)
        await stop_one(parts, pod, run, address, grace_s=grace(), message="FailedPostStartHook")
        raise StartFailed("PostStartHookError", str(error)) from error

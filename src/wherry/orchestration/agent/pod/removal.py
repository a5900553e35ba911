"""Remove everything of a pod from this machine: sandboxes, containers, mounts, files, logs, watches."""

import asyncio

from wherry.orchestration.agent.facts.labels import GRACE
from wherry.orchestration.agent.facts.pod import log_folder
from wherry.orchestration.agent.logs import places
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.objects.meta import Object, uid_of


async def remove_everything(parts: Parts, pod: Object) -> None:
    """Idempotent; raises what a part raises, and may then be called again."""
    uid = uid_of(pod)
    await remove_from_engine(parts, uid)
    await parts.volumes.remove_folder(uid)
    await asyncio.to_thread(places.remove, parts.settings, log_folder(pod))
    parts.references.release(uid)
    parts.images.release(uid)


async def remove_unknown(parts: Parts, uid: str) -> None:
    """A pod of which nothing but its containers and files is left: its grace is in the sandbox's labels."""
    labels = next((sandbox.labels for sandbox in parts.view.sandboxes(uid)), {})
    grace_s = float(labels.get(GRACE, "0"))
    async with asyncio.TaskGroup() as tasks:
        for history in parts.view.runs(uid).values():
            tasks.create_task(parts.engine.stop_container(history[-1].id, grace_s=grace_s), name="stop")
    await remove_from_engine(parts, uid)
    for name in places.folders_of(parts.settings, uid):
        await asyncio.to_thread(places.remove, parts.settings, name)
    await parts.volumes.remove_folder(uid)


async def remove_from_engine(parts: Parts, uid: str) -> None:
    """Its sandboxes with all containers."""
    for sandbox in parts.view.sandboxes(uid):
        await parts.engine.remove_sandbox(sandbox.id)
        parts.view.drop_sandbox(sandbox.id)
    for history in parts.view.runs(uid).values():
        for run in history:
            await parts.engine.remove_container(run.id)
            parts.view.drop_container(run.id)

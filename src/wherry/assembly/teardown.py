"""Take everything of a cluster off this machine but its data.

In:    the node's settings. Out: no container, mount, link, rule or table of it; `remove_logs` takes what collectors read.
"""

import asyncio
import shutil

from wherry.assembly import node_routes
from wherry.assembly.agent import agent_settings, engine_for
from wherry.assembly.images import open_images
from wherry.assembly.networks import network_settings
from wherry.assembly.node import NodeSettings
from wherry.assembly.proxy import proxy_settings
from wherry.infrastructure.linux import mounts
from wherry.infrastructure.network import nft
from wherry.infrastructure.network.node_link import NodeLink
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.orchestration.agent.logs import places

STOP_GRACE_S = 10.0  # for containers on `wherry down`; databases want to end in order
PURGE_GRACE_S = 1.0  # nothing they could still write is kept


async def teardown(settings: NodeSettings, *, grace_s: float = STOP_GRACE_S) -> None:
    """Containers first, asked to end in order."""
    engine = engine_for(settings, open_images(settings))
    await engine.restore()
    async with asyncio.TaskGroup() as tasks:
        for status in await engine.containers():
            tasks.create_task(engine.stop_container(status.id, grace_s=grace_s), name="stop container")
    await engine.destroy_all()
    await LoopVolumes(settings.data_dir / "volumes").unmount_all()
    await asyncio.to_thread(_unmount_pods, settings)
    await NodeLink(network_settings(settings)).remove()
    await node_routes.remove(settings)
    await nft.delete_table(proxy_settings(settings).table)


def remove_logs(settings: NodeSettings) -> None:
    """Take the pods' logs of this cluster away from where collectors look. Only for `wherry down --purge`."""
    places.remove_all(agent_settings(settings))


def _unmount_pods(settings: NodeSettings) -> None:
    mounts.unmount_below(str(settings.data_dir))
    # What pods had of their own is made again when they start again.
    shutil.rmtree(settings.data_dir / "pods", ignore_errors=True)

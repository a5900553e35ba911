"""Builds of one cluster: the lifecycle over the cluster's content folder, in containers of an engine of their own.

In:    the node's settings.
Out:   a `Platform`; images it makes are on the node and in the registry at once.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.application.builds.settings import ClusterAccess
from wherry.assembly.images import cache_dir, open_images
from wherry.assembly.node import NodeSettings
from wherry.buildpacks.lifecycle import rebase as rebasing
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.platform import images as needed
from wherry.buildpacks.platform.build import Platform
from wherry.buildpacks.platform.container_workshop import ContainerWorkshop
from wherry.buildpacks.platform.settings import BuildSettings
from wherry.container.image.service import Image

if TYPE_CHECKING:
    from wherry.orchestration.client.client import Client

GIBIBYTE = 1 << 30


def build_settings(settings: NodeSettings) -> BuildSettings:
    """Folders and limits of builds: by default half of the memory and three quarters of the processors, at least 1 GiB and one."""
    memory_bytes = settings.build_memory_bytes or max(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2, GIBIBYTE)
    milli_cpus = settings.build_milli_cpus or max(len(os.sched_getaffinity(0)) * 750, 1000)
    return BuildSettings(
        data_dir=settings.data_dir, cache_dir=cache_dir(settings), memory_bytes_max=memory_bytes, milli_cpus_max=milli_cpus,
        pids_max=settings.build_pids_max or None,
    )


def open_platform(settings: NodeSettings) -> Platform:
    """What `wherry build` works with; needs no running cluster."""
    images = open_images(settings, pulls=True)
    chosen = build_settings(settings)
    return Platform(chosen, images.service, ContainerWorkshop(chosen, images.layers))


async def rebase(
    settings: NodeSettings, app: str, names: Sequence[str], run_image: str, *, force: bool, progress: Progress
) -> Image:
    """Rebase `app`; the base is fetched anew when a registry has it, else made or used as it is here."""
    images = open_images(settings, pulls=True)
    content = images.content
    wanted = run_image or rebasing.run_image_of(content, app)
    if wanted and not content.is_local(content.parse(wanted)):
        progress.line(f"pulling {wanted}")
        await images.service.pull(wanted)
    elif wanted:
        await needed.ensure(wanted, images.service, build_settings(settings), progress)
    return await rebasing.rebase(content, app, names, run_image, force=force)


def access(settings: NodeSettings) -> ClusterAccess:
    """Where deployed applications are reached."""
    return ClusterAccess(
        registry=settings.registry_host, gateway_port=settings.gateway_http_port if settings.gateway else 0
    )


def admin_client(settings: NodeSettings) -> "Client":
    """A client with the admin's kubeconfig."""
    from wherry.orchestration.client.client import Client
    from wherry.orchestration.client.kubeconfig import load

    return Client(load(settings.admin_kubeconfig), user_agent="wherry/cli")

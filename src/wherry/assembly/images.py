"""The images of one cluster: one content folder that the agent, the registry and the builds share.

In:    the cluster's settings.
Out:   `Images`: the service the node agent asks, the layers the engine mounts, the registry that serves the same folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from wherry.assembly.settings import ClusterSettings
from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.content.settings import ContentSettings
from wherry.container.content.snapshots import Unpacker


@dataclass(frozen=True, slots=True)
class Images:
    """See the module docstring."""

    content: Content
    service: ContentImages
    layers: Unpacker


def open_images(settings: ClusterSettings) -> Images:
    """Open the content folder; several processes may have it open at once."""
    content = Content(ContentSettings(settings.content_dir, registry=settings.registry_host))
    service = ContentImages(content)
    return Images(content, service, service.unpacker)


def cache_dir(settings: ClusterSettings) -> Path:
    """Where downloads are kept: with the cluster, or where $WHERRY_CACHE_DIR says, for several clusters to share."""
    named = os.environ.get("WHERRY_CACHE_DIR")
    return Path(named) if named else settings.data_dir / "cache"

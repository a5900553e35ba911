"""Image volumes: the files of an OCI image, read-only, as a folder.

In:    the volume source, the image by its pull policy, the folders of its layers.
Out:   layers to mount, bottom to top. Spec: KEP-4639; core/v1 ImageVolumeSource (pullPolicy, subPath on the mount).
"""

from typing import Protocol

from wherry.container.runtime.rootfs import LayerSource
from wherry.kit.errors import Invalid, Unsupported
from wherry.orchestration.agent.references.images import ImagePuller
from wherry.orchestration.agent.references.objects import ReferencedObjects
from wherry.orchestration.objects.meta import Object


class VolumeImages(Protocol):
    """Where image volumes come from."""

    async def layers(self, pod: Object, source: Object) -> tuple[str, ...]:
        """Folders, bottom to top. Raises what a pull raises."""


class PulledVolumeImages:
    """Pulls as containers do. Without a `LayerSource` image volumes are refused by name."""

    def __init__(self, puller: ImagePuller, references: ReferencedObjects, layers: LayerSource | None) -> None:
        self._puller = puller
        self._references = references
        self._layers = layers

    async def layers(self, pod: Object, source: Object) -> tuple[str, ...]:
        """See `VolumeImages`."""
        if self._layers is None:
            raise Unsupported("volume kind image is not offered on this node")
        if not source.get("reference"):
            raise Invalid("image volume has no reference")
        container = {"name": "", "image": source["reference"], "imagePullPolicy": source.get("pullPolicy")}
        image = await self._puller.ensure(pod, container, await self._references.fetch_pull_secrets(pod))
        return await self._layers.layers(image.id)

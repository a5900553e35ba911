"""The images of one cluster: one content folder that the agent, the registry and the builds share.

In:    the node's settings.
Out:   `Images`: the service the node agent asks, the layers the engine mounts, the registry that serves the same folder.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.assembly.node import NodeSettings
from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.content.settings import ContentSettings
from wherry.container.content.snapshots import Unpacker
from wherry.container.content.source import ImageSource, Login
from wherry.container.image.documents import Descriptor
from wherry.container.image.reference import Reference
from wherry.infrastructure.linux import mounts
from wherry.kit import atomic_file
from wherry.kit.errors import Invalid

if TYPE_CHECKING:
    import ssl

PASSWORD_FILE = "registry.password"
USER = "wherry"
NOT_CARRIED = (
    "images of the cluster's registry are not carried to a node that joined yet: `wherry image save` it on the server's machine "
    "and `wherry image load` it here"
)


@dataclass(frozen=True, slots=True)
class Images:
    """See the module docstring."""

    content: Content
    service: ContentImages
    layers: Unpacker


def open_images(
    settings: NodeSettings, *, pulls: bool = False, in_use: Callable[[], Iterable[str]] = lambda: ()
) -> Images:
    """Open the content folder; several processes may have it open at once. `pulls`: ask other registries too."""
    aliases = (f"localhost:{settings.registry_port}", f"127.0.0.1:{settings.registry_port}")
    content = Content(ContentSettings(
        settings.content_dir, registry=settings.registry_host, registry_aliases=aliases,
        absent_mend=NOT_CARRIED if settings.is_joined else "",
    ))  # fmt: skip
    service = ContentImages(content, OtherRegistries() if pulls else None, in_use=in_use)
    return Images(content, service, service.unpacker)


def refuse_unsendable(content: Content, target: str) -> None:
    """Raise `Invalid` for a name no registry answers to, and for one that means Docker Hub without saying so."""
    reference = content.parse(target)
    own = content.settings.registry
    if content.is_local(reference) and reference.domain != own:
        raise Invalid(f"{target!r}: {reference.domain} is no registry; name one: {own}/{reference.path}")
    if reference.domain == "docker.io" and target.partition("/")[0] not in ("docker.io", "index.docker.io"):
        raise Invalid(f"{target!r} names no registry: write {own}/{target}, or docker.io/{target} for Docker Hub")


class OtherRegistries:
    """An `ImageSource` whose HTTP client is imported at the first pull: a quarter of a second that most builds save."""

    def __init__(self) -> None:
        self._client: ImageSource | None = None

    def _opened(self) -> ImageSource:
        if self._client is None:
            from wherry.container.registry.client import RegistryClient

            self._client = RegistryClient()
        return self._client

    async def manifest(self, reference: Reference, login: Login) -> tuple[Descriptor, bytes]:
        return await self._opened().manifest(reference, login)

    def blob(self, reference: Reference, blob: Descriptor, *, offset: int, login: Login) -> AsyncIterator[bytes]:
        return self._opened().blob(reference, blob, offset=offset, login=login)


async def serve_registry(settings: NodeSettings, tls: "ssl.SSLContext", images: Images) -> None:
    """The registry over `tls`, for users who have its password, until cancelled."""
    from wherry.assembly.perimeter import listen_hosts
    from wherry.container.registry.server import Registry
    from wherry.container.registry.settings import RegistrySettings
    from wherry.kit.http.server import serve

    chosen = RegistrySettings(domain=settings.registry_host, username=USER, password_file=password_file(settings))
    registry = Registry(images.content, chosen)
    async with serve(registry.handle, host=listen_hosts(settings), port=settings.registry_port, tls=tls):
        await asyncio.Event().wait()


def mounted_layers(settings: NodeSettings) -> frozenset[str]:
    """Layer folders that containers, of this or another process, stand on: never to be collected."""
    layers = str(settings.content_dir / "layers")
    found: set[str] = set()
    for entry in mounts.table():
        if entry.kind == "overlay":
            lower = next((o.removeprefix("lowerdir=") for o in entry.options.split(",") if o.startswith("lowerdir=")), "")
            found.update(path for path in lower.split(":") if path.startswith(layers))
    return frozenset(found)


def password_file(settings: NodeSettings) -> Path:
    """Holds the registry's password; made at the first call, for root only."""
    path = settings.data_dir / PASSWORD_FILE
    if not path.exists():
        atomic_file.write(path, secrets.token_urlsafe(24).encode(), mode=0o600)
    return path


def cache_dir(settings: NodeSettings) -> Path:
    """Where downloads are kept: with the cluster, or where $WHERRY_CACHE_DIR says, for several clusters to share."""
    named = os.environ.get("WHERRY_CACHE_DIR")
    return Path(named) if named else settings.data_dir / "cache"

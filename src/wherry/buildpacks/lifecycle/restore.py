"""Phase 3, restore: give each buildpack back what it may use again.

In:    the last image's record, the cache, the group.
Out:   `<layers>/<buildpack>/` with metadata, SBOM files, store.toml and the contents of cached layers. What cannot be
       restored is left out and told: a build never fails for its cache.
Spec:  Buildpack API 0.12 "Layer types"; Platform API 0.15 "restorer".
"""

import asyncio
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from wherry.buildpacks.lifecycle import layers, sbom, toml_text
from wherry.buildpacks.lifecycle.analyze import Analyzed
from wherry.buildpacks.lifecycle.cache import VolumeCache
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.records import LayerRecord
from wherry.container.content.builder import known_layer
from wherry.container.content.content import Content
from wherry.container.content.snapshots import layer_tar
from wherry.kit.errors import Broken, NotFound

_SBOM_BYTES_MAX = 64 << 20


async def restore(
    places: Places, content: Content, group: Iterable[Buildpack], analyzed: Analyzed, cache: VolumeCache, progress: Progress
) -> None:
    """Restore for every buildpack of the group."""
    await asyncio.to_thread(_restore_all, places, content, tuple(group), analyzed, cache, progress)


def chosen_layers(image: dict[str, LayerRecord], cached: dict[str, LayerRecord]) -> dict[str, LayerRecord]:
    """Whose metadata comes back: launch layers of the image, and cached layers. Pure."""
    found = {}
    for name, layer in image.items():
        if not layer.is_launch or (layer.is_build and not layer.is_cache) or (layer.is_cache and name not in cached):
            continue
        found[name] = layer
    for name, layer in cached.items():
        if layer.is_cache and (name not in found or not layer.is_launch):
            found[name] = layer
    return found


def _restore_all(
    places: Places, content: Content, group: tuple[Buildpack, ...], analyzed: Analyzed, cache: VolumeCache, progress: Progress
) -> None:
    cached = cache.record()
    with places.temporary() as scratch:
        _unpack_sboms(content, analyzed.previous.sbom, scratch.host / "image", progress)
        if cached.sbom:
            _unpack_cached(cache, cached.sbom, scratch.host / "cache", progress)
        for pack in group:
            folder = places.make(places.layers.host / pack.escaped_id)
            store = analyzed.previous.store_of(pack.id) or cached.store_of(pack.id)
            if store:
                places.write(folder / "store.toml", toml_text.dumps({"metadata": store}))
            in_cache = dict(cached.layers_of(pack.id))
            wanted = chosen_layers(dict(analyzed.previous.layers_of(pack.id)), in_cache)
            for name, layer in sorted(wanted.items()):
                _restore_layer(places, pack, name, layer, in_cache.get(name), cache, progress)
                for kind in ("image/sbom/launch", "cache/sbom/cache"):
                    sbom.restore(pack.escaped_id, name, scratch.host / kind, folder, places.owner)


def _restore_layer(
    places: Places, pack: Buildpack, name: str, layer: LayerRecord, cached: LayerRecord | None,
    cache: VolumeCache, progress: Progress,
) -> None:  # fmt: skip
    folder = places.layers.host / pack.escaped_id
    if layer.is_cache:
        if cached is None or cached.sha != layer.sha:
            progress.line(f"Removing {pack.id}:{name}, wrong sha")
            return
        try:
            cache.extract(cached.sha, places.layers.host)
        except (NotFound, Broken, tarfile.TarError, OSError) as error:
            progress.line(f"Removing {pack.id}:{name}, not restorable: {error}")
            shutil.rmtree(folder / name, ignore_errors=True)
            return
        progress.line(f"Restoring data for {pack.id}:{name} from cache")
    else:
        progress.line(f"Restoring metadata for {pack.id}:{name} from app image")
    places.owner.take(layers.write_restored(folder, name, layer.data))


def _unpack_sboms(content: Content, sha: str, target: Path, progress: Progress) -> None:
    layer = known_layer(content, sha) if sha else None
    if layer is None:
        return
    try:
        with layer_tar(content, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.lstrip("/").removeprefix("layers/")
                if not member.isreg() or not name.startswith("sbom/launch/") or ".." in name or member.size > _SBOM_BYTES_MAX:
                    continue
                source = archive.extractfile(member)
                assert source is not None
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read())
    except (NotFound, tarfile.TarError) as error:
        progress.line(f"SBOM of the last image not restored: {error}")


def _unpack_cached(cache: VolumeCache, sha: str, target: Path, progress: Progress) -> None:
    try:
        cache.extract(sha, target)
    except (NotFound, Broken, tarfile.TarError, OSError) as error:
        progress.line(f"SBOM of the cache not restored: {error}")

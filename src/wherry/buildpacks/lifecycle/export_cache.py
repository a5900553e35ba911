"""After the export: keep the layers that ask for it in the cache.

In:    the folders as the buildpacks left them, the tars the export made.
Out:   the cache committed, holding exactly the layers with `cache = true` of this build.
Spec:  Platform API 0.15 "exporter", cache.
"""

import asyncio

from wherry.buildpacks.lifecycle import layers
from wherry.buildpacks.lifecycle.build import Built
from wherry.buildpacks.lifecycle.cache import VolumeCache
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.export import Exported, Exporter
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.records import BuildRecord, LayerRecord, PackRecord


async def export_cache(
    exporter: Exporter, exported: Exported, built: Built, places: Places, cache: VolumeCache, progress: Progress
) -> None:
    """Stage what is cached and commit."""
    packs = [await _pack(exporter, exported, pack, places, cache, progress) for pack in built.group]
    sbom, folder = "", places.layers.host / "sbom" / "cache"
    if folder.is_dir():
        sbom = await exporter.tar_of(folder, f"{places.image_layers}/sbom/cache")
        await _stage(exported, sbom, cache)
    await asyncio.to_thread(cache.commit, BuildRecord(packs=tuple(packs), sbom=sbom))


async def _pack(
    exporter: Exporter, exported: Exported, pack: Buildpack, places: Places, cache: VolumeCache, progress: Progress
) -> PackRecord:
    folder = places.layers.host / pack.escaped_id
    found: dict[str, LayerRecord] = {}
    for layer in layers.read_layers(folder):
        if not layer.is_cache:
            continue
        if not layer.has_content:
            raise PhaseFailed(Code.EXPORT, f"layer {pack.id}:{layer.name} is cache=true but has no contents")
        sha = _exported_sha(exported, pack, layer.name)
        if not sha:
            sha = await exporter.tar_of(folder / layer.name, f"{places.image_layers}/{pack.escaped_id}/{layer.name}")
        is_new = await _stage(exported, sha, cache)
        progress.line(f"{'Adding' if is_new else 'Reusing'} cache layer '{pack.id}:{layer.name}'")
        found[layer.name] = LayerRecord(sha, layer.metadata, layer.is_build, layer.is_launch, layer.is_cache)
    return PackRecord(pack.id, pack.version, found, layers.read_store(folder))


def _exported_sha(exported: Exported, pack: Buildpack, name: str) -> str:
    layer = exported.record.layers_of(pack.id).get(name)
    return layer.sha if layer is not None else ""


async def _stage(exported: Exported, sha: str, cache: VolumeCache) -> bool:
    if await asyncio.to_thread(cache.keep, sha):
        return False
    await asyncio.to_thread(cache.add, sha, exported.tars[sha])
    return True

"""SBOM files of buildpacks: collected into one layer, and given back with the layers they are about.

In:    `<layer>.sbom.<ext>.json`, `launch.sbom...`, `build.sbom...` in a buildpack's folder.
Out:   `<layers>/sbom/{launch,build,cache}/<buildpack>/[<layer>/]sbom.<ext>.json`.
Spec:  Buildpack API 0.12 "Software-Bill-of-Materials".
"""

import shutil
from pathlib import Path

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.layers import Layer
from wherry.buildpacks.lifecycle.places import Owner
from wherry.kit.errors import Invalid

_MEDIA_TYPES = {
    "cdx.json": "application/vnd.cyclonedx+json", "spdx.json": "application/spdx+json", "syft.json": "application/vnd.syft+json",
}  # fmt: skip
FILE_BYTES_MAX = 64 << 20


def collect(pack: Buildpack, folder: Path, layers: list[Layer], target: Path) -> None:
    """Copy one buildpack's files to their places below `target`. Raise `Invalid` for a kind it did not announce."""
    by_name = {layer.name: layer for layer in layers}
    for path in sorted(folder.glob("*.sbom.*")):
        name, _, extension = path.name.partition(".sbom.")
        if extension not in _MEDIA_TYPES:
            raise Invalid(f"{pack.name}: {path.name}: the ending must be one of {', '.join(sorted(_MEDIA_TYPES))}")
        if _MEDIA_TYPES[extension] not in pack.sbom_formats:
            raise Invalid(f"{pack.name}: {path.name}: {_MEDIA_TYPES[extension]} is not in sbom-formats of buildpack.toml")
        for kind, parts in _homes(name, by_name):
            home = target.joinpath(kind, pack.escaped_id, *parts)
            home.mkdir(parents=True, exist_ok=True)
            (home / f"sbom.{extension}").write_bytes(toml_text.read_plain(path, FILE_BYTES_MAX))


def restore(escaped_id: str, layer: str, source: Path, folder: Path, owner: Owner) -> None:
    """Put a layer's files from `source` (`sbom/launch` or `sbom/cache`) back beside its metadata, for the buildpack to rewrite."""
    for path in source.glob(f"{escaped_id}/{layer}/sbom.*"):
        target = folder / f"{layer}.{path.name}"
        shutil.copyfile(path, target)
        owner.take(target)


def _homes(name: str, layers: dict[str, Layer]) -> list[tuple[str, tuple[str, ...]]]:
    if name in ("launch", "build"):
        return [(name, ())]
    layer = layers.get(name)
    if layer is None:
        return []
    flags = (("launch", layer.is_launch), ("build", layer.is_build), ("cache", layer.is_cache))
    return [(kind, (name,)) for kind, is_set in flags if is_set]
